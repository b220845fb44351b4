"""The kernels' own code, run on the CPU (see `kernel_emulation`), against the CPU's operations."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from kernel_emulation import COMPILER, emulated
from mask_cases import MaskCase, mask_cases
from torch import Tensor

from model import ops_reference

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")
EXAMPLES = {
    "max_examples": int(os.environ.get("BLENDMASK_EMULATED_CASES", "300")),
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": [
        HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture,
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Any:
    sanitize = os.environ.get("BLENDMASK_SANITIZE") == "1"
    return emulated(tmp_path_factory.mktemp("emulated"), sanitize=sanitize)


def used(packed: Tensor, offsets: Tensor) -> Tensor:
    """The part of a buffer with room to spare that holds something."""
    return packed[: int(offsets[-1])]


def assert_pastes_as_the_reference(kernels: Any, case: MaskCase) -> bool:
    """Say, too, whether there was room for all run lengths."""
    values = (case.probabilities, case.boxes_xyxy, case.height, case.width, case.threshold)
    counts, *rest = kernels.paste_rle(*values)
    expected_counts, *expected_rest = ops_reference.paste_rle(*values)
    assert all(map(torch.equal, rest, expected_rest))
    assert torch.equal(used(counts, rest[0]), expected_counts[: len(counts)])
    if rest[0][-1] > len(counts):
        kernels.compress_rle(counts, rest[0])  # what it returns is nothing, but it must not fail
        return False
    text, offsets = kernels.compress_rle(counts, rest[0])
    expected_text, expected_offsets = ops_reference.compress_rle(expected_counts, rest[0])
    assert torch.equal(offsets, expected_offsets)
    assert torch.equal(used(text, offsets), expected_text)
    return True


@settings(**EXAMPLES)
@given(mask_cases())
def test_kernels_run_lengths_are_the_references(kernels: Any, case: MaskCase) -> None:
    assert_pastes_as_the_reference(kernels, case)


def noise(number: int, height: int, width: int) -> MaskCase:
    maps = torch.rand(number, 56, 56, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.0, 0.0, width, height]]).repeat(number, 1)
    return MaskCase(maps, boxes, height, width, 0.5)


def test_masks_too_busy_for_the_room_are_counted_all_the_same(kernels: Any) -> None:
    assert not assert_pastes_as_the_reference(kernels, noise(3, 200, 300))


def test_quiet_masks_find_room(kernels: Any) -> None:
    case = noise(3, 200, 300)
    quiet = MaskCase((case.probabilities > 2).float() + 0.9, case.boxes_xyxy, 200, 300, 0.5)
    assert assert_pastes_as_the_reference(kernels, quiet)


def test_no_masks_give_empty_tensors(kernels: Any) -> None:
    packed = kernels.paste_rle(torch.zeros(0, 4, 4), torch.zeros(0, 4), 5, 5, 0.5)
    assert [tuple(one.shape) for one in packed] == [(0,), (1,), (0,), (0, 4)]
    text, offsets = kernels.compress_rle(*packed[:2])
    assert (len(text), offsets.tolist()) == (0, [0])


def test_kernels_strings_of_random_counts_are_the_references(kernels: Any) -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(0, 30, 2000)  # enough for a scan of several levels
    counts = random.integers(0, 2 ** random.integers(1, 62, lengths.sum()), lengths.sum())
    packed = torch.from_numpy(counts), torch.from_numpy(np.append(0, lengths.cumsum()))
    text, offsets = kernels.compress_rle(*packed)
    expected_text, expected_offsets = ops_reference.compress_rle(*packed)
    assert torch.equal(offsets, expected_offsets)
    assert torch.equal(used(text, offsets), expected_text)
