"""Options from the query, JSON members and form fields of a request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from model.answers.dialects.choice import masks_of
from service.engine import Task
from service.errors import OptionError
from service.http.options.records import (
    CUTOUT_ALONE,
    RECORDS,
    Options,
    PanopticOptions,
    SegmentOptions,
    masks_to_tell,
)
from service.wording import nearest, quoted

# What a JSON body has beside options.
IMAGE_MEMBERS = ("images", "image")


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


def _check_masks(task: Task, options: SegmentOptions | PanopticOptions) -> None:
    possible = masks_of(options.format, is_panoptic=task == "panoptic")
    masks = masks_to_tell(task, options)
    if masks not in possible:
        raise OptionError(
            f"masks is {masks!r}, which format={options.format} of /{task} cannot tell; use "
            f"{', '.join(possible)}"
        )


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
