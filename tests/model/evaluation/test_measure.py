from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pets import CAT, DOG, GRASS, HAMSTER, NAMES, KnowingPredictor, edit, left_half, write_pets
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tiny import tiny_predictor

from model.config import ModelConfig
from model.evaluation.data import EvaluationData, open_data
from model.evaluation.measure import evaluate
from model.evaluation.results_file import results_file
from model.evaluation.truth import true_objects, true_partition
from model.structures import Instances


@pytest.fixture
def places(tmp_path: Path) -> SimpleNamespace:
    return write_pets(tmp_path)


def opened(places: SimpleNamespace, **kwargs: Any) -> EvaluationData:
    return open_data(places.images, **{"annotations": places.annotations, **kwargs})


def with_panoptic(places: SimpleNamespace) -> EvaluationData:
    return opened(places, panoptic=places.panoptic, panoptic_folder=places.panoptic_folder)


def test_a_predictor_that_knows_the_truth_scores_one_everywhere(places: SimpleNamespace) -> None:
    report = evaluate(KnowingPredictor(), with_panoptic(places), task="both")
    assert report["box"]["AP"] == pytest.approx(1.0)
    assert report["mask"]["AP"] == pytest.approx(1.0)
    assert {row["PQ"] for row in report["panoptic"].values()} == {1.0}
    assert report["pictures"] == {"in_file": 2, "chosen": 2, "measured": 2, "failed": []}
    assert report["counts"] == {
        "truths": 2,
        "truths_without_mask": 0,
        "detections": 2,
        "true_segments": 4,
        "found_segments": 4,
    }
    assert report["notes"] == []


def test_the_report_is_plain_json_with_digests_and_seconds(places: SimpleNamespace) -> None:
    predictor = KnowingPredictor()
    report = json.loads(json.dumps(evaluate(predictor, with_panoptic(places), task="both")))
    assert report["data"]["annotations"]["file"] == "instances.json"
    assert len(report["data"]["panoptic"]["sha256"]) == 64
    assert {"decode", "score", "total"} <= set(report["seconds"])
    assert ModelConfig.from_dict(report["model"]["configuration"]) == predictor.config


def test_the_table_of_classes_has_ids_names_and_numbers(places: SimpleNamespace) -> None:
    report = evaluate(KnowingPredictor(), opened(places))
    cat, dog, _ = report["per_class"]["box"]
    assert (cat["id"], cat["name"], cat["AP"]) == (CAT, "cat", pytest.approx(1.0))
    assert (dog["id"], dog["name"], dog["AP"], dog["num_truths"]) == (DOG, "dog", None, 0)


def test_nothing_is_printed(places: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(KnowingPredictor(), with_panoptic(places), task="both")
    assert capsys.readouterr() == ("", "")


def test_a_hundred_instances_are_asked_for_without_a_threshold(places: SimpleNamespace) -> None:
    predictor = KnowingPredictor()
    evaluate(predictor, opened(places))
    assert (predictor.options[0].score_threshold, predictor.options[0].max_instances) == (0.0, 100)


def test_pictures_of_one_canvas_share_batches(places: SimpleNamespace) -> None:
    def double(document: Any) -> None:
        rows = document["images"]
        document["images"] = [*rows, *({**row, "id": row["id"] + 2} for row in rows)]

    edit(places.annotations, double)
    predictor = KnowingPredictor()
    evaluate(predictor, opened(places), batch_size=2)
    assert predictor.batches == [[(40, 60)] * 2, [(60, 40)] * 2] or (
        predictor.batches == [[(60, 40)] * 2, [(40, 60)] * 2]
    )


def test_a_limit_takes_the_first_pictures_and_says_so(places: SimpleNamespace) -> None:
    report = evaluate(KnowingPredictor(), opened(places), limit=1)
    assert report["pictures"]["measured"] == 1
    assert report["notes"] == ["a subset: the first 1 of the file's 2 pictures"]


def test_a_part_of_val2017_is_called_one(places: SimpleNamespace) -> None:
    def set_urls(document: Any) -> None:
        for row in document["images"]:
            row["coco_url"] = "http://example.org/val2017/" + row["file_name"]

    edit(places.annotations, set_urls)
    report = evaluate(KnowingPredictor(), opened(places))
    assert report["notes"] == [
        "2 of val2017's 5000 pictures: these are not figures of the full set"
    ]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "truncated"),
        (lambda path: Image.new("RGB", (9, 7)).save(path), "it is 9×7, its annotations are for"),
    ],
)
def test_a_picture_that_cannot_be_measured_is_named_and_counts_for_nothing(
    places: SimpleNamespace, spoil: Callable[..., Any], reason: str
) -> None:
    spoil(places.images / "b.png")
    report = evaluate(KnowingPredictor(), opened(places))
    (failed,) = report["pictures"]["failed"]
    assert failed["file_name"] == "b.png"
    assert reason in failed["reason"]
    assert report["box"]["AP"] == pytest.approx(1.0)
    assert report["counts"]["truths"] == 1
    assert report["notes"] == ["1 picture could not be read: no part of the numbers"]


def test_without_a_single_picture_there_is_no_report(places: SimpleNamespace) -> None:
    for path in places.images.iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"none of 2 pictures could be measured; \w\.png: "):
        evaluate(KnowingPredictor(), opened(places))


def test_a_missing_true_map_fails_its_picture(places: SimpleNamespace) -> None:
    (places.panoptic_folder / "a.png").unlink()
    report = evaluate(KnowingPredictor(), with_panoptic(places), task="panoptic")
    (failed,) = report["pictures"]["failed"]
    assert failed["reason"].startswith("its true map a.png cannot be read")


def test_a_true_map_of_another_size_fails_its_picture(places: SimpleNamespace) -> None:
    Image.new("RGB", (30, 20)).save(places.panoptic_folder / "a.png")
    report = evaluate(KnowingPredictor(), with_panoptic(places), task="panoptic")
    (failed,) = report["pictures"]["failed"]
    assert failed["reason"] == "its true map a.png is 30×20, not 60×40"


def test_segments_that_are_not_sound_are_refused(places: SimpleNamespace) -> None:
    edit(places.panoptic, lambda d: d["annotations"][0].pop("segments_info"))
    with pytest.raises(ValueError, match="1 panoptic rows without sound image_id"):
        with_panoptic(places)


def test_a_name_that_differs_is_refused_with_both_sides_named(places: SimpleNamespace) -> None:
    edit(places.annotations, lambda d: d["categories"][1].update(name="wolf"))
    with pytest.raises(
        ValueError, match=r"only the model has 5 'dog'; only the data has 5 'wolf'; 2 agree"
    ):
        evaluate(KnowingPredictor(), opened(places))


def test_an_id_that_differs_is_refused(places: SimpleNamespace) -> None:
    edit(places.annotations, lambda d: d["categories"][1].update(id=50))
    with pytest.raises(ValueError, match=r"only the data has 50 'dog'"):
        evaluate(KnowingPredictor(), opened(places))


def test_the_common_classes_can_be_evaluated_alone(places: SimpleNamespace) -> None:
    edit(places.annotations, lambda d: d["categories"][1].update(name="wolf"))
    predictor = KnowingPredictor()
    report = evaluate(predictor, opened(places), common_classes=True)
    assert report["classes"]["instance"] == {
        "num_evaluated": 2,
        "model_only": [{"id": DOG, "name": "dog"}],
        "data_only": [{"id": DOG, "name": "wolf"}],
        "unlabelled": [],
    }
    assert report["notes"] == [
        "instance: 2 classes evaluated, "
        "left out: 1 that only the model has, 1 that only the data has"
    ]
    assert predictor.options[0].category_ids == {CAT, HAMSTER}


def test_data_without_one_common_class_are_refused_even_so(places: SimpleNamespace) -> None:
    def rename(document: Any) -> None:
        for row in document["categories"]:
            row["name"] += "ty"

    edit(places.annotations, rename)
    with pytest.raises(ValueError, match=r"and 0 more|none agree in id and name"):
        evaluate(KnowingPredictor(), opened(places), common_classes=True)


def test_classes_that_the_file_does_not_label_are_not_evaluated(places: SimpleNamespace) -> None:
    edit(places.annotations, lambda d: d.update(info={"labelled_category_ids": [CAT]}))
    report = evaluate(KnowingPredictor(), opened(places))
    assert [row["id"] for row in report["per_class"]["mask"]] == [CAT]
    assert report["notes"] == [
        "instance: 1 class evaluated, left out: 2 that the data do not label"
    ]


def test_an_unknown_task_is_refused(places: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="must be one of instance, panoptic, both"):
        evaluate(KnowingPredictor(), opened(places), task="boxes")


def test_panoptic_quality_needs_a_semantic_head(places: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="tiny has no semantic head"):
        evaluate(KnowingPredictor(semantic=False), with_panoptic(places), task="panoptic")


def test_panoptic_quality_needs_a_panoptic_file(places: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="needs a panoptic file"):
        evaluate(KnowingPredictor(), opened(places), task="both")


def _run_lengths(half: np.ndarray) -> dict:
    rle = coco_mask.encode(half)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


@pytest.mark.parametrize(
    "segmentation",
    [
        [[0, 0, 30, 0, 30, 40, 0, 40]],
        {"size": [40, 60], "counts": [0, 1200, 1200]},
        _run_lengths(left_half(40, 60)),
        [[0, 0, 15, 0, 15, 40, 0, 40], [15, 0, 30, 0, 30, 40, 15, 40], [1, 1, 5, 5]],
    ],
)
def test_polygons_and_both_kinds_of_run_lengths_give_the_same_mask(
    places: SimpleNamespace, segmentation: Any
) -> None:
    edit(places.annotations, lambda d: d["annotations"][0].update(segmentation=segmentation))
    data = opened(places)
    truth = true_objects(data.pictures[0])
    assert (coco_mask.decode(truth.masks.shapes[0]) == left_half(40, 60)).all()
    assert not truth.lacks_mask.any()


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        [],
        [[1, 2, 3, 4]],
        {"size": [4, 4], "counts": "0"},
        {"size": [40, 60], "counts": [1200, 1201]},
        {"size": [40, 60], "counts": [1200, 1199]},
    ],
)
def test_where_only_a_box_is_known_mask_ap_ignores_what_lies_in_it(
    places: SimpleNamespace, segmentation: Any
) -> None:
    edit(places.annotations, lambda d: d["annotations"][0].update(segmentation=segmentation))
    report = evaluate(KnowingPredictor(), opened(places))
    assert report["box"]["AP"] == pytest.approx(1.0)
    assert report["mask"]["AP"] == pytest.approx(1.0)  # of the other picture's cat alone
    assert report["per_class"]["mask"][0]["num_truths"] == 1
    assert report["counts"]["truths_without_mask"] == 1
    assert report["notes"] == ["1 object has a box only: mask AP ignores what lies in it"]


class HastyPredictor(KnowingPredictor):
    """Sees first a cat that isn't there: a small mask in a medium-sized box."""

    def _instances(self, height: int, width: int) -> Instances:
        right = super()._instances(height, width)
        mask = np.zeros((height, width), np.uint8, order="F")
        mask[:20, -20:] = 1
        return Instances(
            height=height,
            width=width,
            boxes_xyxy=np.array([[width // 2, 0, width, height], *right.boxes_xyxy], np.float32),
            scores=np.array([0.9, 0.5], np.float32),
            classes=np.array([0, 0]),
            masks=[coco_mask.encode(mask), *right.masks],
            areas=np.array([400, *right.areas]),
        )


def test_the_mask_not_the_box_says_how_large_a_found_mask_is(places: SimpleNamespace) -> None:
    report = evaluate(HastyPredictor(), opened(places))
    assert report["box"]["AP_medium"] == pytest.approx(0.5)
    assert report["mask"]["AP_medium"] == pytest.approx(1.0)
    assert report["mask"]["AP"] == pytest.approx(0.5)


def test_true_maps_are_read_from_three_bytes_a_pixel(places: SimpleNamespace) -> None:
    data = with_panoptic(places)
    ids, segments = true_partition(data, data.pictures[0])
    assert (ids == np.where(left_half(40, 60), 300, 2)).all()
    assert [(s.id, s.category_id, s.is_crowd) for s in segments] == [
        (300, CAT, False),
        (2, GRASS, False),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a readable JSON file"),
        ("[]", "no list 'images'"),
        ('{"images": [], "annotations": []}', "no list 'categories'"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "sound id and name"),
        (
            '{"images": [{"id": 1}], "annotations": [], "categories": []}',
            "without a sound id, file_name, width or height",
        ),
    ],
)
def test_a_file_that_is_not_coco_style_is_refused(
    places: SimpleNamespace, content: str, message: str
) -> None:
    places.annotations.write_text(content)
    with pytest.raises(ValueError, match=message):
        opened(places)


def test_pictures_come_from_the_panoptic_file_where_there_are_no_instances(
    places: SimpleNamespace,
) -> None:
    data = open_data(
        places.images, panoptic=places.panoptic, panoptic_folder=places.panoptic_folder
    )
    report = evaluate(KnowingPredictor(), data, task="panoptic")
    assert report["panoptic"]["all"]["PQ"] == 1.0


def test_results_scored_by_pycocotools_give_the_report_back(
    tmp_path: Path, places: SimpleNamespace
) -> None:
    """Also a network's own boxes and masks, noise as they are, on pictures of noise."""
    rng = np.random.default_rng(5)
    for path in places.images.iterdir():
        with Image.open(path) as image:
            size = image.size
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(path)
    predictor = tiny_predictor()
    instances = predictor.segment([np.asarray(Image.open(places.images / "a.png"))])[0]
    x0, y0, x1, y1 = (float(v) for v in instances.boxes_xyxy[0] + [0, 0, 1, -1])

    def move(document: Any) -> None:
        """Make the best detection's truth nearly so: a match at low thresholds only."""
        document["annotations"][0].update(
            category_id=predictor.categories.things[instances.classes[0]].id,
            bbox=[x0, y0, x1 - x0, y1 - y0],
            segmentation={
                "size": instances.masks[0]["size"],
                "counts": instances.masks[0]["counts"].decode(),
            },
        )

    edit(places.annotations, move)
    with results_file(tmp_path / "results.json") as add:
        report = evaluate(predictor, opened(places), on_result=add)
    assert report["counts"]["detections"] > 2
    assert 0 < report["box"]["AP"] < 1
    for kind, name, without in (("bbox", "box", "segmentation"), ("segm", "mask", "bbox")):
        rows = json.loads((tmp_path / "results.json").read_text())
        rows = [{key: value for key, value in row.items() if key != without} for row in rows]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(places.annotations))
            scored = COCOeval(truth, truth.loadRes(rows), kind)
            scored.evaluate()
            scored.accumulate()
            scored.summarize()
        numbers = [-1 if value is None else value for value in report[name].values()]
        assert numbers == pytest.approx(scored.stats.tolist(), abs=1e-12)


def test_a_tiny_network_is_measured_as_a_whole(places: SimpleNamespace) -> None:
    report = evaluate(tiny_predictor(semantic=True), with_panoptic(places), task="both")
    assert 0 <= report["panoptic"]["all"]["PQ"] < 0.5
    assert {"preprocess", "forward", "postprocess"} <= set(report["seconds"])


def test_a_results_file_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("before")
    with pytest.raises(TypeError), results_file(path) as add:
        add({"score": object()})
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_an_empty_results_file_is_an_empty_list(tmp_path: Path) -> None:
    with results_file(tmp_path / "results.json"):
        pass
    assert json.loads((tmp_path / "results.json").read_text()) == []


def test_names_of_the_categories_are_those_of_the_data(places: SimpleNamespace) -> None:
    report = evaluate(KnowingPredictor(), with_panoptic(places), task="panoptic")
    rows = report["per_class"]["panoptic"]
    assert {row["id"]: row["name"] for row in rows} == NAMES
