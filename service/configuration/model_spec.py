"""A model that a server is asked to offer, before it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from service.configuration.forms import Devices, Name, Overrides, Words


class ModelSpec(BaseModel):
    """Where a model comes from, what it is called, and where it runs.

    name: None takes its configuration's. devices: None means all of the server's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Name | None = Field(default=None, description="what requests call it")
    weights: str = Field(
        min_length=1,
        description="a released model's name, a file, an https URL ending in #sha256=<hex>, "
        "or owner/repo:file on the Hugging Face hub",
    )
    config: str | None = Field(
        default=None,
        description="a released configuration's name or a YAML file; default: the weights' own",
    )
    overrides: Overrides = Field(
        default=(), description="KEY VALUE pairs that change the configuration"
    )
    categories: Path | None = Field(
        default=None,
        description="a COCO-style JSON file that names the classes; default: the weights' own",
    )
    devices: Devices | None = Field(
        default=None, description="those of the server's devices that it runs on; default: all"
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """Take the short form, `NAME=WEIGHTS[,CONFIG]`; the last comma divides."""
        if not isinstance(value, str):
            return value
        name, equals, place = value.partition("=")
        if not (name and equals and place):
            raise ValueError(f"{value!r} is no model; write NAME=WEIGHTS or NAME=WEIGHTS,CONFIG")
        weights, _, config = place.rpartition(",") if "," in place else (place, "", None)
        return {"name": name, "weights": weights, "config": config}

    @property
    def written(self) -> str:
        """What to call it where it has no name yet."""
        return self.name or self.weights


def _check_models(models: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
    if not models:
        raise ValueError("name at least one: NAME=WEIGHTS")
    return models


Models = Annotated[tuple[ModelSpec, ...], Words, AfterValidator(_check_models)]
