"""What goes over the wire, as records: the OpenAPI document is made from them.

Answers with masks are built as JSON by `model.answers.json_answer`; these records describe them,
and tests hold the two together.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from model.geometry import SIZE_DIVISOR
from service.configuration.settings import Settings
from service.engine import ModelInfo, Task
from service.http.options.records import RECORDS, Options, PanopticOptions, SegmentOptions
from service.http.requests.sent_images import MAX_ID_CHARACTERS


class Wire(BaseModel):
    """A record that nobody adds members to."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunLengths(Wire):
    """A mask as COCO compressed RLE; `pycocotools.mask` reads it as it is."""

    size: tuple[int, int] = Field(description="Height and width of the upright image.")
    counts: str


class AnsweringModel(Wire):
    """The model that answered."""

    name: str
    weights: str = Field(description="Digest of the weights file, `sha256:<hex>`.")
    categories: str = Field(description="Name of the data set whose ids and names are used.")


class Instance(Wire):
    """One instance, in pixels of the upright image."""

    category_id: int = Field(description="The data set's own id (COCO: 1 to 90 with gaps).")
    category: str
    score: float = Field(ge=0, le=1)
    bbox: tuple[float, float, float, float] = Field(description="x, y, width, height.")
    area: int | None = Field(None, description="Pixels of the mask; absent with masks=none.")
    segmentation: RunLengths | list[list[float]] | None = Field(
        None,
        description="Run lengths with masks=rle; rings [x1, y1, x2, y2, …] with masks=polygon; "
        "absent with masks=none.",
    )
    holes: list[int] | None = Field(
        None, description="Which rings are holes; with masks=polygon only."
    )
    png: str | None = Field(
        None, description="Base64 of the mask as a grey PNG; of /convert with masks=png only."
    )


class SegmentedImage(Wire):
    """One image's instances, best score first."""

    id: str | None = Field(description="The id that came with the image, or the part's file name.")
    width: int
    height: int
    instances: list[Instance]


class SegmentAnswer(Wire):
    """The answer of /segment: one entry of `images` for each image sent, in order."""

    model: AnsweringModel
    images: list[SegmentedImage]


class PanopticSegment(Wire):
    """One segment of a partition, in pixels of the upright image."""

    id: int = Field(description="Its number in the partition, from 1.")
    category_id: int
    category: str
    isthing: bool
    score: float | None = Field(None, ge=0, le=1, description="Absent for stuff.")
    bbox: tuple[int, int, int, int] = Field(description="x, y, width, height.")
    area: int
    segmentation: RunLengths | None = Field(None, description="With masks=rle only.")


class PanopticImage(Wire):
    """One image's partition; a pixel in no segment is void."""

    id: str | None = Field(description="The id that came with the image, or the part's file name.")
    width: int
    height: int
    segments: list[PanopticSegment]
    png: str | None = Field(
        None,
        description="With masks=png: base64 of COCO's panoptic PNG, id = R + 256 G + 65536 B, "
        "0 is void.",
    )


class PanopticAnswer(Wire):
    """The answer of /panoptic: one entry of `images` for each image sent, in order."""

    model: AnsweringModel
    images: list[PanopticImage]


class JsonImage(Wire):
    """One image in a JSON body: `data`, or `url` where the operator allows it."""

    data: str | None = Field(None, description="Base64 of the encoded image, or a data: URI.")
    url: str | None = Field(
        None, description="Where to fetch it from; 403 where the operator does not allow that."
    )
    id: str | None = Field(
        None,
        max_length=MAX_ID_CHARACTERS,
        description="Comes back with the answer. A longer one is refused with 422.",
    )


class _JsonImages(BaseModel):
    image: JsonImage | None = Field(None, description="Instead of `images`, for a single one.")
    images: list[JsonImage] | None = Field(None, min_length=1)


class SegmentRequest(_JsonImages, SegmentOptions):
    """The JSON body of /segment: the images, and any option beside them."""


class PanopticRequest(_JsonImages, PanopticOptions):
    """The JSON body of /panoptic: the images, and any option beside them."""


class NamedCategory(Wire):
    """A category of the data set."""

    id: int
    name: str


class CategoryLists(Wire):
    """A data set's categories."""

    name: str
    things: list[NamedCategory]
    stuff: list[NamedCategory]


class InputRule(Wire):
    """How images are resized: the shorter side to `short_side`, the longer one to `max_side` at
    most; 0 keeps the size. The canvas is a multiple of `size_divisor`.
    """

    short_side: int
    max_side: int
    size_divisor: int


class TaskDefaults(Wire):
    """What applies where the caller says nothing."""

    score_threshold: float
    max_instances: int
    masks: str


class ModelDescription(Wire):
    """A loaded model."""

    name: str
    tasks: list[Task]
    configuration: str
    weights: str = Field(description="Digest of the weights file, `sha256:<hex>`.")
    device: str
    precision: str
    categories: CategoryLists
    input: InputRule
    defaults: dict[Task, TaskDefaults]


class ModelList(Wire):
    """The loaded models; the first that can do a task is its default."""

    models: list[ModelDescription]


class Health(Wire):
    """How the server is."""

    status: Literal["ok", "ready"]


class ImagePointer(Wire):
    """Which image of the request an error is about."""

    index: int = Field(ge=0)
    id: str | None


class Problem(Wire):
    """Why a request was not answered (RFC 9457)."""

    type: str = Field(description="Stable name of the kind of error.")
    title: str
    status: int
    detail: str = Field(description="One sentence that says what to change.")
    request_id: str
    image: ImagePointer | None = Field(None, description="The first bad image, where one is.")


def describe_model(model: ModelInfo, settings: Settings) -> dict[str, Any]:
    """Return a loaded model as /models shows it, ready for JSON."""
    threshold = model.usual_threshold(settings.score_threshold)
    thresholds: dict[Task, float] = {
        "segment": threshold,
        "panoptic": model.config.panoptic_threshold(threshold),
    }
    description = ModelDescription(
        name=model.name,
        tasks=list(model.tasks),
        configuration=model.config.name,
        weights=f"sha256:{model.sha256}",
        device=model.device,
        precision=model.precision,
        categories=CategoryLists.model_validate(model.categories.to_dict()),
        input=InputRule(
            short_side=model.config.input.short_side,
            max_side=model.config.input.max_side,
            size_divisor=SIZE_DIVISOR,
        ),
        defaults={
            task: TaskDefaults(
                score_threshold=thresholds[task],
                max_instances=Options.model_fields["max_instances"].default,
                masks=RECORDS[task].model_fields["masks"].default,
            )
            for task in model.tasks
        },
    )
    return description.model_dump()
