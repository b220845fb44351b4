from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from model.zoo.open_model import DEFAULT_MODEL
from service.configuration.model_spec import ModelSpec
from service.configuration.settings import Settings, flag_of, variable_of
from service.configuration.value_type import is_number


def test_defaults_are_those_of_the_contract() -> None:
    settings = Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.score_threshold is None
    assert settings.max_body_bytes == 32 * 1024 * 1024
    assert (settings.max_pixels, settings.max_side) == (50_000_000, 16_384)
    assert (settings.max_images, settings.max_waiting_images) == (16, 64)
    assert settings.max_waiting_bytes == 1024**3
    assert settings.deadline_s == 30


def test_default_weights_are_the_default_model_of_the_zoo() -> None:
    assert Settings().weights == DEFAULT_MODEL


def test_what_could_harm_is_off_by_default() -> None:
    settings = Settings()
    on = {name for name, value in settings if value is True}
    assert on == {"page"}


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_record_does_not_look_at_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLENDMASK_PORT", "9000")
    assert Settings().port == 8000


def test_one_model_is_made_of_the_short_form() -> None:
    settings = Settings(weights="w.pth", config="R_50_1x", name="mine", overrides=("A", "1"))
    assert settings.models == (
        ModelSpec(name="mine", weights="w.pth", config="R_50_1x", overrides=("A", "1")),
    )


def test_short_text_of_a_model_is_divided_at_its_first_sign_and_last_comma() -> None:
    [first, second, third] = Settings(
        models=["a=https://x/m.pth#sha256=ab", "b=one,two.pth,R_50_1x", "c=R_50_3x"]
    ).models
    assert (first.name, first.weights, first.config) == ("a", "https://x/m.pth#sha256=ab", None)
    assert (second.name, second.weights, second.config) == ("b", "one,two.pth", "R_50_1x")
    assert (third.name, third.weights, third.config) == ("c", "R_50_3x", None)


def test_texts_become_what_they_mean() -> None:
    settings = Settings(
        devices="cuda, cuda:1",
        warmup_sizes="640x480,32×64",
        max_body_bytes="64MiB",
        max_waiting_bytes="2 GiB",
        url_hosts="a.org,*.B.org.,[2001:DB8::1],bücher.example",
        overrides="A.B 1 C 'x y'",
        url_input="yes",
    )
    assert settings.devices == ("cuda:0", "cuda:1")
    assert settings.warmup_sizes == ((480, 640), (64, 32))  # (height, width)
    assert settings.max_body_bytes == 64 * 1024**2
    assert settings.max_waiting_bytes == 2 * 1024**3
    assert settings.url_hosts == ("a.org", "*.b.org", "2001:db8::1", "xn--bcher-kva.example")
    assert settings.overrides == ("A.B", "1", "C", "x y")
    assert settings.url_input is True


def test_keys_are_not_shown() -> None:
    settings = Settings(keys="open-sesame")
    assert "sesame" not in repr(settings)
    assert [key.get_secret_value() for key in settings.keys] == ["open-sesame"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"overrides": ("A",)}, "KEY VALUE pairs"),
        ({"models": ("a=x", "a=y")}, "two models are called 'a'"),
        ({"models": ("a",)}, "write NAME=WEIGHTS"),
        ({"models": ()}, "name at least one: NAME=WEIGHTS"),
        ({"models": ({"weights": "x"},)}, "has no name"),
        ({"models": ("a=x",), "weights": "y"}, "models and weights are both given"),
        ({"name": "a b"}, "without spaces"),
        ({"devices": "gpu"}, "'gpu' is no device; write auto, cpu, cuda or cuda:N"),
        ({"devices": "cuda,cuda:0"}, "cuda:0 is named twice"),
        ({"devices": "auto,cpu"}, "auto stands alone"),
        ({"devices": ","}, "name at least one"),
        (
            {"devices": "cpu", "models": ({"name": "a", "weights": "x", "devices": "cuda:1"},)},
            "the model 'a' is to run on cuda:1; devices are cpu",
        ),
        ({"warmup_sizes": "640"}, "write WIDTHxHEIGHT"),
        ({"warmup_sizes": [[640, 480]]}, "write WIDTHxHEIGHT"),
        ({"max_body_bytes": "1MB"}, "as in 64MiB"),
        ({"max_body_bytes": "1_0 0"}, "as in 64MiB"),
        ({"models": ({"name": "a", "weights": "x", "devices": ()},)}, "name at least one"),
        ({"keys": "***"}, "write the key itself"),
        ({"keys": "ключ"}, "visible ASCII"),
        ({"keys_file": "no/such/file"}, "there is no such file"),
        ({"keys_guard_metrics": True}, "neither keys nor a keys_file"),
        ({"max_images": 65}, "max_waiting_images is 64; it must be at least max_images, 65"),
        ({"max_body_bytes": 2**31}, "max_waiting_bytes is 1073741824"),
        ({"max_pixels": 3_000_000_000}, "max_waiting_pixels is 2000000000"),
        ({"restart_delay_s": 31}, "restart_delay_max_s is 30"),
        ({"deadline_s": "inf"}, "finite number"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Settings(**values)
    assert message in str(refusal.value)


@pytest.mark.parametrize("empty", ["", ",", " , ", [], ()])
@pytest.mark.parametrize(
    ("name", "message"),
    [("keys", "open the service to everybody"), ("url_hosts", "allow all of them")],
)
def test_empty_list_that_would_open_what_it_locks_is_refused(
    name: str, message: str, empty: object
) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(**{name: empty})


@pytest.mark.parametrize(
    ("host", "right"),
    [
        ("https://example.org/", "write example.org,"),
        ("https://*.example.org/a", r"write \*.example.org,"),
        ("Example.org:8443", "write example.org,"),
        ("example.org/pictures", "write example.org,"),
        ("user@example.org", "write example.org,"),
        ("*", r"leave the setting out to allow all, or write \*.example.org"),
        ("*.", "write example.org,"),
        ("www.*.org", "write example.org,"),
        ("*.2001:db8::1", "write example.org,"),
        ("fe80::1%eth0", "write example.org,"),
        ("a b.org", "write example.org,"),
        ("10.0.0.0/8", "write 10.0.0.0,"),
    ],
)
def test_host_that_would_match_nothing_is_refused_with_the_right_one(host: str, right: str) -> None:
    with pytest.raises(ValidationError, match=right):
        Settings(url_hosts=("good.example", host))


@pytest.mark.parametrize(
    ("origin", "right"),
    [
        ("example.org", "https://example.org"),
        ("https://example.org/page", "https://example.org"),
        ("ftp://example.org", "https://example.org"),
        ("https://user@example.org", "https://example.org"),
        ("https://*.example.org", r"https://\*.example.org|https://example.org"),
        ("https://example.org:x", "https://example.org"),
        ("null", "https://null"),
    ],
)
def test_what_is_no_origin_is_refused_with_the_right_one(origin: str, right: str) -> None:
    with pytest.raises(ValidationError, match=f"no origin; write .* as in {right}"):
        Settings(cors_origins=origin)


def test_origins_are_kept_as_browsers_write_them() -> None:
    given = "https://Example.org/,http://localhost:3000,https://a.org:443,http://[::1]:8080,*"
    assert Settings(cors_origins=given).cors_origins == (
        *("https://example.org", "http://localhost:3000", "https://a.org"),
        *("http://[::1]:8080", "*"),
    )


def test_names_of_flags_and_variables_follow_from_the_setting() -> None:
    assert (flag_of("max_pixels"), variable_of("max_pixels")) == (
        "--max-pixels",
        "BLENDMASK_MAX_PIXELS",
    )
    assert (flag_of("models"), flag_of("overrides")) == ("--model", "--override")


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if is_number(field)]
)
def test_truth_is_no_number(name: str) -> None:
    with pytest.raises(ValidationError, match="must be a number"):
        Settings(**{name: True})
