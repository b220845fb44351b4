from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from service.configuration.printing import settings_as_toml
from service.configuration.sources import read_settings


def test_what_is_printed_is_read_back_as_the_same_settings(tmp_path: Path) -> None:
    flags = {
        "name": 'qu"ote',
        "categories": "back\\slash\x7f",
        "overrides": ["A.B", "ключ 🔑"],
        "warmup_sizes": "64x48",
        "max_body_bytes": "64MiB",
        "hang_s": "0.1",
        "admin": "true",
        "cors_origins": "https://a.org,http://b.org:81",
        "url_hosts": "a.org,*.b.org",
        "canvas_record": "sizes.json",
    }
    first = read_settings(flags, {}).settings
    file = tmp_path / "printed.toml"
    file.write_text(settings_as_toml(read_settings(flags, {})), encoding="utf-8")
    assert read_settings({}, {}, file).settings == first


def test_several_models_are_read_back_too(tmp_path: Path) -> None:
    source = tmp_path / "given.toml"
    source.write_text(
        'devices = ["cpu", "cuda:1"]\n[[models]]\nname = "a"\nweights = "x"\n'
        'overrides = ["K", "1"]\n[[models]]\nname = "b"\nweights = "y"\ndevices = ["cpu"]\n'
    )
    read = read_settings({}, {}, source)
    file = tmp_path / "printed.toml"
    file.write_text(settings_as_toml(read))
    assert read_settings({}, {}, file).settings.models == read.settings.models
    assert "weights" not in tomllib.loads(file.read_text())


def test_only_what_was_given_is_told_where_from() -> None:
    lines = settings_as_toml(read_settings({"port": "1"}, {"BLENDMASK_MAX_SIDE": "2"})).splitlines()
    assert "port = 1  # from --port" in lines
    assert "max_side = 2  # from BLENDMASK_MAX_SIDE" in lines
    assert sum("# from" in line for line in lines) == 2
    assert "# config is not set" in lines
    assert "# keys is not set" in lines


def test_defaults_are_read_back_too(tmp_path: Path) -> None:
    file = tmp_path / "printed.toml"
    file.write_text(settings_as_toml(read_settings({}, {})))
    assert read_settings({}, {}, file).settings == read_settings({}, {}).settings


def test_secrets_are_masked_and_the_mask_opens_nothing(tmp_path: Path) -> None:
    text = settings_as_toml(read_settings({}, {"BLENDMASK_KEYS": "sesame,simsim"}))
    assert 'keys = ["***", "***"]  # from BLENDMASK_KEYS; *** stands for a secret' in text
    assert "sesame" not in text
    file = tmp_path / "printed.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match="write the key itself"):
        read_settings({}, {}, file)
