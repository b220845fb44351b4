from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image
from tiny import CATEGORIES

from model.answers.drawing import overlay_instances, overlay_panoptic
from model.prediction.predictor import PredictOptions, Predictor
from model.prediction.results import LabelledInstances, LabelledPartition

PICTURE = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return tiny.tiny_predictor(semantic=True)


@pytest.fixture(scope="module")
def instances(predictor: Predictor) -> LabelledInstances:
    return predictor.segment(PICTURE, PredictOptions(max_instances=9))


@pytest.fixture(scope="module")
def partition(predictor: Predictor) -> LabelledPartition:
    return predictor.panoptic(PICTURE)


def test_drawing_is_the_overlay(instances: LabelledInstances, partition: LabelledPartition) -> None:
    expected = overlay_instances(PICTURE, instances, CATEGORIES)
    assert (expected != PICTURE).any()
    np.testing.assert_array_equal(np.asarray(instances.draw(PICTURE)), expected)
    expected = overlay_panoptic(PICTURE, partition, CATEGORIES)
    assert (expected != PICTURE).any()
    np.testing.assert_array_equal(np.asarray(partition.draw(PICTURE)), expected)


def test_picture_to_draw_on_may_be_a_path_or_a_pil_picture(
    instances: LabelledInstances, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(PICTURE).save(path)
    expected = np.asarray(instances.draw(PICTURE))
    for picture in (path, str(path), Image.open(path)):
        np.testing.assert_array_equal(np.asarray(instances.draw(picture)), expected)


def test_another_picture_is_refused(instances: LabelledInstances) -> None:
    with pytest.raises(ValueError, match=r"\(20, 30, 3\).*\(50, 80, 3\)"):
        instances.draw(PICTURE[:20, :30])


def test_names_are_those_of_the_categories(
    instances: LabelledInstances, partition: LabelledPartition
) -> None:
    assert instances.names == [CATEGORIES.things[c].name for c in instances.classes]
    of_things = [s.is_thing for s in partition.segments]
    assert any(of_things)
    assert partition.names == [CATEGORIES.of(s.label, s.is_thing).name for s in partition.segments]


def test_detections_have_the_names(
    instances: LabelledInstances, partition: LabelledPartition
) -> None:
    assert instances.to_supervision().data["class_name"].tolist() == instances.names
    np.testing.assert_array_equal(instances.to_supervision().mask, instances.bitmaps())
    assert partition.to_supervision().data["class_name"].tolist() == partition.names


def test_result_shows_what_was_found_in_one_line(
    predictor: Predictor, instances: LabelledInstances, partition: LabelledPartition
) -> None:
    name, score = instances.names[0], instances.scores[0]
    shown = repr(instances)
    assert shown.startswith(f"<9 instances in 80×50 pixels: {name} {score:.2f}, ")
    assert shown.endswith(", …>")
    assert shown.count(",") == 5
    assert repr(partition).startswith(f"<{len(partition.segments)} segments in 80×50 pixels: ")
    one = predictor.segment(PICTURE, PredictOptions(max_instances=1))
    assert repr(one) == f"<1 instance in 80×50 pixels: {name} {score:.2f}>"
    none = predictor.segment(PICTURE, PredictOptions(score_threshold=1))
    assert repr(none) == "<0 instances in 80×50 pixels>"


def test_import_waits_for_no_library_that_only_drawing_fetching_or_converting_needs() -> None:
    code = (
        "import sys, model.prediction.predictor as _; "
        "print([n for n in ('cv2', 'huggingface_hub', 'supervision') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_results_are_found_again_in_lists_and_sets(
    predictor: Predictor, instances: LabelledInstances, partition: LabelledPartition
) -> None:
    other = predictor.segment(PICTURE, PredictOptions(max_instances=9))
    assert [other, instances].index(instances) == 1
    assert {instances, partition, instances} == {partition, instances}
