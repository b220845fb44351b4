"""How settings that are more than a plain value are written, in a flag, a variable or TOML.

Each type here reads its text form and takes the ready value as it is.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SecretStr

from service.configuration.hosts import plain_origin, plain_pattern

# What --print-settings shows in place of a secret.
MASK = "***"

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_NAME = re.compile(r"[^\s,=]{1,100}")
_SIZE = re.compile(r"(?P<width>[1-9]\d*)[x×](?P<height>[1-9]\d*)")
_BYTES = re.compile(r"(?P<number>\d[\d_]*)\s*(?P<unit>kib|mib|gib|)")
_UNITS = {"": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30}
# What a header can carry as it is.
_KEY = re.compile(r"[\x21-\x7e]+")


def repeated(names: Iterable[str | None]) -> str | None:
    """Return a name that comes twice, or None."""
    return next((name for name, count in Counter(names).items() if name and count > 1), None)


def _split_words(value: Any) -> Any:
    return tuple(shlex.split(value)) if isinstance(value, str) else value


def _split_commas(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(member.strip() for member in value.split(",") if member.strip())


def _read_bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _BYTES.fullmatch(value.strip().lower())
    if match is None:
        raise ValueError("write a whole number of bytes, or one with a unit, as in 64MiB")
    return int(match["number"]) * _UNITS[match["unit"]]


def _read_size(value: Any) -> Any:
    if isinstance(value, tuple):
        return value
    size = _SIZE.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if size is None:
        raise ValueError(f"{value!r} is no size; write WIDTHxHEIGHT, as in 640x480")
    return int(size["height"]), int(size["width"])


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("take 1 to 100 characters, without spaces, commas and =")
    return name


def _check_pairs(overrides: tuple[str, ...]) -> tuple[str, ...]:
    if len(overrides) % 2:
        raise ValueError("write KEY VALUE pairs")
    return overrides


def _check_devices(devices: tuple[str, ...]) -> tuple[str, ...]:
    for device in devices:
        if not _DEVICE.fullmatch(device):
            raise ValueError(f"{device!r} is no device; write auto, cpu, cuda or cuda:N")
    devices = tuple("cuda:0" if device == "cuda" else device for device in devices)
    if not devices:
        raise ValueError("name at least one: auto, cpu, cuda or cuda:N")
    if "auto" in devices and len(devices) > 1:
        raise ValueError("auto stands alone: it means every CUDA device, or else the CPU")
    if twice := repeated(devices):
        raise ValueError(f"{twice} is named twice; a device has one worker")
    return devices


def _check_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not keys:
        raise ValueError(
            "there is no key in it, which would open the service to everybody; write one, or "
            "leave the setting out"
        )
    for key in keys:
        text = key.get_secret_value()
        if text == MASK:
            raise ValueError(f"{MASK} stands for a key that was not printed; write the key itself")
        if not _KEY.fullmatch(text):
            raise ValueError("a key is visible ASCII characters without spaces")
    return keys


def _check_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not hosts:
        raise ValueError(
            "there is no host in it, which would allow all of them; write one, or leave the "
            "setting out"
        )
    return tuple(plain_pattern(host) for host in hosts)


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(plain_origin(origin) for origin in origins)


def _check_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _check_folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError("there is no such folder")
    return path


Bytes = Annotated[int, BeforeValidator(_read_bytes)]
Devices = Annotated[tuple[str, ...], BeforeValidator(_split_commas), AfterValidator(_check_devices)]
Keys = Annotated[tuple[SecretStr, ...], BeforeValidator(_split_commas), AfterValidator(_check_keys)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_split_commas), AfterValidator(_check_hosts)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_split_commas), AfterValidator(_check_origins)]
Name = Annotated[str, AfterValidator(_check_name)]
Overrides = Annotated[tuple[str, ...], BeforeValidator(_split_words), AfterValidator(_check_pairs)]
ExistingFile = Annotated[Path, AfterValidator(_check_file)]
ExistingFolder = Annotated[Path, AfterValidator(_check_folder)]
# (height, width) of a picture, written WIDTHxHEIGHT.
Size = Annotated[tuple[int, int], BeforeValidator(_read_size)]
Sizes = Annotated[tuple[Size, ...], BeforeValidator(_split_commas)]
Words = BeforeValidator(_split_words)
