from __future__ import annotations

import gc
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from mask_cases import CASES_AT_ONCE, MaskCase, mask_cases
from pasting import paste_measured
from pycocotools import mask as coco_mask
from torch import Tensor

from model.masks.run_lengths import compress
from model.operations import devices, ops, reference

needs_compiler = pytest.mark.skipif(
    not ops.is_compiled("paste_rle", "cpu"), reason="the CPU operations were not built"
)
QUICK, SLOW = 400, 13_000  # times CASES_AT_ONCE
EXAMPLES = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}


def arguments(seed: int, number: int = 6) -> tuple[Tensor, Tensor, int, int, float]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(number, 28, 28, generator=generator)
    corners = torch.rand(number, 2, generator=generator) * 60
    extents = torch.rand(number, 2, generator=generator) * 40
    return maps, torch.cat([corners, corners + extents], dim=1), 80, 100, 0.5


def assert_is_the_reference(case: MaskCase) -> None:
    values = (case.probabilities, case.boxes_xyxy, case.height, case.width, case.threshold)
    packed = ops.paste_rle(*values)
    expected = reference.paste_rle(*values)
    for ours, theirs in zip(packed, expected, strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(
        ops.compress_rle(*packed[:2]), reference.compress_rle(*packed[:2]), strict=True
    ):
        assert torch.equal(ours, theirs)


def assert_is_pycocotools(case: MaskCase) -> None:
    result = paste_measured(
        case.probabilities, case.boxes_xyxy, case.height, case.width, case.threshold
    )
    crops = reference.paste(
        case.probabilities, case.boxes_xyxy, case.height, case.width, case.threshold
    )
    for number, crop in enumerate(crops):
        whole = np.zeros((case.height, case.width), dtype=np.uint8, order="F")
        whole[crop.window()] = crop.mask
        theirs = coco_mask.encode(whole)
        assert result.masks[number] == theirs
        assert result.areas[number] == coco_mask.area(theirs)
        assert result.boxes_xywh[number].tolist() == coco_mask.toBbox(theirs).tolist()


@needs_compiler
@settings(max_examples=QUICK, **EXAMPLES)
@given(mask_cases())
def test_compiled_run_lengths_are_the_references(case: MaskCase) -> None:
    assert_is_the_reference(case)


@settings(max_examples=QUICK // 4, **EXAMPLES)
@given(mask_cases())
def test_run_lengths_areas_and_boxes_are_pycocotools(case: MaskCase) -> None:
    assert_is_pycocotools(case)


@needs_compiler
@pytest.mark.masks_slow
@settings(max_examples=SLOW, **EXAMPLES)
@given(mask_cases())
def test_compiled_run_lengths_are_the_references_in_100_000_cases(case: MaskCase) -> None:
    assert_is_the_reference(case)
    assert_is_pycocotools(case)


def test_slow_cases_are_a_hundred_thousand() -> None:
    assert SLOW * CASES_AT_ONCE >= 100_000


@needs_compiler
def test_threads_that_paste_at_once_get_the_same_bytes() -> None:
    alone = {seed: ops.paste_rle(*arguments(seed)) for seed in range(8)}
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            together = pool.map(lambda seed: (seed, ops.paste_rle(*arguments(seed))), range(8))
            for seed, result in together:
                assert all(map(torch.equal, result, alone[seed]))


@needs_compiler
def test_other_python_threads_run_while_masks_are_pasted() -> None:
    maps = torch.rand(60, 56, 56)
    boxes = torch.tensor([[0.0, 0.0, 3000.0, 2000.0]]).repeat(60, 1)
    pasting, rounds = threading.Event(), 0

    def paste() -> None:
        pasting.set()
        ops.paste_rle(maps, boxes, 2000, 3000)
        pasting.clear()

    worker = threading.Thread(target=paste)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # nobody loses the lock unless it is given away
    try:
        worker.start()
        pasting.wait()
        while pasting.is_set():
            rounds += 1
            time.sleep(1e-4)
        worker.join()
    finally:
        sys.setswitchinterval(interval)
    # A call that kept the lock would leave room for a round or two, before it.
    assert rounds > 20


@needs_compiler
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's statistics")
def test_ten_thousand_calls_leave_no_memory_behind() -> None:
    values = arguments(0)

    def resident_pages() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1])

    for _ in range(500):
        ops.compress_rle(*ops.paste_rle(*values)[:2])
    before = resident_pages()
    for _ in range(10_000):
        ops.compress_rle(*ops.paste_rle(*values)[:2])
    # A call's results are about 10 kB: leaking them would add 100 MB.
    assert resident_pages() - before < 4_000


@pytest.mark.parametrize("number", [0, 3])
def test_operations_keep_the_dispatchers_rules(number: int) -> None:
    values = arguments(1, number)
    torch.library.opcheck(torch.ops.blendmask.paste_rle, values)
    counts, offsets, *_ = ops.paste_rle(*values)
    torch.library.opcheck(torch.ops.blendmask.compress_rle, (counts, offsets))


def test_compiled_graphs_go_through_the_operations() -> None:
    def characters(maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        counts, offsets, areas, _ = ops.paste_rle(maps * 1.0, boxes + 1.0, 80, 100)
        return ops.compress_rle(counts, offsets)[0], areas * 2

    graph = torch.compile(characters, fullgraph=True, backend="aot_eager")
    maps, boxes, *_ = arguments(2)
    assert all(map(torch.equal, graph(maps, boxes), characters(maps, boxes)))


def test_exported_programs_hold_the_operation() -> None:
    class Paste(torch.nn.Module):
        def forward(self, maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
            counts, _, areas, _ = ops.paste_rle(maps, boxes, 80, 100)
            return counts, areas

    maps, boxes, *_ = arguments(2)
    program = torch.export.export(Paste(), (maps, boxes)).module()
    assert all(map(torch.equal, program(maps, boxes), Paste()(maps, boxes)))


def test_reference_stands_in_where_nothing_is_compiled_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    devices.say_once.cache_clear()
    maps, boxes, *size = arguments(0)
    for _ in range(2):
        _, _, areas, _ = ops._falling_back_on(reference.paste_rle)(maps, boxes, *size)
    assert torch.equal(areas, ops.paste_rle(maps, boxes, *size)[2])
    assert [record.device for record in caplog.records] == ["cpu"]
    assert "slower ones" in caplog.text


@needs_compiler
def test_views_with_gaps_are_read_as_they_look() -> None:
    maps, boxes, *size = arguments(3)
    wide = torch.stack([maps, maps + 1], dim=-1)
    result = ops.paste_rle(wide[..., 0], boxes, *size)
    assert all(map(torch.equal, result, ops.paste_rle(maps, boxes, *size)))


def test_strings_of_random_counts_are_the_references() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(0, 30, 200)
    counts = random.integers(0, 2 ** random.integers(1, 31, lengths.sum()), lengths.sum())
    offsets = np.concatenate([[0], lengths.cumsum()])
    text, places = ops.compress_rle(torch.from_numpy(counts), torch.from_numpy(offsets))
    for number in range(len(lengths)):
        expected = compress(counts[offsets[number] : offsets[number + 1]])
        assert bytes(text[places[number] : places[number + 1]].tolist()) == expected
