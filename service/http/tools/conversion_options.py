"""The options of POST /convert."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from model.answers.conversion import masks_to_convert_to
from model.answers.dialects.choice import Masks
from service.errors import OptionError
from service.http.openapi.conversion_schemas import ConversionOptions
from service.wording import nearest, quoted


def read_conversion(query: Iterable[tuple[str, str]]) -> ConversionOptions:
    """Return the options that a query string gives.

    Raises:
        OptionError: unknown, out of range or given twice.
    """
    given: dict[str, Any] = {}
    for name, text in query:
        if name not in ConversionOptions.model_fields:
            close = nearest(name, ConversionOptions.model_fields)
            raise OptionError(
                f"unknown query parameter {quoted(name)}; the nearest known one is {quoted(close)}"
            )
        if given.setdefault(name, text) != text:
            raise OptionError(f"{name} is given twice, with different values; give it once")
    try:
        return ConversionOptions(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        wanted = first["msg"].replace("Input should", "it must")
        raise OptionError(f"{first['loc'][0]} is {quoted(first['input'])}; {wanted}") from None


def masks_to_tell(options: ConversionOptions, *, is_panoptic: bool) -> Masks:
    """Return what masks become. Raises OptionError where the format has them not so."""
    possible = masks_to_convert_to(options.format, is_panoptic=is_panoptic)
    if options.masks is None:
        return possible[0]
    if options.masks not in possible:
        kind = "segments" if is_panoptic else "instances"
        raise OptionError(
            f"masks is {options.masks!r}, which format={options.format} of {kind} cannot tell; "
            f"use {', '.join(possible)}"
        )
    return options.masks
