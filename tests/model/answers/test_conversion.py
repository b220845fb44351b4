from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from masks_of_pictures import HEIGHT, MASKS, WIDTH, native_image, rle_of
from pycocotools import mask as coco_mask

from model.answers.conversion import convert_image
from model.datasets.panoptic_file import TrueSegment
from model.evaluation.panoptic_quality import PanopticQuality
from model.masks.mask_png import mask_png
from model.masks.panoptic_png import read_panoptic_png


def free(pixels: int) -> None:
    """Let every work pass."""


def converted(
    image: dict[str, Any], dialect: Any = "native", masks: Any = "rle", **how: Any
) -> Any:
    return convert_image(image, dialect, masks, **{"tolerance": 0, "spend": free, **how})


def partition() -> dict[str, Any]:
    """Three segments that touch."""
    disc = MASKS["disc"]
    left = ~disc & (np.arange(WIDTH) < 9)
    image = native_image({"disc": disc, "left": left, "right": ~disc & ~left})
    rows = image.pop("instances")
    image["segments"] = [
        {**row, "id": 3 + index, "isthing": index == 0} for index, row in enumerate(rows)
    ]
    return image


@pytest.mark.parametrize("form", ["polygon", "png", "rle"])
def test_masks_come_back_from_every_form(form: str) -> None:
    image = native_image(MASKS | {"empty": np.zeros((HEIGHT, WIDTH), dtype=bool)})
    there = converted(image, masks=form)
    assert (form == "png") == ("png" in there["instances"][0])
    assert converted(there) == image


def test_partition_comes_back_from_its_png() -> None:
    image = partition()
    there = converted(image, masks="png")
    assert "segmentation" not in there["segments"][0]
    assert converted(there) == image
    annotation = converted(image, "coco", "png")
    assert annotation["png"] == there["png"]


def test_counts_may_be_a_list() -> None:
    image = native_image({"holed": MASKS["holed"]})
    flat = MASKS["holed"].ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=False, append=not flat[-1]))
    listed = native_image({"holed": MASKS["holed"]})
    listed["instances"][0]["segmentation"]["counts"] = np.diff(edges, prepend=0).tolist()
    assert converted(listed) == image


def test_area_and_a_missing_box_are_the_masks() -> None:
    image = native_image({"parts": MASKS["parts"]})
    bare = native_image({"parts": MASKS["parts"]})
    bare["instances"][0] |= {"bbox": None, "area": 7}
    assert converted(bare) == image
    given = native_image({"parts": MASKS["parts"]})
    given["instances"][0]["bbox"] = [0.5, 1.5, 9, 9]
    assert converted(given)["instances"][0]["bbox"] == [0.5, 1.5, 9, 9]


def test_outline_with_a_tolerance_has_fewer_corners() -> None:
    image = native_image({"disc": MASKS["disc"]})
    exact = converted(image, masks="polygon")["instances"][0]["segmentation"][0]
    rough = converted(image, masks="polygon", tolerance=1.5)["instances"][0]["segmentation"][0]
    assert 6 <= len(rough) < len(exact) / 2
    [shape] = converted(image, "cvat", "polygon", tolerance=1.5)
    assert shape["points"] == rough


@pytest.mark.parametrize("dialect", ["coco", "roboflow", "labelstudio", "cvat", "fiftyone"])
def test_dialects_are_told_of_outlines_as_of_run_lengths(dialect: str) -> None:
    image = native_image(MASKS)
    assert converted(converted(image, masks="polygon"), dialect) == converted(image, dialect)


def spoilt(**members: Any) -> dict[str, Any]:
    image = native_image({"disc": MASKS["disc"]})
    image["instances"][0] |= members
    return image


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"segmentation": {"size": [2, 2], "counts": [4]}}, r"size is \[2, 2\], not \[23, 31\]"),
        ({"segmentation": {"size": [23, 31], "counts": [4]}}, "don't fill 713"),
        ({"segmentation": {"size": [23, 31], "counts": [800, -87]}}, "don't fill 713"),
        ({"segmentation": {"size": [23, 31], "counts": ""}}, "don't fill 713"),
        ({"segmentation": {"size": [23, 31], "counts": "ä"}}, "characters"),
        ({"segmentation": {"size": [23, 31], "counts": "\x01"}}, "characters"),
        ({"segmentation": {"size": [23, 31], "counts": "P" * 40 + "0"}}, "too large"),
        ({"segmentation": {"size": [23, 31], "counts": "PP"}}, "inside a number|too large"),
        ({"segmentation": [[1, 2, 3]]}, "ring has 3 numbers"),
        ({"segmentation": [[1e9, 2, 3, 4, 5, 6]]}, "beyond"),
        ({"png": "???"}, "not base64"),
        ({"png": "AAAA"}, "no PNG"),
        ({"segmentation": None, "bbox": None}, "neither a mask nor a bbox"),
    ],
)
def test_mask_that_cannot_be_read_is_refused(members: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"row 0: .*({why})"):
        converted(spoilt(**members))


def test_segments_that_overlap_have_no_png() -> None:
    image = partition()
    image["segments"][1]["segmentation"] = image["segments"][0]["segmentation"]
    with pytest.raises(ValueError, match="segment 4 lies over another"):
        converted(image, masks="png")


def test_png_wins_over_no_other_form_and_reads_as_pycocotools_has_it() -> None:
    image = spoilt(png=base64.b64encode(mask_png(rle_of(MASKS["parts"]))).decode())
    del image["instances"][0]["segmentation"]
    told = converted(image)["instances"][0]["segmentation"]
    np.testing.assert_array_equal(coco_mask.decode(told), MASKS["parts"])


def test_work_is_counted_and_can_be_ended() -> None:
    spent: list[int] = []
    converted(native_image({"whole": MASKS["whole"]}), masks="png", spend=spent.append)
    assert sum(spent) == 2 * HEIGHT * WIDTH

    def stop(pixels: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        converted(native_image(MASKS), spend=stop)


def test_panoptic_evaluation_finds_cocos_files_perfect(tmp_path: Path) -> None:
    image = partition()
    annotation = converted(image, "coco", "png")
    file = tmp_path / annotation["file_name"]
    file.write_bytes(base64.b64decode(annotation["png"]))
    found_map = read_panoptic_png(file, HEIGHT, WIDTH)
    true_map = np.zeros((HEIGHT, WIDTH), dtype=np.uint32)
    for row in image["segments"]:
        true_map[coco_mask.decode(row["segmentation"]).astype(bool)] = row["id"]
    truth = [TrueSegment(id=r["id"], category_id=r["category_id"]) for r in image["segments"]]
    quality = PanopticQuality([6], [7, 8])
    found = {one["id"]: one["category_id"] for one in annotation["segments_info"]}
    quality.add(true_map, truth, found_map, found)
    assert quality.numbers()["all"] == {"PQ": 1.0, "SQ": 1.0, "RQ": 1.0, "num_categories": 3}
