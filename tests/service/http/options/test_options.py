from __future__ import annotations

import pytest
from service_fakes import PANOPTIC_MODEL, FakeEngine, assert_problem, post_picture

from service.engine import Task
from service.errors import OptionError
from service.http.options.picture_tasks import picture_task
from service.http.options.reading import read_options


@pytest.mark.parametrize(
    ("query", "mention"),
    [
        ("score_treshold=0.5", "the nearest known one is 'score_threshold'"),
        ("score_threshold=1.5", "score_threshold is '1.5'; it must be less than or equal to 1"),
        ("score_threshold=-0.1", "greater than or equal to 0"),
        ("score_threshold=nan", "finite"),
        ("score_threshold=high", "'high'"),
        ("max_instances=0", "greater than or equal to 1"),
        ("max_instances=1001", "less than or equal to 1000"),
        ("max_instances=2.5", "integer"),
        ("masks=png", "'rle', 'polygon' or 'none'"),
        ("render=svg", "'json', 'overlay' or 'cutout'"),
        ("instance=3", "instance is for render=cutout"),
        ("crop=true&render=overlay", "crop is for render=cutout"),
        ("render=cutout&instance=-1", "greater than or equal to 0"),
        ("render=cutout&segment=1", "unknown query parameter 'segment'"),
        ("render=cutout&crop=perhaps", "crop is 'perhaps'"),
        ("background=red", "'white', 'black' or 'checker'"),
        ("format=xml", "'native', 'coco'"),
        ("format=coco&masks=polygon", "masks is 'polygon', which format=coco of /segment"),
        ("format=fiftyone&masks=polygon", "use rle, none"),
        ("classes=", "at least one"),
        ("masks=rle&masks=none", "given twice, as 'rle' and 'none'"),
        ("score_threshold=0.5&score_threshold=0.6", "given twice"),
    ],
)
def test_unusable_option_is_refused_before_any_work(query: str, mention: str) -> None:
    engine = FakeEngine()
    assert_problem(post_picture(engine, f"/segment?{query}"), 422, mention)
    assert engine.jobs == []


def test_panoptic_has_masks_of_its_own() -> None:
    assert read_options("panoptic", [("masks", "png")], {}).masks == "png"
    with pytest.raises(OptionError, match="polygon"):
        read_options("panoptic", [("masks", "polygon")], {})


def test_option_given_twice_with_the_same_value_passes() -> None:
    query = [("score_threshold", "0.50"), ("score_threshold", "0.5"), ("masks", "none")]
    options = read_options("segment", query, {"score_threshold": 0.5, "masks": "none"})
    assert (options.score_threshold, options.masks) == (0.5, "none")


def test_query_and_body_may_not_contradict_each_other() -> None:
    with pytest.raises(OptionError, match="max_instances is given twice, as 3 and 4"):
        read_options("segment", [("max_instances", "3")], {"max_instances": 4})


def test_classes_may_come_in_any_order_from_both_sides() -> None:
    options = read_options("segment", [("classes", "bus, cat")], {"classes": ["cat", "bus"]})
    assert options.classes == ("bus", "cat")


def test_name_in_a_json_list_keeps_its_commas() -> None:
    options = read_options("segment", [], {"classes": ["cup, glass", " bus ", 3, ""]})
    assert options.classes == (3, "bus", "cup, glass")


@pytest.mark.parametrize(
    ("query", "members"),
    [
        ([("classes", "bus, cat"), ("classes", "dog,")], {}),
        ([("classes", "bus"), ("classes", "cat"), ("classes", "dog")], {}),
        ([], {"classes": "dog, cat,bus"}),
        ([], {"classes": ["bus", "cat", "dog"]}),
    ],
)
def test_text_of_classes_is_taken_apart_at_its_commas(
    query: list[tuple[str, str]], members: dict[str, object]
) -> None:
    assert read_options("segment", query, members).classes == ("bus", "cat", "dog")


@pytest.mark.parametrize("name", ["score_threshold", "max_instances", "classes"])
def test_truth_is_no_number_and_no_class(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name} is True"):
        read_options("segment", [], {name: True})


def test_null_counts_as_not_given() -> None:
    options = read_options("segment", [("masks", "none")], {"masks": None, "classes": None})
    assert options.masks == "none"


def test_long_value_is_cut_off_in_the_answer() -> None:
    with pytest.raises(OptionError) as refusal:
        read_options("segment", [("masks", "x" * 10_000)], {})
    assert len(refusal.value.detail) < 200


def test_unknown_member_is_refused_though_it_is_null() -> None:
    with pytest.raises(OptionError, match="unknown JSON member 'masc'"):
        read_options("segment", [], {"masc": None})


@pytest.mark.parametrize("classes", ["x" * 1001, ["bus", "x" * 10**6], list(range(10_001))])
def test_classes_without_end_are_refused(classes: object) -> None:
    with pytest.raises(OptionError, match="at most 10000 names or ids of at most 1000 char") as got:
        read_options("segment", [], {"classes": classes})
    assert len(got.value.detail) < 300


@pytest.mark.parametrize(
    ("task", "masks", "drawn_as", "needs_masks"),
    [
        ("segment", "rle", None, True),
        ("segment", "polygon", None, True),
        ("segment", "none", None, False),
        ("segment", "rle", "image/png", True),
        ("panoptic", "rle", None, True),
        ("panoptic", "png", None, False),
        ("panoptic", "rle", "image/png", False),
    ],
)
def test_run_lengths_are_computed_only_where_they_are_used(
    task: Task, masks: str, drawn_as: str | None, needs_masks: bool
) -> None:
    options = read_options(task, [("masks", masks)], {})
    asked = picture_task(task, options, PANOPTIC_MODEL, 0.3, picture_type=drawn_as)
    assert (asked.masks, asked.picture_type) == (masks, drawn_as)
    assert asked.predict.masks is needs_masks
