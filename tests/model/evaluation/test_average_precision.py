from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from model.evaluation.average_precision import AveragePrecision, BestF1, Shapes

CAT, DOG = 17, 18
SIZE = 300
NAMES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"),
)


def boxes(*rows: tuple[float, float, float, float], categories: Any = None) -> Shapes:
    xywh = np.array(rows, dtype=np.float64).reshape(-1, 4)
    ids = np.array(categories or [CAT] * len(rows), dtype=np.int64)
    return Shapes(shapes=xywh, category_ids=ids, areas=xywh[:, 2] * xywh[:, 3])


def score(
    found: Shapes, scores: Any, truth: Shapes, crowd: Any = None, category_ids: Any = (CAT,)
) -> AveragePrecision:
    precision = AveragePrecision(category_ids)
    crowd = np.zeros(len(truth.areas), bool) if crowd is None else np.array(crowd)
    precision.add(1, found, np.array(scores, dtype=np.float64), truth, crowd)
    return precision


def test_perfect_boxes_have_an_ap_of_one() -> None:
    truth = boxes((10, 10, 50, 50), (100, 10, 50, 40))
    numbers = score(truth, [0.9, 0.8], truth).numbers()
    assert numbers["AP"] == pytest.approx(1.0)
    assert numbers["AP_medium"] == pytest.approx(1.0)
    assert numbers["AR_100"] == 1.0
    assert numbers["AR_1"] == 0.5  # one detection finds one of two


def test_the_names_of_the_twelve_numbers_are_in_cocos_order() -> None:
    assert tuple(score(boxes(), [], boxes()).numbers()) == NAMES


def test_a_box_shifted_to_an_iou_of_two_thirds_counts_up_to_that_threshold() -> None:
    # 100 wide, shifted by 20: shared 80 of 120. Of 0.50, 0.55 … 0.95, four are at most 2/3.
    numbers = score(boxes((20, 0, 100, 100)), [0.9], boxes((0, 0, 100, 100))).numbers()
    assert numbers["AP"] == pytest.approx(0.4)
    assert numbers["AP50"] == pytest.approx(1.0)
    assert numbers["AP75"] == 0.0
    assert numbers["AR_100"] == pytest.approx(0.4)


def test_half_of_the_truth_found_gives_the_recall_points_up_to_one_half() -> None:
    numbers = score(boxes((0, 0, 50, 50)), [0.9], boxes((0, 0, 50, 50), (200, 0, 50, 50))).numbers()
    assert numbers["AP"] == pytest.approx(51 / 101)  # recall 0.00, 0.01 … 0.50


def test_a_better_scored_false_detection_halves_the_precision() -> None:
    found = boxes((300, 300, 50, 50), (0, 0, 50, 50))
    assert score(found, [0.9, 0.8], boxes((0, 0, 50, 50))).numbers()["AP"] == pytest.approx(0.5)


def test_a_second_detection_of_one_truth_is_false() -> None:
    found = boxes((0, 0, 50, 50), (0, 0, 50, 50), (200, 0, 50, 50))
    truth = boxes((0, 0, 50, 50), (200, 0, 50, 50))
    # True, false, true: precision 1 up to recall 1/2, then 2/3.
    numbers = score(found, [0.9, 0.8, 0.7], truth).numbers()
    assert numbers["AP50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_detections_inside_a_crowd_do_no_harm_and_the_crowd_need_not_be_found() -> None:
    truth = boxes((0, 0, 50, 50), (200, 200, 200, 200))
    found = boxes((0, 0, 50, 50), (210, 210, 30, 30), (300, 300, 40, 40))
    crowd = [False, True]
    assert score(found, [0.5, 0.9, 0.8], truth, crowd).numbers()["AP"] == pytest.approx(1.0)


def test_without_detections_the_numbers_are_zero() -> None:
    numbers = score(boxes(), [], boxes((0, 0, 50, 50))).numbers()
    assert (numbers["AP"], numbers["AR_100"]) == (0.0, 0.0)


def test_without_truth_there_are_no_numbers() -> None:
    assert set(score(boxes((0, 0, 50, 50)), [0.9], boxes()).numbers().values()) == {None}


def test_a_category_that_does_not_occur_leaves_the_mean_alone() -> None:
    truth = boxes((0, 0, 50, 50))
    precision = score(truth, [0.9], truth, category_ids=(CAT, DOG))
    assert precision.numbers()["AP"] == pytest.approx(1.0)
    cat, dog = precision.per_category()
    assert (cat["id"], cat["num_truths"], cat["num_detections"]) == (CAT, 1, 1)
    assert (dog["num_truths"], dog["AP"]) == (0, None)


def test_the_right_box_with_the_wrong_category_is_not_a_match() -> None:
    truth = boxes((0, 0, 50, 50))
    found = boxes((0, 0, 50, 50), categories=[DOG])
    assert score(found, [0.9], truth, category_ids=(CAT, DOG)).numbers()["AP"] == 0.0


@pytest.mark.parametrize(
    ("side", "sizes"),
    [(31, ["small"]), (32, ["small", "medium"]), (96, ["medium", "large"]), (97, ["large"])],
)
def test_both_ends_of_an_area_range_belong_to_it(side: int, sizes: Any) -> None:
    truth = boxes((0, 0, side, side))
    numbers = score(truth, [0.9], truth).numbers()
    assert [s for s in ("small", "medium", "large") if numbers[f"AP_{s}"] is not None] == sizes


@pytest.mark.parametrize(("side", "expected"), [(32, 0.5), (33, 1.0)])
def test_a_false_detection_outside_the_area_range_does_no_harm(side: int, expected: float) -> None:
    found = boxes((300, 300, side, side), (0, 0, 20, 20))
    numbers = score(found, [0.9, 0.8], boxes((0, 0, 20, 20))).numbers()
    assert numbers["AP_small"] == pytest.approx(expected)
    assert numbers["AP"] == pytest.approx(0.5)


def test_masks_are_compared_by_pixels() -> None:
    full = np.zeros((20, 20), np.uint8, order="F")
    full[:10, :10] = 1
    half = full.copy(order="F")
    half[:, 6:] = 0  # 60 of 100 pixels: IoU 0.6 reaches 0.50, 0.55 and 0.60
    one, other = (
        Shapes(
            shapes=[coco_mask.encode(mask)],
            category_ids=np.array([CAT]),
            areas=np.array([mask.sum()]),
        )
        for mask in (half, full)
    )
    assert score(one, [0.9], other).numbers()["AP"] == pytest.approx(0.3)


def test_shapes_without_a_category_each_are_refused() -> None:
    with pytest.raises(ValueError, match="2 shapes, 1 categories and 2 areas"):
        Shapes(shapes=np.zeros((2, 4)), category_ids=np.zeros(1), areas=np.zeros(2))


def _random_picture(rng: np.random.Generator, image_id: int) -> tuple[list, list]:
    """Truth and detections as COCO's rows, sizes over all ranges, many ties and near misses."""
    truth, found = [], []
    for _ in range(rng.integers(0, 12)):
        w, h = rng.choice([6, 15, 40, 90, 130], 2)
        x, y = rng.integers(0, SIZE - 131, 2)
        bbox = [int(v) for v in (x, y, w, h)]
        row = {"image_id": image_id, "category_id": int(rng.choice([CAT, DOG, 3])), "bbox": bbox}
        truth.append({**row, "area": float(w * h * 0.8), "iscrowd": int(rng.random() < 0.15)})
        for _ in range(rng.integers(0, 4)):
            moved = [max(0, int(v + rng.integers(-4, 5))) for v in bbox[:2]]
            moved += [max(1, int(v * rng.choice([0.8, 1.0, 1.0, 1.2]))) for v in bbox[2:]]
            found.append({**row, "bbox": moved, "score": float(rng.integers(1, 20)) / 20})
    return truth, found


def _rle(row: dict[str, Any]) -> Any:
    """An L in the box, so that masks overlap otherwise than boxes do."""
    x, y, w, h = row["bbox"]
    mask = np.zeros((SIZE, SIZE), np.uint8, order="F")
    mask[y : y + h, x : x + w] = 1
    mask[y + h // 2 : y + h, x + w // 2 : x + w] = 0
    return coco_mask.encode(mask)


def _yardstick(truth: list, found: list, image_ids: list, kind: str) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i, "height": SIZE, "width": SIZE} for i in image_ids],
            "categories": [{"id": i} for i in (3, CAT, DOG)],
            "annotations": [{**row, "id": n} for n, row in enumerate(truth, start=1)],
        }
        coco.createIndex()
        results = COCO()
        results.dataset = {
            **coco.dataset,
            "annotations": [{**row, "id": n} for n, row in enumerate(found, start=1)],
        }
        results.createIndex()
        evaluation = COCOeval(coco, results, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_numbers_equal_pycocotools_on_random_detections(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    precision = AveragePrecision([3, CAT, DOG])
    all_truth, all_found = [], []
    image_ids = [7, 2, 9, 4, 1]
    for image_id in image_ids:
        truth, found = _random_picture(rng, image_id)
        for row in (*truth, *found):
            row["segmentation"] = _rle(row)
        for row in found:
            box_area = float(row["bbox"][2] * row["bbox"][3])
            mask_area = float(coco_mask.area(row["segmentation"]))
            row["area"] = box_area if kind == "bbox" else mask_area
        member = "bbox" if kind == "bbox" else "segmentation"
        found_shapes, true_shapes = (
            Shapes(
                shapes=np.array([r["bbox"] for r in rows], np.float64).reshape(-1, 4)
                if kind == "bbox"
                else [r[member] for r in rows],
                category_ids=np.array([r["category_id"] for r in rows], np.int64),
                areas=np.array([r["area"] for r in rows], np.float64),
            )
            for rows in (found, truth)
        )
        crowd = np.array([r["iscrowd"] for r in truth], dtype=bool)
        scores = np.array([r["score"] for r in found], np.float64)
        precision.add(image_id, found_shapes, scores, true_shapes, crowd)
        all_truth += truth
        all_found += found
    expected = _yardstick(all_truth, all_found, image_ids, kind)
    numbers = [-1.0 if v is None else v for v in precision.numbers().values()]
    assert 0.1 < numbers[0] < 0.9  # a case that tells something
    assert numbers == pytest.approx(expected, abs=1e-12)


def test_only_the_hundred_best_detections_of_a_category_in_a_picture_count() -> None:
    found = boxes(*[(300 + i, 300, 5, 5) for i in range(100)], (0, 0, 50, 50))
    scores = [0.9] * 100 + [0.1]
    assert score(found, scores, boxes((0, 0, 50, 50))).numbers()["AR_100"] == 0.0


def test_best_f1_is_where_another_detection_would_cost_more_than_it_finds() -> None:
    truth = boxes((0, 0, 50, 50), (100, 0, 50, 50), (200, 0, 50, 50))
    found = boxes(
        (0, 0, 50, 50), (100, 0, 50, 50), (0, 200, 9, 9), (0, 250, 9, 9), (200, 0, 50, 50)
    )
    best = score(found, [0.9, 0.8, 0.7, 0.6, 0.1], truth).best_f1()
    # Two of three found, nothing false: 4 / 5. With all five: 6 / 8.
    assert best == BestF1(score_threshold=0.8, f1=0.8)


def test_equal_scores_are_kept_or_left_out_together() -> None:
    truth = boxes((0, 0, 50, 50))
    found = boxes((0, 0, 50, 50), (100, 0, 50, 50), (200, 0, 50, 50))
    best = score(found, [0.5, 0.5, 0.1], truth).best_f1()
    assert best == BestF1(score_threshold=0.5, f1=pytest.approx(2 / 3))


def test_best_f1_counts_all_categories_together_and_no_crowds() -> None:
    truth = boxes((0, 0, 50, 50), (100, 0, 50, 50), (200, 0, 90, 90), categories=[CAT, DOG, CAT])
    found = boxes((0, 0, 50, 50), (100, 0, 50, 50), (210, 0, 40, 40), categories=[CAT, DOG, CAT])
    crowd = [False, False, True]
    precision = score(found, [0.9, 0.3, 0.8], truth, crowd, category_ids=(CAT, DOG))
    assert precision.best_f1() == BestF1(score_threshold=0.3, f1=1.0)


@pytest.mark.parametrize("side", ["found", "truth"])
def test_nothing_found_or_to_be_found_has_no_best_f1(side: str) -> None:
    one = boxes((0, 0, 50, 50))
    found, truth = (boxes(), one) if side == "found" else (one, boxes())
    assert score(found, [0.5] * len(found.areas), truth).best_f1() is None
