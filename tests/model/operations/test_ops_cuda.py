"""The CUDA operations on a GPU, held to the CPU's: byte for byte, but for float64."""

from __future__ import annotations

import functools
import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from mask_cases import MaskCase, mask_cases
from pasting import paste_one
from scenes import random_scene
from torch import Tensor

from model.config import PanopticConfig
from model.operations import devices, ops
from model.operations.devices import num_segments
from model.prediction.panoptic import merge
from model.prediction.paste import BoxedMaps, paste

OPERATIONS = ["paste_rle", "compress_rle", "blend", "panoptic_merge"]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.skipif(
        not all(ops.is_compiled(name, "cuda") for name in OPERATIONS),
        reason="the CUDA operations were not built",
    ),
]
EXAMPLES = {
    "max_examples": 400,
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}


def on_device(*values: Any, device: str = "cuda") -> tuple[Any, ...]:
    return tuple(one.to(device) if isinstance(one, Tensor) else one for one in values)


def trimmed(packed: Tensor, offsets: Tensor) -> Tensor:
    return packed[: int(offsets[-1])].cpu()


def arguments(seed: int, number: int = 6) -> tuple[Tensor, Tensor, int, int, float]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(number, 4, 4, generator=generator)
    maps = maps.repeat_interleave(7, dim=1).repeat_interleave(7, dim=2)
    corners = torch.rand(number, 2, generator=generator) * 60
    extents = torch.rand(number, 2, generator=generator) * 40
    return maps, torch.cat([corners, corners + extents], dim=1), 80, 100, 0.5


def blend_arguments(seed: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    rand = functools.partial(torch.rand, generator=torch.Generator().manual_seed(seed))
    corners = rand(12, 2) * 120 - 30
    boxes = torch.cat([corners, corners + rand(12, 2) * 10 ** (rand(12, 1) * 3 - 1)], dim=1)
    size = [14, 7, 1, 5][seed % 4]
    return (
        (rand(2, 4, 16, 20) * 6 - 3).to(dtype),
        boxes.to(dtype),
        (rand(12) * 2).long(),
        (rand(12, 4, size, size) * 8 - 4).to(dtype),
    )


def assert_pastes_as_the_cpu(values: tuple[Any, ...], device: str = "cuda") -> None:
    counts, *rest = torch.ops.blendmask.paste_rle(*on_device(*values, device=device))
    expected_counts, *expected = torch.ops.blendmask.paste_rle(*values)
    assert all(torch.equal(ours.cpu(), theirs) for ours, theirs in zip(rest, expected, strict=True))
    assert torch.equal(trimmed(counts, rest[0]), expected_counts[: len(counts)])
    if rest[0][-1] > len(counts):
        return
    text, offsets = torch.ops.blendmask.compress_rle(counts, rest[0])
    expected_text, expected_offsets = torch.ops.blendmask.compress_rle(expected_counts, expected[0])
    assert torch.equal(offsets.cpu(), expected_offsets)
    assert torch.equal(trimmed(text, offsets), expected_text)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_passes_the_check_before_its_first_use(operation: str) -> None:
    devices._agrees.cache_clear()
    assert devices._agrees(operation, torch.device("cuda"))


@settings(**EXAMPLES)
@given(mask_cases())
def test_run_lengths_are_the_cpus(case: MaskCase) -> None:
    assert_pastes_as_the_cpu(
        (case.probabilities, case.boxes_xyxy, case.height, case.width, case.threshold)
    )


def test_large_pictures_run_lengths_are_the_cpus() -> None:
    maps, boxes, *_ = arguments(0, number=100)
    assert_pastes_as_the_cpu((maps, boxes * 40, 3000, 4000, 0.5))


def test_strings_of_a_million_counts_are_the_cpus() -> None:
    lengths = torch.randint(0, 2000, (1000,), generator=torch.Generator().manual_seed(0))
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    counts = torch.arange(int(offsets[-1])) ** 2 % 10_000_019
    text, places = torch.ops.blendmask.compress_rle(counts.cuda(), offsets.cuda())
    expected = torch.ops.blendmask.compress_rle(counts, offsets)
    assert torch.equal(places.cpu(), expected[1])
    assert torch.equal(trimmed(text, places), expected[0])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "rest", [(56, 1, True, True), (28, 1, True, False), (9, 2, False, True), (1, 3, True, True)]
)
def test_probabilities_are_the_cpus(seed: int, rest: tuple[int, int, bool, bool]) -> None:
    values = blend_arguments(seed)
    ours = torch.ops.blendmask.blend(*on_device(*values), *rest)
    assert torch.equal(ours.cpu(), torch.ops.blendmask.blend(*values, *rest))
    wide = blend_arguments(seed, torch.float64)
    ours = torch.ops.blendmask.blend(*on_device(*wide), *rest)
    torch.testing.assert_close(ours.cpu(), torch.ops.blendmask.blend(*wide, *rest))


def test_gradients_are_right_in_bases_and_attentions() -> None:
    bases, boxes, images, attentions = on_device(*blend_arguments(3, torch.float64))
    given = (bases[:, :, :6, :6].clone().requires_grad_(), attentions[:2].requires_grad_())

    def blended(bases: Tensor, attentions: Tensor) -> Tensor:
        return ops.blend(bases, boxes[:2], images[:2], attentions, mask_size=5)

    assert torch.autograd.gradcheck(blended, given, nondet_tol=1e-9)  # roi_align adds atomically


@pytest.mark.parametrize("seed", range(60))
def test_partition_is_the_cpus(seed: int) -> None:
    tensors, view, output = random_scene(seed)
    values = (*tensors, *view, *output, 0.5, 0.3, [0.4, 0.0, 1.0][seed % 3], seed % 7 * 20)
    merged = torch.ops.blendmask.panoptic_merge(*on_device(*values))
    ids, sources, areas, boxes, counts, offsets = (one.cpu() for one in merged)
    expected = torch.ops.blendmask.panoptic_merge(*values)
    number = num_segments(sources)
    ours = (ids, sources[:number], areas[:number], boxes[:number])
    assert all(map(torch.equal, ours, expected))
    assert torch.equal(counts[: offsets[-1]], expected[4])
    assert torch.equal(offsets[: number + 1], expected[5])


def test_masks_on_a_device_are_those_on_the_cpu_with_room_and_without() -> None:
    noise = torch.rand(3, 56, 56, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.0, 0.0, 300.0, 200.0]]).repeat(3, 1)
    quiet = arguments(1)[:4]
    batch = [quiet, (noise, boxes, 200, 300)]
    given = [
        BoxedMaps(probabilities=maps.cuda(), boxes_xyxy=boxes.cuda(), height=height, width=width)
        for maps, boxes, height, width in batch
    ]
    ours = paste(given)
    for one, picture in zip(ours, batch, strict=True):
        assert one.masks == paste_one(*picture)


def test_merged_partition_on_a_device_is_the_one_on_the_cpu() -> None:
    (maps, boxes, scores, logits), view, output = random_scene(5)
    values = (maps, boxes, scores, torch.arange(len(scores)), logits)
    sizes = {"resized_size": view, "output_size": output}
    config = PanopticConfig(min_stuff_area=1)
    ours = merge(*on_device(*values), **sizes, config=config)
    expected = merge(*values, **sizes, config=config)
    assert ours.segments == expected.segments
    assert (ours.segment_ids == expected.segment_ids).all()


def every_operation(stage: dict[str, Any]) -> list[Any]:
    counts, offsets, *rest = torch.ops.blendmask.paste_rle(*stage["paste"])
    text = torch.ops.blendmask.compress_rle(counts, offsets)
    blended = torch.ops.blendmask.blend(*stage["blend"], 28, 1, True, True)
    merged = torch.ops.blendmask.panoptic_merge(*stage["merge"])
    return [offsets, *rest, text[1], blended, *merged[:4]]


def stage_of(seed: int) -> dict[str, Any]:
    tensors, view, output = random_scene(seed)
    return {
        "paste": on_device(*arguments(seed)),
        "blend": on_device(*blend_arguments(seed)),
        "merge": on_device(*tensors, *view, *output, 0.5, 0.3, 0.4, 20),
    }


def test_operations_never_wait_for_the_device() -> None:
    stage = stage_of(2)
    every_operation(stage)
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        every_operation(stage)
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def test_operations_run_on_the_callers_stream() -> None:
    """Captured into a graph, which refuses work on any other stream, and waiting."""
    stage = stage_of(2)
    expected = every_operation(stage)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = every_operation(stage)
    graph.replay()
    torch.cuda.synchronize()
    assert all(map(torch.equal, captured, expected))


def test_threads_at_once_get_the_same_bytes() -> None:
    stages = [stage_of(seed) for seed in range(6)]
    alone = [every_operation(stage) for stage in stages]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(10):
            for result, expected in zip(pool.map(every_operation, stages), alone, strict=True):
                assert all(map(torch.equal, result, expected))


def test_ten_thousand_calls_leave_no_memory_behind() -> None:
    values = on_device(*arguments(0))
    torch.ops.blendmask.compress_rle(*torch.ops.blendmask.paste_rle(*values)[:2])
    gc.collect()
    before = torch.cuda.memory_allocated()
    for _ in range(10_000):
        torch.ops.blendmask.compress_rle(*torch.ops.blendmask.paste_rle(*values)[:2])
    assert torch.cuda.memory_allocated() == before


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one CUDA device only")
def test_tensors_of_another_device_than_the_current_one_are_taken() -> None:
    assert_pastes_as_the_cpu(arguments(0), device="cuda:1")


def test_tensors_of_two_devices_are_refused() -> None:
    maps, boxes, *rest = arguments(0)
    with pytest.raises(RuntimeError, match="must be on the same device"):
        torch.ops.blendmask.paste_rle(maps.cuda(), boxes, *rest)


def test_no_instances_give_empty_tensors() -> None:
    packed = torch.ops.blendmask.paste_rle(*on_device(*arguments(0, number=0)))
    assert [tuple(one.shape) for one in packed] == [(0,), (1,), (0,), (0, 4)]
    assert paste_one(*on_device(*arguments(0, number=0))) == []


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_operations_keep_the_dispatchers_rules() -> None:
    stage = stage_of(3)
    torch.library.opcheck(torch.ops.blendmask.blend.default, (*stage["blend"], 14, 1, True, True))
    # What is beyond the used part is rubbish: comparing values is not for these.
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.blendmask.paste_rle.default, stage["paste"], test_utils=checks)
    torch.library.opcheck(
        torch.ops.blendmask.panoptic_merge.default, stage["merge"], test_utils=checks
    )
