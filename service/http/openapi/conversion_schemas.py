"""What POST /convert takes and can be asked, as records."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.answers.dialects.choice import Dialect, Masks
from service.http.requests.sent_images import MAX_ID_CHARACTERS

_Name = Annotated[str, Field(max_length=1000)]
_Box = tuple[float, float, float, float]
_WholeBox = tuple[int, int, int, int]


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class GivenRunLengths(_Given):
    """A mask as COCO's run lengths, compressed or not."""

    size: tuple[int, int] = Field(description="Height and width of the image.")
    counts: str | list[Annotated[int, Field(ge=0, le=2**40)]]


class _Row(_Given):
    category_id: int
    category: _Name = ""
    score: float | None = Field(None, ge=0, le=1)
    area: int | None = Field(None, description="Counted anew where there is a mask.")
    segmentation: GivenRunLengths | list[list[float]] | None = Field(
        None, description="Run lengths, or rings [x1, y1, x2, y2, …]."
    )
    holes: list[int] | None = Field(
        None, description="If there, rings inside others are holes; else the rings are united."
    )
    png: str | None = Field(
        None, description="Base64 of a grey PNG of the image's size, in place of `segmentation`."
    )


class GivenInstance(_Row):
    """An instance of a native answer; its mask in any form. Without a mask it has a box."""

    bbox: _Box | None = Field(None, description="Without it that of the mask.")


class GivenSegment(_Row):
    """A segment of a native answer; its mask in any form, or in the image's PNG.

    Without a mask it has a box and an area.
    """

    bbox: _WholeBox | None = Field(None, description="Without it that of the mask.")
    id: int = Field(ge=1, lt=2**24)
    isthing: bool = True


class GivenImage(_Given):
    """An image's member of a native answer."""

    id: str | None = Field(None, max_length=MAX_ID_CHARACTERS)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    instances: list[GivenInstance] | None = None
    segments: list[GivenSegment] | None = None
    png: str | None = Field(None, description="Base64 of COCO's panoptic PNG, with `segments`.")

    @model_validator(mode="after")
    def _check_kind(self) -> GivenImage:
        if (self.instances is None) == (self.segments is None):
            raise ValueError("an image has either 'instances' or 'segments'")
        if self.png is not None and self.segments is None:
            raise ValueError("an image's 'png' goes with 'segments'")
        return self


class GivenModel(_Given):
    """The model that answered."""

    name: _Name
    weights: _Name
    categories: _Name


class ConversionRequest(_Given):
    """A native answer, of one task; `model` may be left out."""

    model: GivenModel = GivenModel(name="unknown", weights="", categories="")
    images: list[GivenImage] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_task(self) -> ConversionRequest:
        if len({image.instances is None for image in self.images}) > 1:
            raise ValueError("some images have 'instances', some 'segments'; send them apart")
        return self


class ConversionOptions(BaseModel):
    """What a conversion can be asked. None: not given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Dialect = Field("native", description="Whose shape the answer has. By default ours.")
    masks: Masks | None = Field(
        None,
        description="What masks become: run lengths, rings, PNGs (one for each instance, one for a "
        "partition) or nothing. By default the format's usual way. Not every format has all.",
    )
    tolerance: float = Field(
        0,
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="Of outlines, in pixels: no corner that is left out is further from what "
        "stays. 0, the default, keeps the outline exact.",
    )
