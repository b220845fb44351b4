from __future__ import annotations

import pytest
from pydantic import ValidationError

from model.zoo import DEFAULT_MODEL
from service.settings import read_settings


def test_defaults_are_those_of_the_contract() -> None:
    settings = read_settings({}, {})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.score_threshold == 0.3
    assert settings.max_body_bytes == 32 * 1024 * 1024
    assert (settings.max_pixels, settings.max_side) == (50_000_000, 16_384)
    assert (settings.max_images, settings.max_waiting_images) == (16, 64)
    assert settings.max_waiting_bytes == 1024**3
    assert settings.deadline_s == 30


def test_default_weights_are_the_default_model_of_the_zoo() -> None:
    assert read_settings({}, {}).weights == DEFAULT_MODEL


def test_environment_is_read_and_a_flag_wins() -> None:
    environment = {
        "BLENDMASK_PORT": "9000",
        "BLENDMASK_MAX_PIXELS": "1000",
        "BLENDMASK_OVERRIDES": "A.B 1 C 'x y'",
        "BLENDMASK_NAME": "",
        "PORT": "1",
    }
    settings = read_settings({"port": "9001"}, environment)
    assert settings.port == 9001
    assert settings.max_pixels == 1000
    assert settings.overrides == ("A.B", "1", "C", "x y")
    assert settings.name is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"port": "x"}, r"--port \(BLENDMASK_PORT\) is 'x'"),
        ({"score_threshold": "2"}, r"--score-threshold .* is '2'"),
        ({"deadline_s": "0"}, r"--deadline-s .* greater than 0"),
        ({"overrides": ["A"]}, "KEY VALUE pairs; got 'A'"),
        ({"max_images": "65"}, "max_waiting_images is 64; a request may bring 65"),
        ({"max_body_bytes": str(2**31)}, "max_waiting_bytes is 1073741824"),
    ],
)
def test_bad_setting_is_named_on_one_line(flags: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        read_settings(flags, {})
    assert "\n" not in str(refusal.value)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        read_settings({}, {}).port = 1
