"""One rule and one wording for an operation's arguments, at the door and behind it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from bad_arguments import BAD, BAD_TYPES, GOOD, call_door

from model.operations import ops

needs_compiler = pytest.mark.skipif(
    not ops.is_compiled("paste_rle", "cpu"), reason="the CPU operations were not built"
)


@pytest.mark.parametrize(("name", "values"), GOOD)
def test_arguments_that_fit_are_taken(name: str, values: tuple[Any, ...]) -> None:
    call_door(name, values)
    getattr(torch.ops.blendmask, name)(*values)


@pytest.mark.parametrize(("name", "values", "message"), BAD)
def test_the_door_says_what_came_and_what_would_fit(
    name: str, values: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(f"{name}: {message}") + "$"):
        call_door(name, values)


@needs_compiler
@pytest.mark.parametrize(("name", "values", "message"), BAD)
def test_compiled_operations_say_it_in_the_same_words(
    name: str, values: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(RuntimeError, match=re.escape(f"{name}: {message}") + "$"):
        getattr(torch.ops.blendmask, name)(*values)


@needs_compiler
@pytest.mark.parametrize(("name", "values", "message"), BAD_TYPES)
def test_compiled_operations_refuse_other_types(
    name: str, values: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(RuntimeError, match=re.escape(f"{name}: {message}")):
        getattr(torch.ops.blendmask, name)(*values)


@pytest.mark.parametrize(("name", "values"), GOOD)
def test_tensors_of_several_devices_are_refused_at_the_door(
    name: str, values: tuple[Any, ...]
) -> None:
    elsewhere = (values[0], values[1].to("meta"), *values[2:])
    with pytest.raises(ValueError, match=f"^{name}: all tensors must be on the same device$"):
        call_door(name, elsewhere)


@needs_compiler
def test_image_that_is_not_there_is_refused() -> None:
    (name, values) = GOOD[2]
    with pytest.raises(RuntimeError, match="blend: image 7 of 2"):
        getattr(torch.ops.blendmask, name)(*values[:2], values[2] + 7, *values[3:])
