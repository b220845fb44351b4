from __future__ import annotations

from typing import Any

import pytest

from model.datasets.findings import Findings
from model.datasets.panoptic_file import read_partitions


@pytest.mark.parametrize("crowd", [0, "0", "1"])
def test_segments_numbers_may_be_text(crowd: int | str) -> None:
    findings = Findings()
    row = {
        "image_id": "7",
        "file_name": "7.png",
        "segments_info": [{"id": "300", "category_id": "3", "iscrowd": crowd}],
    }
    partitions = read_partitions({"annotations": [row]}, [7], findings)
    (segment,) = partitions[7].segments
    assert (segment.id, segment.category_id, segment.is_crowd) == (300, 3, crowd == "1")
    assert [finding.kind for finding in findings.listed()] == ["image_id"]


@pytest.mark.parametrize("segment_id", [-1, 0, 2**24, float("inf"), None, "x"])
def test_segment_ids_that_no_png_can_hold_are_not_sound(segment_id: Any) -> None:
    findings = Findings()
    segments = [{"id": segment_id, "category_id": 3}]
    row = {"image_id": 7, "file_name": "7.png", "segments_info": segments}
    assert read_partitions({"annotations": [row]}, [7], findings) == {}
    assert findings.count("panoptic_segments") == 1
