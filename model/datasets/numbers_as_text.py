"""Numbers that a file has as text, `"480"` for 480, and ids that it has in two ways."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

ImageId = int | str


def as_number(value: Any) -> Any:
    """Return the finite number that a text stands for; anything else as it is."""
    if not isinstance(value, str) or "_" in value:  # 1_0 is a name, not ten
        return value
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value


def as_numbers(value: Any) -> Any:
    """Return a value with the numbers that it, or the list that it is, has as text.

    It is the same object where there are none.
    """
    if isinstance(value, str):
        return as_number(value)
    if isinstance(value, list) and str in map(type, value):
        return [as_number(item) for item in value]
    return value


def as_id(value: Any) -> Any:
    """Return a whole number in place of `1.0`; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class PictureIds:
    """The ids of a file's pictures; they are found as `1`, `"1"` and `"000001"` too."""

    def __init__(self, ids: Iterable[ImageId]) -> None:
        self._ids = set(ids)
        self._by_number: dict[int, ImageId | None] = {}
        for image_id in self._ids:
            number = as_number(image_id)
            if isinstance(number, int):
                # Of two that are the same number neither can be meant.
                self._by_number[number] = None if number in self._by_number else image_id

    def find(self, given: ImageId) -> ImageId | None:
        """Return the picture's own id, None if there is no such picture."""
        if given in self._ids:
            return given
        number = as_number(given)
        return self._by_number.get(number) if isinstance(number, int) else None
