"""Answers to the same picture at different times: equal bytes, or by how much they differ."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask


@dataclass(kw_only=True)
class Comparison:
    """What differed. Scores, boxes and masks are compared where the same instances came.

    other_instances: answers whose number, order or categories of instances are not the same.
    """

    compared: int = 0
    same: int = 0
    other_instances: int = 0
    largest_score_difference: float = 0.0
    largest_box_difference: float = 0.0
    least_mask_iou: float = 1.0
    unlike: list[str] = field(default_factory=list)

    def differences(self) -> str:
        """Return them in words."""
        return (
            f"{self.other_instances} with other instances; scores differ by at most "
            f"{self.largest_score_difference:.2g}, boxes by {self.largest_box_difference:.2g} "
            f"pixels, masks by IoU {self.least_mask_iou:.6f}"
        )


def compare_bodies(alone: Path, crowd: Path) -> Comparison:
    """Compare the answers kept by the generator, whose files are called `number-picture`."""
    expected = {file.name.partition("-")[2]: file.read_bytes() for file in alone.iterdir()}
    found = Comparison()
    for file in sorted(crowd.iterdir()):
        body, wanted = file.read_bytes(), expected.get(file.name.partition("-")[2])
        if wanted is None:
            continue
        found.compared += 1
        if body == wanted:
            found.same += 1
        else:
            found.unlike.append(file.name)
            _measure(json.loads(wanted), json.loads(body), found)
    return found


def _measure(wanted: dict[str, Any], got: dict[str, Any], found: Comparison) -> None:
    [ours], [theirs] = (answer["images"] for answer in (wanted, got))
    first, second = ours["instances"], theirs["instances"]
    if [one["category_id"] for one in first] != [one["category_id"] for one in second]:
        found.other_instances += 1
        return
    for one, other in zip(first, second, strict=True):
        found.largest_score_difference = max(
            found.largest_score_difference, abs(one["score"] - other["score"])
        )
        gaps = [abs(a - b) for a, b in zip(one["bbox"], other["bbox"], strict=True)]
        found.largest_box_difference = max(found.largest_box_difference, *gaps)
        if one["segmentation"] != other["segmentation"]:
            [[iou]] = coco_mask.iou([one["segmentation"]], [other["segmentation"]], [0])
            found.least_mask_iou = min(found.least_mask_iou, float(iou))
