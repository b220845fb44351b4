"""The options of a request: one record for each task, from the query, JSON members and forms.

The OpenAPI document takes names, ranges and defaults from these records too. What they ask of a
picture goes on as a `PictureTask`, which is made of them here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from model.answers.dialects.choice import Dialect, Masks, masks_of
from model.pictures.background import Background
from model.prediction.options import PredictOptions
from service.engine import Cutout, ModelInfo, PictureTask, Task
from service.errors import OptionError
from service.http.requests.negotiation import Render
from service.wording import nearest, quoted

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


def read_options(
    task: Task,
    query: Iterable[tuple[str, str]],
    members: Mapping[str, Any],
    fields: Iterable[tuple[str, str]] = (),
) -> SegmentOptions | PanopticOptions:
    """Return the options, those of the query string and of the body together.

    Args:
        query: names and values in order; an option may come more than once.
        members: the JSON body's members beside the images; null counts as not given.
        fields: of a form, as the query; an empty one counts as not given.
    Raises:
        OptionError: unknown, out of range, given twice with different values, or what goes not
            together.
    """
    options = RECORDS[task](**_chosen(task, query, members, fields))
    _check_masks(task, options)
    for name in sorted(CUTOUT_ALONE.intersection(options.model_fields_set)):
        if options.render != "cutout":
            raise OptionError(f"{name} is for render=cutout; ask for that, or leave {name} out")
    return options


def check_query(task: Task, query: Iterable[tuple[str, str]]) -> None:
    """Raise OptionError for what no body beside that query can mend."""
    _chosen(task, query, {}, ())


def _chosen(
    task: Task,
    query: Iterable[tuple[str, str]],
    members: Mapping[str, Any],
    fields: Iterable[tuple[str, str]],
) -> dict[str, Any]:
    """Return the values that are given, each right in itself."""
    record = RECORDS[task]
    given: list[tuple[str, Any]] = [
        *_texts(record, query, "query parameter"),
        *((name, text) for name, text in _texts(record, fields, "form field") if text),
    ]
    for name, value in members.items():
        _known(name, (*record.model_fields, *IMAGE_MEMBERS), "JSON member")
        if value is not None:
            given.append((name, value))
    chosen: dict[str, Any] = {}
    for name, value in given:
        checked = _check(record, name, value)
        if name in chosen and chosen[name] != checked:
            raise OptionError(
                f"{name} is given twice, as {quoted(chosen[name])} and {quoted(checked)}; "
                "give it once"
            )
        chosen[name] = checked
    return chosen


def _texts(
    record: type[Options], pairs: Iterable[tuple[str, str]], kind: str
) -> Iterator[tuple[str, str]]:
    """Yield names and texts; those of `classes` together, as one text."""
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        texts.setdefault(_known(name, record.model_fields, kind), []).append(text)
    for name, values in texts.items():
        together = [",".join(values)] if name == "classes" else values
        yield from ((name, text) for text in together)


def picture_task(
    task: Task,
    options: SegmentOptions | PanopticOptions,
    model: ModelInfo,
    usual_threshold: float,
    picture_type: str | None,
) -> PictureTask:
    """Return what the options ask of each picture.

    Args:
        usual_threshold: where they name none.
        picture_type: of the picture to answer with; None: JSON.
    Raises:
        OptionError: the model has not the classes.
    """
    threshold = options.score_threshold
    masks = _masks(task, options)
    cutout = None
    if options.render == "cutout":
        number = options.instance if isinstance(options, SegmentOptions) else options.segment
        cutout = Cutout(number=number, crop=bool(options.crop))
    if task == "segment":
        needs_masks = masks != "none" or cutout is not None
    else:  # a drawing and a PNG are made from the partition
        needs_masks = masks in ("rle", "polygon") and picture_type is None
    predict = PredictOptions(
        score_threshold=usual_threshold if threshold is None else threshold,
        max_instances=options.max_instances,
        category_ids=_category_ids(model, options.classes),
        masks=needs_masks,
    )
    return PictureTask(
        task=task,
        predict=predict,
        masks=masks,
        picture_type=picture_type,
        format=options.format,
        cutout=cutout,
        background=options.background,
    )


def _masks(task: Task, options: SegmentOptions | PanopticOptions) -> Masks:
    """Return how the answer tells masks: as asked, else in the format's usual way."""
    if "masks" in options.model_fields_set:
        return options.masks
    return masks_of(options.format, is_panoptic=task == "panoptic")[0]


def _check_masks(task: Task, options: SegmentOptions | PanopticOptions) -> None:
    possible = masks_of(options.format, is_panoptic=task == "panoptic")
    masks = _masks(task, options)
    if masks not in possible:
        raise OptionError(
            f"masks is {masks!r}, which format={options.format} of /{task} cannot tell; use "
            f"{', '.join(possible)}"
        )


def _category_ids(model: ModelInfo, classes: tuple[str | int, ...] | None) -> frozenset[int] | None:
    if classes is None:
        return None
    try:
        return frozenset(model.categories.find(wanted).id for wanted in classes)
    except ValueError as error:
        raise OptionError(str(error)) from None


def _known(name: str, known: Collection[str], kind: str) -> str:
    if name in known:
        return name
    raise OptionError(
        f"unknown {kind} {quoted(name)}; the nearest known one is {quoted(nearest(name, known))}"
    )


def _check(record: type[Options], name: str, value: Any) -> Any:
    try:
        return getattr(record.model_validate({name: value}), name)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        wanted = message.replace("Input should", "it must")
        raise OptionError(f"{name} is {quoted(value)}; {wanted}") from None
