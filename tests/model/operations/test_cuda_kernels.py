"""The kernels' own code, run on the CPU (see `kernel_emulation`), against the CPU's operations."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from bad_arguments import BAD, BAD_TYPES
from hypothesis import HealthCheck, given, settings
from kernel_emulation import COMPILER, emulated
from mask_cases import MaskCase, mask_cases
from pasting import paste_one
from scenes import random_scene
from torch import Tensor

from model.config import PanopticConfig
from model.masks.run_lengths import compress
from model.operations import reference
from model.prediction.panoptic import merge

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
    expected_counts, *expected_rest = reference.paste_rle(*values)
    assert all(map(torch.equal, rest, expected_rest))
    assert torch.equal(used(counts, rest[0]), expected_counts[: len(counts)])
    if rest[0][-1] > len(counts):
        kernels.compress_rle(counts, rest[0])  # what it returns is nothing, but it must not fail
        return False
    text, offsets = kernels.compress_rle(counts, rest[0])
    expected_text, expected_offsets = reference.compress_rle(expected_counts, rest[0])
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


@pytest.mark.parametrize(("name", "values", "message"), BAD + BAD_TYPES)
def test_kernels_refuse_what_the_cpu_refuses(
    kernels: Any, name: str, values: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(RuntimeError, match=re.escape(f"{name}: {message}")):
        getattr(kernels, name)(*values)


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
    expected_text, expected_offsets = reference.compress_rle(*packed)
    assert torch.equal(offsets, expected_offsets)
    assert torch.equal(used(text, offsets), expected_text)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernels_probabilities_are_the_cpus(kernels: Any, seed: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(7, 2, generator=generator) * 120 - 30
    extents = torch.rand(7, 2, generator=generator) * 10 ** (
        torch.rand(7, 1, generator=generator) * 3 - 1
    )
    size = [14, 7, 1, 5][seed % 4]
    values = (
        (torch.rand(2, 4, 16, 20, generator=generator) * 6 - 3).to(dtype),
        torch.cat([corners, corners + extents], dim=1).to(dtype),
        torch.randint(2, (7,), generator=generator),
        (torch.rand(7, 4, size, size, generator=generator) * 8 - 4).to(dtype),
    )
    rest = [(56, 1, True, True), (28, 1, True, False), (9, 2, False, True), (1, 3, True, True)]
    ours = kernels.blend(*values, *rest[seed // 4 + seed % 2])
    assert torch.equal(ours, torch.ops.blendmask.blend(*values, *rest[seed // 4 + seed % 2]))


def test_image_that_is_not_there_gives_no_number(kernels: Any) -> None:
    values = (torch.ones(1, 2, 8, 8), torch.tensor([[0.0, 0.0, 9.0, 9.0]]).repeat(2, 1))
    images, attentions = torch.tensor([0, 1]), torch.ones(2, 2, 3, 3)
    mask = kernels.blend(*values, images, attentions, 4, 1, True, True)
    assert mask.isnan().flatten(1).all(dim=1).tolist() == [False, True]


def assert_merges_as_the_cpu(kernels: Any, values: tuple[Any, ...]) -> bool:
    """Say, too, whether there was room for all run lengths."""
    ids, sources, areas, boxes, counts, offsets = kernels.panoptic_merge(*values)
    expected = torch.ops.blendmask.panoptic_merge(*values)
    number = len(expected[1])
    assert (sources[number:] == torch.iinfo(torch.int64).min).all()
    ours = (ids, sources[:number], areas[:number], boxes[:number])
    assert all(map(torch.equal, ours, expected))
    assert torch.equal(offsets[: number + 1], expected[5])
    assert (offsets[number:] == offsets[number]).all()
    assert torch.equal(used(counts, offsets), expected[4][: len(counts)])
    return bool(offsets[-1] <= len(counts))


@pytest.mark.parametrize("seed", range(40))
def test_kernels_partition_is_the_cpus(kernels: Any, seed: int) -> None:
    tensors, view, output = random_scene(seed)
    overlap = [0.4, 0.0, 1.0][seed % 3]
    values = (*tensors, *view, *output, 0.5, 0.3, overlap, seed % 7 * 20)
    assert assert_merges_as_the_cpu(kernels, values)


def test_partition_of_noise_is_counted_beyond_the_room(kernels: Any) -> None:
    maps, boxes, scores, _ = random_scene(1)[0]
    logits = torch.randn(5, 120, 4, generator=torch.Generator().manual_seed(0))
    values = (maps[:0], boxes[:0], scores[:0], logits, 480, 16, 1500, 16, 0.5, 0.3, 0.4, 1)
    assert not assert_merges_as_the_cpu(kernels, values)


def test_ties_go_to_the_first_label_as_on_the_cpu(kernels: Any) -> None:
    maps, boxes, scores, _ = random_scene(1)[0]
    logits = torch.randint(2, (7, 20, 24), generator=torch.Generator().manual_seed(0)).float()
    values = (maps[:0], boxes[:0], scores[:0], logits, 79, 95, 41, 130, 0.5, 0.3, 0.4, 1)
    assert_merges_as_the_cpu(kernels, values)


@pytest.fixture
def on_kernels(kernels: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations return what the kernels do; a second call on the same finds the CPU's."""
    called: list[str] = []

    def once(name: str) -> Callable[..., Any]:
        real = getattr(torch.ops.blendmask, name)

        def run(*arguments: Any) -> Any:
            called.append(name)
            again = called.count(name) > 1
            return (real if again else getattr(kernels, name))(*arguments)

        return run

    for name in ("paste_rle", "compress_rle", "panoptic_merge"):
        monkeypatch.setattr(torch.ops.blendmask, name, once(name))
    return called


def test_spare_room_does_not_show_in_masks(on_kernels: list[str]) -> None:
    case = noise(3, 90, 80)
    quiet = (torch.ones(3, 56, 56), case.boxes_xyxy, 90, 80)
    expected = [{"size": [90, 80], "counts": compress([0, 7200])}] * 3
    assert paste_one(*quiet) == expected
    assert on_kernels == ["paste_rle", "compress_rle"]


def test_characters_beyond_the_first_copy_are_fetched(
    on_kernels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.prediction.rle_strings._CHARACTERS", 2)
    masks = paste_one(torch.ones(3, 56, 56), torch.tensor([[1.0, 2.0, 30.0, 40.0]] * 3), 50, 50)
    column = [38, 12] * 28
    assert [one["counts"] for one in masks] == [compress([52, *column, 38, 1010])] * 3


def test_masks_without_room_are_made_on_the_cpu(on_kernels: list[str]) -> None:
    case = noise(2, 200, 300)
    masks = paste_one(case.probabilities, case.boxes_xyxy, 200, 300)
    assert on_kernels == ["paste_rle", "compress_rle"] * 2
    counts, offsets, *_ = reference.paste_rle(case.probabilities, case.boxes_xyxy, 200, 300, 0.5)
    text, bounds = reference.compress_rle(counts, offsets)
    assert b"".join(one["counts"] for one in masks) == bytes(text.tolist())
    assert len(bounds) == 3


@pytest.mark.parametrize("masks", [True, False])
def test_partition_is_the_same_with_spare_room(on_kernels: list[str], masks: bool) -> None:
    partitions = []
    for _ in range(2):
        tensors, view, output = random_scene(5)
        maps, boxes, scores, logits = tensors
        classes = torch.arange(len(scores))
        partitions.append(
            merge(
                maps, boxes, scores, classes, logits, resized_size=view, output_size=output,
                config=PanopticConfig(min_stuff_area=1), masks=masks,
            )
        )  # fmt: skip
    ours, expected = partitions
    assert ours.segments == expected.segments
    assert len(ours.segments) > 3
    assert (ours.segment_ids == expected.segment_ids).all()
    assert on_kernels == ["panoptic_merge", "compress_rle"][: 1 + masks] * 2
