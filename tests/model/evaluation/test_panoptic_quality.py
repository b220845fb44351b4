from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model.datasets.panoptic_file import TrueSegment
from model.evaluation.panoptic_quality import PanopticQuality

CAT, DOG, GRASS, SKY = 3, 5, 11, 12


def quality() -> PanopticQuality:
    return PanopticQuality([CAT, DOG], [GRASS, SKY])


def columns(*runs: tuple[int, int]) -> np.ndarray:
    """A map of 10 rows: (segment id, number of columns) from left to right."""
    return np.repeat([i for i, _ in runs], [n for _, n in runs])[None].repeat(10, axis=0)


def one(category_id: int, **kwargs: Any) -> list[TrueSegment]:
    return [TrueSegment(id=1, category_id=category_id, **kwargs)]


def row(scored: PanopticQuality, category_id: int) -> dict:
    return next(r for r in scored.per_category() if r["id"] == category_id)


def test_a_perfect_partition_has_a_quality_of_one() -> None:
    scored = quality()
    partition = columns((1, 4), (2, 6))
    truth = [TrueSegment(id=1, category_id=CAT), TrueSegment(id=2, category_id=GRASS)]
    scored.add(partition, truth, partition, {1: CAT, 2: GRASS})
    perfect = {"PQ": 1.0, "SQ": 1.0, "RQ": 1.0}
    assert scored.numbers() == {
        "all": {**perfect, "num_categories": 2},
        "things": {**perfect, "num_categories": 1},
        "stuff": {**perfect, "num_categories": 1},
    }


def test_other_ids_for_the_same_segments_change_nothing() -> None:
    scored = quality()
    scored.add(columns((70_000, 10)), [TrueSegment(id=70_000, category_id=CAT)], *same_cat(5))
    assert scored.numbers()["all"]["PQ"] == 1.0


def same_cat(segment_id: int) -> tuple[np.ndarray, dict[int, int]]:
    return columns((segment_id, 10)), {segment_id: CAT}


def test_a_shifted_segment_is_worth_its_iou() -> None:
    scored = quality()
    # 8 columns each, 6 shared of 10; the void of the found map is no void of the truth.
    truth = [TrueSegment(id=1, category_id=CAT), TrueSegment(id=2, category_id=SKY)]
    scored.add(columns((1, 8), (2, 2)), truth, columns((0, 2), (1, 8)), {1: CAT})
    assert row(scored, CAT)["PQ"] == pytest.approx(0.6)
    assert row(scored, CAT)["RQ"] == 1.0
    assert row(scored, SKY)["PQ"] == 0.0


def test_an_iou_of_exactly_one_half_is_no_match() -> None:
    scored = quality()
    truth = [TrueSegment(id=1, category_id=CAT), TrueSegment(id=2, category_id=SKY)]
    scored.add(columns((1, 8), (2, 2)), truth, columns((1, 4), (2, 6)), {1: CAT, 2: SKY})
    assert row(scored, CAT)["num_matched"] == 0
    assert (row(scored, CAT)["num_false"], row(scored, CAT)["num_missed"]) == (1, 1)


def test_half_of_the_segments_found_gives_two_thirds() -> None:
    scored = quality()
    truth = [TrueSegment(id=1, category_id=CAT), TrueSegment(id=2, category_id=CAT)]
    scored.add(columns((1, 5), (2, 5)), truth, columns((1, 5), (0, 5)), {1: CAT})
    assert row(scored, CAT)["PQ"] == pytest.approx(1 / 1.5)
    assert row(scored, CAT)["SQ"] == 1.0


def test_the_right_region_with_the_wrong_category_is_a_miss_and_an_error() -> None:
    scored = quality()
    scored.add(columns((1, 10)), one(CAT), columns((1, 10)), {1: DOG})
    assert row(scored, CAT)["num_missed"] == 1
    assert row(scored, DOG)["num_false"] == 1
    assert scored.numbers()["things"] == {"PQ": 0.0, "SQ": 0.0, "RQ": 0.0, "num_categories": 2}


def test_found_pixels_that_are_truly_void_leave_the_union() -> None:
    scored = quality()
    # Truth 6 columns and 4 void; found 10: without the void the IoU is 6 of 6.
    scored.add(columns((1, 6), (0, 4)), one(CAT), columns((1, 10)), {1: CAT})
    assert row(scored, CAT)["PQ"] == 1.0


@pytest.mark.parametrize(("void_columns", "num_false"), [(6, 0), (5, 1)])
def test_a_segment_mostly_in_void_is_no_error(void_columns: int, num_false: int) -> None:
    scored = quality()
    true_map = columns((0, void_columns), (1, 10 - void_columns))
    scored.add(true_map, one(GRASS), columns((1, 10)), {1: CAT})
    assert row(scored, CAT)["num_false"] == num_false


@pytest.mark.parametrize(("crowd_of", "num_false"), [(CAT, 0), (DOG, 1)])
def test_a_segment_mostly_in_a_crowd_of_its_category_is_no_error(
    crowd_of: Any, num_false: int
) -> None:
    scored = quality()
    truth = one(crowd_of, is_crowd=True)
    scored.add(columns((1, 10)), truth, columns((1, 4), (0, 6)), {1: CAT})
    assert row(scored, CAT)["num_false"] == num_false


def test_void_and_crowd_count_together() -> None:
    scored = quality()
    truth = [
        TrueSegment(id=1, category_id=CAT, is_crowd=True),
        TrueSegment(id=2, category_id=GRASS),
    ]
    scored.add(columns((0, 3), (1, 3), (2, 4)), truth, columns((1, 10)), {1: CAT})
    assert row(scored, CAT)["num_false"] == 0


def test_a_crowd_is_neither_found_nor_missed() -> None:
    scored = quality()
    scored.add(columns((1, 10)), one(CAT, is_crowd=True), columns((1, 10)), {1: CAT})
    assert row(scored, CAT) == {
        "id": CAT, "PQ": None, "SQ": None, "RQ": None,
        "num_matched": 0, "num_false": 0, "num_missed": 0,
    }  # fmt: skip


def test_nothing_found_is_zero() -> None:
    scored = quality()
    scored.add(columns((1, 10)), one(CAT), columns((0, 10)), {})
    assert scored.numbers()["all"] == {"PQ": 0.0, "SQ": 0.0, "RQ": 0.0, "num_categories": 1}


def test_no_truth_at_all_gives_no_numbers() -> None:
    scored = quality()
    scored.add(columns((0, 10)), [], columns((1, 10)), {1: CAT})
    assert scored.numbers()["all"] == {"PQ": None, "SQ": None, "RQ": None, "num_categories": 0}


def test_categories_that_are_not_evaluated_are_left_out() -> None:
    scored = PanopticQuality([CAT], [])
    truth = [TrueSegment(id=1, category_id=CAT), TrueSegment(id=2, category_id=GRASS)]
    partition = columns((1, 5), (2, 5))
    scored.add(partition, truth, partition, {1: CAT, 2: SKY})
    assert scored.numbers()["all"] == {"PQ": 1.0, "SQ": 1.0, "RQ": 1.0, "num_categories": 1}


def test_maps_of_unequal_size_are_refused() -> None:
    with pytest.raises(ValueError, match="the found map is 9×10, the true one 10×10"):
        quality().add(columns((0, 10)), [], columns((0, 9)), {})


def test_an_id_without_a_segment_is_named() -> None:
    with pytest.raises(ValueError, match="the true map has the segment id 4"):
        quality().add(columns((1, 5), (4, 5)), one(CAT), columns((0, 10)), {})


def _brute_force(pictures: Any) -> dict[int, tuple[float, float, float]]:
    """The definition, pixel sets and all, one category at a time."""
    result = {}
    for category in (CAT, DOG, GRASS, SKY):
        ious, false, missed = [], 0, 0
        for true_map, truth, found_map, found in pictures:
            void = true_map == 0
            wanted = [
                true_map == s.id for s in truth if s.category_id == category and not s.is_crowd
            ]
            crowd = sum(
                (true_map == s.id for s in truth if s.category_id == category and s.is_crowd),
                np.zeros_like(void),
            )
            mine = [found_map == i for i, c in found.items() if c == category]
            pairs = [
                (a, b, (w & f).sum() / (w | (f & ~void)).sum())
                for a, w in enumerate(wanted)
                for b, f in enumerate(mine)
            ]
            pairs = [pair for pair in pairs if pair[2] > 0.5]
            ious += [iou for *_, iou in pairs]
            missed += len(wanted) - len({a for a, *_ in pairs})
            left = [f for b, f in enumerate(mine) if b not in {b for _, b, _ in pairs}]
            false += sum((f & (void | crowd)).sum() <= f.sum() / 2 for f in left)
        total = len(ious) + false / 2 + missed / 2
        if total:
            pq = sum(ious) / total
            result[category] = (pq, np.mean(ious) if ious else 0.0, len(ious) / total)
    return result


def _random_picture(
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[TrueSegment], np.ndarray, dict[int, int]]:
    """A truth of patches, some crowd, some void, and a noisy copy of it with other ids."""
    cells = rng.integers(0, 9, (6, 6))
    true_map = cells.repeat(5, 0).repeat(5, 1)
    kinds = rng.choice([CAT, DOG, GRASS, SKY], 9)
    truth = [
        TrueSegment(id=int(i), category_id=int(kinds[i]), is_crowd=bool(rng.random() < 0.2))
        for i in np.unique(true_map)
        if i != 0
    ]
    shifted = np.roll(true_map, rng.integers(0, 2, 2), axis=(0, 1))
    found_map = np.where(rng.random((30, 30)) < 0.03, rng.integers(0, 9, (30, 30)), shifted) * 1000
    found = {}
    for i in np.unique(found_map):
        if i != 0:
            right = rng.random() < 0.8
            found[int(i)] = int(kinds[i // 1000] if right else rng.choice([CAT, SKY]))
    return true_map, truth, found_map, found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_quality_equals_the_definition_on_random_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = [_random_picture(rng) for _ in range(12)]
    scored = quality()
    for picture in pictures:
        scored.add(*picture)
    expected = _brute_force(pictures)
    rows = {r["id"]: (r["PQ"], r["SQ"], r["RQ"]) for r in scored.per_category()}
    assert 0.1 < expected[CAT][0] < 0.9  # a case that tells something
    assert {i: rows[i] for i in expected} == {i: pytest.approx(v) for i, v in expected.items()}
    means = np.mean(list(expected.values()), axis=0)
    assert [scored.numbers()["all"][k] for k in ("PQ", "SQ", "RQ")] == pytest.approx(means.tolist())
