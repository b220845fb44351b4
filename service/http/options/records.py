"""The options of a request: one record for each task.

The OpenAPI document takes names, ranges and defaults from these records too.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from model.answers.dialects.choice import Dialect, Masks, masks_of
from model.pictures.background import Background
from service.engine import Task
from service.http.requests.negotiation import Render

# Of `classes`: they are looked up while others wait.
MAX_CLASSES, MAX_CLASS_CHARACTERS = 10_000, 1000
# What a JSON body has beside options.
IMAGE_MEMBERS = ("images", "image")


CUTOUT_ALONE = frozenset({"crop", "instance", "segment"})


class Options(BaseModel):
    """What both tasks can be asked. None: not given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        None, description="A loaded model's name; by default the first that can do the task."
    )
    score_threshold: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="Keep instances with score >= it."
    )
    max_instances: int = Field(
        100,
        ge=1,
        le=1000,
        description="Keep the best by score. The model itself keeps at most its own limit.",
    )
    classes: tuple[str | int, ...] | None = Field(
        None,
        min_length=1,
        description="Keep these only: category names or ids, comma-separated or repeated, or whole "
        "ones in a JSON list; a text is a name before it is an id, a JSON number an id; by "
        "default all.",
    )
    render: Render | None = Field(
        None,
        description="`overlay` answers a picture with masks, boxes and labels drawn, `cutout` a "
        "PNG that is transparent but for what was found; one image only. By default `json`, or "
        "`overlay` where `Accept` takes only JPEG or PNG.",
    )
    crop: bool | None = Field(
        None,
        description="With `render=cutout`: to the least box around what is cut out; by default the "
        "whole picture's size is kept.",
    )
    background: Background | None = Field(
        None,
        description="What shows where the image is transparent; by default its alpha is dropped, "
        "and what colours it hides come to light.",
    )
    format: Dialect = Field(
        "native",
        description="Whose shape the answer has: our own or another tool's. Each tells masks in "
        "its own way and takes only some of `masks`.",
    )

    @field_validator(
        "score_threshold", "max_instances", "instance", "segment", mode="before", check_fields=False
    )
    @classmethod
    def _refuse_truth(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("Input should be a number")
        return value

    @field_validator("classes", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if value is None:
            return None
        # Only a text is taken apart: in a JSON list, a name may have commas in it.
        wanted = value.split(",") if isinstance(value, str) else value
        wanted = wanted if isinstance(wanted, list | tuple) else [wanted]
        if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in wanted):
            raise ValueError("Input should be names or ids")
        names = {item.strip() if isinstance(item, str) else item for item in wanted} - {""}
        if not names:
            raise ValueError("Input should be at least one name or id")
        if len(names) > MAX_CLASSES or max(len(str(name)) for name in names) > MAX_CLASS_CHARACTERS:
            raise ValueError(
                f"Input should be at most {MAX_CLASSES} names or ids of at most "
                f"{MAX_CLASS_CHARACTERS} characters"
            )
        return tuple(sorted(names, key=lambda name: (str(name), isinstance(name, int))))


class SegmentOptions(Options):
    """What /segment can be asked."""

    masks: Literal["rle", "polygon", "none"] = Field(
        "rle", description="COCO run lengths, rings of x, y, or no mask at all."
    )

    instance: int | None = Field(
        None,
        ge=0,
        lt=1000,
        description="With `render=cutout`: only this one, its place among the answer's `instances` "
        "from 0; by default all together.",
    )


class PanopticOptions(Options):
    """What /panoptic can be asked."""

    segment: int | None = Field(
        None,
        ge=1,
        description="With `render=cutout`: only the segment of this id; by default all that is not "
        "void.",
    )

    masks: Literal["rle", "polygon", "png", "none"] = Field(
        "rle",
        description="COCO run lengths, rings of x, y (where another tool's format has them), one "
        "panoptic PNG for the image, or no mask at all. With `format=coco` it is `png`.",
    )


RECORDS: dict[Task, type[SegmentOptions | PanopticOptions]] = {
    "segment": SegmentOptions,
    "panoptic": PanopticOptions,
}


def masks_to_tell(task: Task, options: SegmentOptions | PanopticOptions) -> Masks:
    """Return how the answer tells masks: as asked, else in the format's usual way."""
    if "masks" in options.model_fields_set:
        return options.masks
    return masks_of(options.format, is_panoptic=task == "panoptic")[0]
