from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny
from pycocotools import mask as coco_mask

from model.prediction.predictor import PredictOptions, Predictor
from model.prediction.stages import StageTimes
from model.structures import Instances

ALL = PredictOptions()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return tiny.tiny_predictor()


@pytest.fixture(scope="module")
def panoptic_predictor() -> Predictor:
    return tiny.tiny_predictor(semantic=True)


def assert_same(one: Instances, other: Instances) -> None:
    np.testing.assert_array_equal(one.classes, other.classes)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1e-3)
    assert (one.height, one.width) == (other.height, other.width)


def test_results_come_in_the_order_of_the_pictures_whatever_their_sizes(
    predictor: Predictor,
) -> None:
    pictures = [noise(40, 70), noise(90, 60), noise(41, 70), noise(40, 70, seed=1)]
    results = predictor.segment(pictures, ALL)
    assert [(r.height, r.width) for r in results] == [(40, 70), (90, 60), (41, 70), (40, 70)]
    for picture, result in zip(pictures, results, strict=True):
        assert len(result) > 0
        assert_same(result, predictor.segment([picture], ALL)[0])


def test_no_pictures_give_no_results(predictor: Predictor) -> None:
    assert predictor.segment([]) == []


def test_masks_and_areas_agree_and_scores_descend(predictor: Predictor) -> None:
    (result,) = predictor.segment([noise(50, 80)], ALL)
    assert result.masks is not None
    assert result.areas is not None
    assert [int(coco_mask.area(mask)) for mask in result.masks] == result.areas.tolist()
    assert all(mask["size"] == [50, 80] for mask in result.masks)
    assert (np.diff(result.scores) <= 0).all()
    assert result.boxes_xyxy.min() >= 0
    assert (result.boxes_xyxy[:, 2] <= 80).all()
    assert (result.boxes_xyxy[:, 3] <= 50).all()


def test_threshold_keeps_the_head_of_the_list(predictor: Predictor) -> None:
    picture = noise(50, 80)
    (everything,) = predictor.segment([picture], ALL)
    threshold = float(everything.scores[4])
    (some,) = predictor.segment([picture], PredictOptions(score_threshold=threshold))
    assert len(some) == int((everything.scores >= threshold).sum())
    np.testing.assert_array_equal(some.boxes_xyxy, everything.boxes_xyxy[: len(some)])


def test_a_score_that_was_told_keeps_its_own_instance(predictor: Predictor) -> None:
    picture = noise(50, 80)
    (everything,) = predictor.segment([picture], ALL)
    for number, score in enumerate(everything.scores[:40].tolist()):
        told = round(score, 6)
        (some,) = predictor.segment([picture], PredictOptions(score_threshold=told))
        assert len(some) > number
        assert all(round(kept, 6) >= told for kept in some.scores.tolist())


def test_number_is_cut_after_the_categories_are_chosen(predictor: Predictor) -> None:
    picture = noise(50, 80)
    (everything,) = predictor.segment([picture], ALL)
    counts = np.bincount(everything.classes, minlength=3)
    rarest = int(np.flatnonzero(counts == counts[counts > 0].min())[0])
    wanted = frozenset({tiny.CATEGORIES.things[rarest].id})
    expected = np.flatnonzero(everything.classes == rarest)[:2]
    options = PredictOptions(category_ids=wanted, max_instances=2)
    (some,) = predictor.segment([picture], options)
    np.testing.assert_array_equal(some.scores, everything.scores[expected])
    assert set(some.classes.tolist()) == {rarest}


def test_category_that_is_not_there_gives_nothing(predictor: Predictor) -> None:
    options = PredictOptions(category_ids=frozenset({77}))
    (result,) = predictor.segment([noise(50, 80)], options)
    assert len(result) == 0
    assert result.masks == []
    assert result.boxes_xyxy.shape == (0, 4)


def test_masks_are_left_out_if_not_wanted(predictor: Predictor) -> None:
    (result,) = predictor.segment([noise(50, 80)], replace(ALL, masks=False))
    assert result.masks is None
    assert result.areas is None


def test_each_picture_may_have_its_own_options(predictor: Predictor) -> None:
    picture = noise(50, 80)
    one, two = predictor.segment([picture, picture], [replace(ALL, max_instances=1), ALL])
    assert len(one) == 1
    assert len(two) > 1


def test_options_must_be_as_many_as_pictures(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="1 pictures but 2 options"):
        predictor.segment([noise(50, 80)], [ALL, ALL])


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"score_threshold is 1.5; it must be 0 to 1"):
        PredictOptions(score_threshold=1.5)
    with pytest.raises(ValueError, match="max_instances is 0"):
        PredictOptions(max_instances=0)


def test_line_of_one_pixel_is_a_picture(predictor: Predictor) -> None:
    (result,) = predictor.segment([noise(1, 300)], ALL)
    assert (result.height, result.width) == (1, 300)


def test_stages_are_timed(predictor: Predictor) -> None:
    stages = StageTimes()
    predictor.segment([noise(50, 80)], stages=stages)
    assert set(stages.seconds) == {"preprocess", "forward", "postprocess"}


def test_instance_model_refuses_panoptic(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="tiny has no semantic head"):
        predictor.panoptic([noise(50, 80)])


def test_panoptic_model_segments_instances_too(panoptic_predictor: Predictor) -> None:
    (result,) = panoptic_predictor.segment([noise(50, 80)], ALL)
    assert len(result) > 0


def test_both_in_one_pass_are_what_each_is_alone(
    panoptic_predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [noise(50, 80), noise(90, 60), noise(50, 80, seed=1)]
    few = replace(ALL, max_instances=2)
    instances = panoptic_predictor.segment(pictures, few)
    partitions = panoptic_predictor.panoptic(pictures, ALL)
    canvases = []
    forward = panoptic_predictor.forward
    monkeypatch.setattr(
        panoptic_predictor,
        "forward",
        lambda batch: canvases.append(batch.pixels.shape) or forward(batch),
    )
    both = panoptic_predictor.segment_and_panoptic(pictures, few, ALL)
    assert [shape[0] for shape in canvases] == [2, 1]
    for (found, partition), alone, whole in zip(both, instances, partitions, strict=True):
        assert_same(found, alone)
        np.testing.assert_array_equal(partition.segment_ids, whole.segment_ids)
        assert partition.segments == whole.segments


def test_both_need_a_semantic_head(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="no semantic head"):
        predictor.segment_and_panoptic([noise(50, 80)])


def test_partition_and_run_lengths_are_the_same(panoptic_predictor: Predictor) -> None:
    (result,) = panoptic_predictor.panoptic([noise(50, 80)], ALL)
    assert any(s.is_thing for s in result.segments)
    assert any(not s.is_thing for s in result.segments)
    rebuilt = np.zeros((50, 80), dtype=np.int32)
    for segment in result.segments:
        assert segment.mask is not None
        mask = coco_mask.decode(segment.mask).astype(bool)
        assert (rebuilt[mask] == 0).all()
        rebuilt[mask] = segment.id
        assert int(mask.sum()) == segment.area
        assert coco_mask.toBbox(segment.mask).tolist() == list(segment.bbox_xywh)
    np.testing.assert_array_equal(rebuilt, result.segment_ids)


def test_what_a_filter_drops_from_a_partition_is_void(panoptic_predictor: Predictor) -> None:
    picture = noise(50, 80)
    (whole,) = panoptic_predictor.panoptic([picture], ALL)
    grass = replace(ALL, category_ids=frozenset({11}))
    (only_grass,) = panoptic_predictor.panoptic([picture], grass)
    assert {s.label for s in only_grass.segments} <= {1}
    assert all(not s.is_thing for s in only_grass.segments)
    expected = sum(s.area for s in whole.segments if not s.is_thing and s.label == 1)
    assert int((only_grass.segment_ids > 0).sum()) == expected


def test_number_limits_the_things_of_a_partition(panoptic_predictor: Predictor) -> None:
    (result,) = panoptic_predictor.panoptic([noise(50, 80)], replace(ALL, max_instances=1))
    assert sum(s.is_thing for s in result.segments) == 1
    assert any(not s.is_thing for s in result.segments)


def test_threshold_of_a_partition_counts_only_above_the_configurations(
    panoptic_predictor: Predictor,
) -> None:
    picture = noise(50, 80)
    own = panoptic_predictor.config.panoptic.instance_score_threshold
    (whole,) = panoptic_predictor.panoptic([picture])
    (lower,) = panoptic_predictor.panoptic([picture], PredictOptions(score_threshold=own / 2))
    np.testing.assert_array_equal(whole.segment_ids, lower.segment_ids)
    scores = [s.score for s in whole.segments if s.score is not None]
    assert min(scores) >= own
    (best,) = panoptic_predictor.panoptic([picture], PredictOptions(score_threshold=scores[0]))
    assert [s.score for s in best.segments if s.is_thing] == [scores[0]]


def test_categories_must_fit_the_network(predictor: Predictor) -> None:
    wrong = replace(tiny.CATEGORIES, things=tiny.CATEGORIES.things[:2])
    with pytest.raises(ValueError, match="2 things"):
        Predictor(predictor.model, predictor.config, wrong)


def test_halves_of_segment_give_what_it_gives(predictor: Predictor) -> None:
    pictures = [noise(50, 80), noise(50, 80, seed=1)]
    options = [ALL, PredictOptions(max_instances=2, masks=False)]
    found = predictor.segment_batch(predictor.prepare(pictures), options)
    for ours, expected in zip(found, predictor.segment(pictures, options), strict=True):
        np.testing.assert_array_equal(ours.boxes_xyxy, expected.boxes_xyxy)
        np.testing.assert_array_equal(ours.scores, expected.scores)
        assert ours.masks == expected.masks


def test_halves_of_panoptic_give_what_it_gives(panoptic_predictor: Predictor) -> None:
    pictures = [noise(50, 80), noise(50, 80, seed=1)]
    found = panoptic_predictor.panoptic_batch(panoptic_predictor.prepare(pictures))
    for ours, expected in zip(found, panoptic_predictor.panoptic(pictures), strict=True):
        np.testing.assert_array_equal(ours.segment_ids, expected.segment_ids)
        assert ours.segments == expected.segments


def test_batch_is_timed_without_its_preparation(predictor: Predictor) -> None:
    stages = StageTimes()
    predictor.segment_batch(predictor.prepare([noise(50, 80)]), stages=stages)
    assert set(stages.seconds) == {"forward", "postprocess"}


def test_pictures_of_two_canvases_are_no_batch(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="one canvas"):
        predictor.prepare([noise(50, 80), noise(80, 50)])


def test_batch_of_an_instance_model_has_no_partitions(predictor: Predictor) -> None:
    batch = predictor.prepare([noise(50, 80)])
    with pytest.raises(ValueError, match="tiny has no semantic head"):
        predictor.panoptic_batch(batch)
