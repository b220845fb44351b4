"""What the operator decides: one frozen record, read from the environment and the command line.

Every setting is a flag of `python -m service` (`--max-pixels`) and an environment variable
(`BLENDMASK_MAX_PIXELS`); the flag wins. No other file reads the environment.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

PREFIX = "BLENDMASK_"


class Settings(BaseModel):
    """The settings of one server. Raises pydantic's ValidationError, a ValueError."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        "R_50_3x",
        min_length=1,
        description="a released model's name, a file, an https URL ending in #sha256=<hex>, "
        "or owner/repo:file on the Hugging Face hub",
    )
    config: str | None = Field(
        None,
        description="a released configuration's name or a YAML file; default: the weights' own",
    )
    overrides: tuple[str, ...] = Field(
        (), description="KEY VALUE pairs that change the configuration"
    )
    categories: Path | None = Field(
        None, description="a COCO-style JSON file that names the classes; default: the weights' own"
    )
    name: str | None = Field(
        None, min_length=1, description="what to call the model; default: its configuration's name"
    )
    device: str = Field("auto", min_length=1, description="auto, cpu, cuda or cuda:N")
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0: any free one")
    score_threshold: float = Field(
        0.3, ge=0, le=1, description="least score of an instance when the caller gives none"
    )
    max_body_bytes: int = Field(32 * 2**20, ge=1, description="largest request body")
    max_pixels: int = Field(50_000_000, ge=1, description="most pixels in one image")
    max_side: int = Field(16_384, ge=1, description="longest image side, in pixels")
    max_images: int = Field(16, ge=1, description="most images in one request")
    max_waiting_images: int = Field(64, ge=1, description="images that may wait for the model")
    max_waiting_bytes: int = Field(
        2**30, ge=1, description="encoded bytes that waiting images may hold"
    )
    deadline_s: float = Field(30.0, gt=0, description="seconds until a request is given up")
    grace_s: float = Field(
        2.0, ge=0, description="seconds to go on accepting requests after SIGTERM"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe level that is logged"
    )

    @field_validator("overrides", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(shlex.split(value)) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if len(self.overrides) % 2:
            raise ValueError(f"overrides are KEY VALUE pairs; got {' '.join(self.overrides)!r}")
        if self.max_waiting_images < self.max_images:
            raise ValueError(
                f"max_waiting_images is {self.max_waiting_images}; a request may bring "
                f"{self.max_images} (max_images), so it must be at least that"
            )
        if self.max_waiting_bytes < self.max_body_bytes:
            raise ValueError(
                f"max_waiting_bytes is {self.max_waiting_bytes}; a body may bring "
                f"{self.max_body_bytes} (max_body_bytes), so it must be at least that"
            )
        return self


def read_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings: flags over environment over defaults.

    Args:
        flags: setting name -> value, only those given.
        environment: variables; None: the process's own. An empty one counts as not given.
    Raises:
        ValueError: one line that names the first bad setting, as flag and as variable.
    """
    variables = os.environ if environment is None else environment
    given = {name: variables.get(variable_of(name), "") for name in Settings.model_fields}
    values: dict[str, Any] = {name: value for name, value in given.items() if value != ""}
    values.update(flags)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ValueError(_first_line(error)) from None


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def flag_of(name: str) -> str:
    """Return the command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def _first_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    flag = "--override" if name == "overrides" else flag_of(name)
    return f"{flag} ({variable_of(name)}) is {first['input']!r}: {message}"
