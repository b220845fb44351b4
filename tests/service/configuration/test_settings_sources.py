from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.configuration.settings import PREFIX
from service.configuration.sources import OTHER_VARIABLES, read_settings

ROOT = Path(__file__).parents[3]


def refusal(
    flags: dict[str, object] | None = None,
    environment: dict[str, str] | None = None,
    file: Path | None = None,
) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        read_settings(flags or {}, environment or {}, file)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "server.toml"


def test_flag_wins_over_variable_and_variable_over_file(toml: Path) -> None:
    toml.write_text("port = 1\nmax_pixels = 1\nmax_side = 1\n")
    variables = {"BLENDMASK_PORT": "2", "BLENDMASK_MAX_PIXELS": "2"}
    read = read_settings({"port": "3"}, variables, toml)
    assert (read.settings.port, read.settings.max_pixels, read.settings.max_side) == (3, 2, 1)
    assert read.origins == {
        "port": "--port",
        "max_pixels": "BLENDMASK_MAX_PIXELS",
        "max_side": f"max_side in {toml}",
    }


def test_variable_names_the_file_and_a_flag_another(toml: Path, tmp_path: Path) -> None:
    toml.write_text("port = 1\n")
    (tmp_path / "other.toml").write_text("port = 2\n")
    variables = {"BLENDMASK_SETTINGS": str(toml)}
    assert read_settings({}, variables).settings.port == 1
    assert read_settings({}, variables, tmp_path / "other.toml").settings.port == 2


def test_empty_variable_counts_as_not_given() -> None:
    variables = {"BLENDMASK_NAME": "", "BLENDMASK_PORT": "", "BLENDMASK_DEVICES": ""}
    assert read_settings({}, variables).origins == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("BLENDMASK_KEYS", "BLENDMASK_KEYS: there is no key in it"),
        ("BLENDMASK_KEYS_FILE", "BLENDMASK_KEYS_FILE is '': there is no such file"),
        ("BLENDMASK_KEYS_GUARD_METRICS", "BLENDMASK_KEYS_GUARD_METRICS is '': it must be true or"),
        ("BLENDMASK_URL_HOSTS", "BLENDMASK_URL_HOSTS is '': there is no host in it"),
        ("BLENDMASK_SETTINGS", "BLENDMASK_SETTINGS is empty; name a file"),
    ],
)
def test_empty_variable_that_should_lock_something_is_refused(name: str, message: str) -> None:
    assert refusal({}, {name: ""}).startswith(message)


@pytest.mark.parametrize("given", ["", ","])
def test_empty_flag_that_should_lock_something_is_refused(given: str) -> None:
    assert refusal({"keys": given}).startswith("--keys: there is no key in it")
    assert refusal({"url_hosts": given}).startswith(f"--url-hosts is {given!r}: there is no host")


def test_empty_list_of_keys_in_a_file_is_refused(toml: Path) -> None:
    toml.write_text("keys = []\n")
    assert refusal(file=toml).startswith(f"keys in {toml}: there is no key in it")


def test_host_with_more_around_it_is_told_the_host_alone() -> None:
    text = refusal({}, {"BLENDMASK_URL_HOSTS": "https://example.org/"})
    assert text == (
        "BLENDMASK_URL_HOSTS is 'https://example.org/': 'https://example.org/' is no host; "
        "write example.org, without anything else"
    )


@pytest.mark.parametrize("name", ["BLENDMASK_MODELS", "BLENDMASK_DEVICES"])
def test_blank_list_of_what_is_needed_is_refused(name: str) -> None:
    assert refusal({}, {name: " "}).startswith(f"{name} is ' ': ")


def test_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLENDMASK_PORT", "9000")
    assert read_settings({}).settings.port == 9000


def test_variables_hold_several_models_and_keys() -> None:
    variables = {"BLENDMASK_MODELS": "a=R_50_1x b='my file.pth,R_50_3x'", "BLENDMASK_KEYS": "x,y"}
    settings = read_settings({}, variables).settings
    assert [(model.name, model.weights) for model in settings.models] == [
        ("a", "R_50_1x"),
        ("b", "my file.pth"),
    ]
    assert [key.get_secret_value() for key in settings.keys] == ["x", "y"]


def test_file_describes_models_in_tables(toml: Path) -> None:
    toml.write_text(
        'devices = ["cpu", "cuda:0"]\nwarmup_sizes = ["64x48"]\n'
        '[[models]]\nname = "a"\nweights = "R_50_3x"\ndevices = ["cpu"]\n'
        '[[models]]\nname = "b"\nweights = "b.pth"\noverrides = ["K", "1"]\ncategories = "c.json"\n'
    )
    settings = read_settings({}, {}, toml).settings
    assert settings.warmup_sizes == ((48, 64),)
    [first, second] = settings.models
    assert (first.name, first.devices) == ("a", ("cpu",))
    assert (second.overrides, second.categories) == (("K", "1"), Path("c.json"))


def test_kubernetes_service_links_are_no_settings() -> None:
    variables = {
        "BLENDMASK_PORT": "tcp://10.0.0.1:8000",
        "BLENDMASK_PORT_8000_TCP_ADDR": "10.0.0.1",
        "BLENDMASK_SERVICE_HOST": "10.0.0.1",
        "BLENDMASK_SERVICE_PORT_HTTP": "8000",
        "BLENDMASK_SERVER_PORT": "tcp://10.0.0.1:8000",
    }
    assert read_settings({}, variables).origins == {}


def test_other_variables_of_the_project_are_no_settings() -> None:
    assert read_settings({}, dict.fromkeys(OTHER_VARIABLES.keys() - {"BLENDMASK_SETTINGS"}, "x"))


def test_every_variable_that_the_project_reads_is_known() -> None:
    quoted = re.compile(rf"environ[\w.]*[\[(]\s*\"({PREFIX}\w+)\"")
    files = [
        ROOT / "setup.py",
        *(path for top in ("model", "tests", "bench") for path in (ROOT / top).rglob("*.py")),
    ]
    read = {name for path in files for name in quoted.findall(path.read_text())}
    assert f"{PREFIX}CACHE" in read
    assert read <= OTHER_VARIABLES.keys()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"port": "x"}, "--port is 'x': it must be a whole number from 0 to 65535"),
        ({"score_threshold": "2"}, "--score-threshold is '2': it must be a number from 0 to 1"),
        (
            {"max_batch_images": "x"},
            "--max-batch-images is 'x': it must be a whole number, at least 1",
        ),
        (
            {"max_batch_images": "0"},
            "--max-batch-images is '0': it must be a whole number, at least 1",
        ),
        ({"deadline_s": "0"}, "--deadline-s is '0': it must be a number greater than 0"),
        ({"log_level": "loud"}, "--log-level is 'loud': it must be debug, info, warning or error"),
        ({"admin": "maybe"}, "--admin is 'maybe': it must be true or false"),
        ({"overrides": ["A"]}, "--override is ['A']: write KEY VALUE pairs"),
    ],
)
def test_bad_flag_is_told_what_would_be_right(flags: dict[str, object], message: str) -> None:
    assert refusal(flags) == message


def test_bad_value_is_told_where_it_stands(toml: Path) -> None:
    assert refusal({}, {"BLENDMASK_PORT": "-1"}).startswith("BLENDMASK_PORT is '-1': ")
    toml.write_text("port = 65536\n")
    assert refusal({}, {}, toml).startswith(f"port in {toml} is 65536: ")


def test_settings_that_contradict_each_other_are_told_where_they_stand() -> None:
    text = refusal({"models": ["a=x"]}, {"BLENDMASK_WEIGHTS": "y"})
    assert text.endswith("(given: BLENDMASK_WEIGHTS, --model)")


def test_unknown_variable_is_told_the_nearest() -> None:
    text = refusal({}, {"BLENDMASK_WIEGHTS": "x"})
    assert text == "there is no setting BLENDMASK_WIEGHTS; did you mean BLENDMASK_WEIGHTS?"


def test_unknown_key_of_a_file_is_told_the_nearest(toml: Path) -> None:
    toml.write_text("max-pixels = 3\n")
    assert refusal(file=toml) == (
        f"{toml}: there is no setting max-pixels; did you mean max_pixels?"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("port = true", "port in FILE is True: it must be a whole number from 0 to 65535"),
        (
            "score_threshold = true",
            "score_threshold in FILE is True: it must be a number from 0 to 1",
        ),
        (
            "max_body_bytes = false",
            "max_body_bytes in FILE is False: it must be a whole number of bytes",
        ),
        ("max_batch_images = true", "max_batch_images in FILE is True: it must be a whole number,"),
    ],
)
def test_truth_in_a_file_is_no_number(toml: Path, line: str, message: str) -> None:
    toml.write_text(line)
    assert refusal(file=toml).startswith(message.replace("FILE", str(toml)))


@pytest.mark.parametrize("other", ["", "port = 7\n"])
def test_key_in_capitals_is_refused_with_the_right_one(toml: Path, other: str) -> None:
    toml.write_text(f"PORT = 6\n{other}")
    assert refusal(file=toml) == f"{toml}: there is no setting PORT; did you mean port?"


@pytest.mark.parametrize("name", ["blendmask_port", "BLENDMASK_Port", "Blendmask_PORT"])
def test_variable_in_small_letters_is_refused_with_the_right_one(name: str) -> None:
    text = refusal({}, {name: "6"})
    assert text == f"there is no setting {name}; did you mean BLENDMASK_PORT?"


def test_variable_in_small_letters_that_is_nobodys_slip_is_left_alone() -> None:
    assert read_settings({}, {"blendmask_root": "/srv", "Blendmask": "x"}).origins == {}


def test_unknown_member_of_a_model_is_told_the_nearest(toml: Path) -> None:
    toml.write_text('[[models]]\nname = "a"\nwieghts = "x"\n')
    assert refusal(file=toml) == (
        f"models in {toml}, member 1, wieghts: there is no such member; did you mean weights?"
    )


def test_file_that_is_missing_or_no_toml_is_refused(toml: Path) -> None:
    assert refusal(file=toml) == f"there is no settings file {toml}"
    toml.write_text("port = \n")
    assert refusal(file=toml).startswith(f"{toml} cannot be read: Invalid value (at line 1")


def test_refused_key_is_not_repeated() -> None:
    assert "sesame" not in refusal({"keys": "open sesame"})
    assert "sesame" not in refusal({"keys": ["open sesame"]})
