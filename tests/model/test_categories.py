from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.categories import Categories, Category
from model.coco_categories import COCO, COCO_PANOPTIC, default_categories


def test_coco_has_its_counts_and_gaps() -> None:
    assert (len(COCO.things), len(COCO.stuff)) == (80, 0)
    assert len(COCO_PANOPTIC.stuff) == 53
    assert COCO.things[0] == Category(id=1, name="person")
    assert COCO.things[79] == Category(id=90, name="toothbrush")
    assert COCO_PANOPTIC.stuff[52] == Category(id=200, name="rug-merged")


def test_label_of_stuff_counts_from_1() -> None:
    assert COCO_PANOPTIC.of(1, is_thing=False).name == "banner"
    assert COCO_PANOPTIC.of(0, is_thing=True).name == "person"


def test_category_is_found_by_name_in_any_case_and_by_id() -> None:
    assert COCO.find("Hot Dog").id == 58
    assert COCO.find(58).name == "hot dog"
    assert COCO.find(" 58 ").name == "hot dog"


def test_name_of_digits_is_found_before_an_id() -> None:
    digits = Categories(
        name="digits", things=tuple(Category(id=i + 1, name=str(i)) for i in range(10))
    )
    assert [digits.find(str(i)).id for i in range(10)] == list(range(1, 11))
    assert digits.find("10").name == "9"  # no class is called that
    assert digits.find(3).name == "2"  # a number is an id


def test_name_in_the_very_case_is_found_before_others() -> None:
    classes = Categories(name="x", things=(Category(id=1, name="bus"), Category(id=2, name="Bus")))
    assert (classes.find("Bus").id, classes.find("BUS").id) == (2, 1)


def test_unknown_name_lists_near_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown class 'persn'; near matches: person"):
        COCO.find("persn")


def test_categories_survive_a_round_trip() -> None:
    assert Categories.from_dict(COCO_PANOPTIC.to_dict()) == COCO_PANOPTIC


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(ValueError, match=r"given twice: \[1\]"):
        Categories(name="x", things=(Category(id=1, name="a"), Category(id=1, name="b")))


def test_coco_file_gives_things_in_the_order_of_ids_and_its_stuff(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "name": "tree", "isthing": 0},
        {"id": 5, "name": "cat", "isthing": 1},
        {"id": 2, "name": "dog"},
    ]
    path = tmp_path / "pets.json"
    path.write_text(json.dumps({"categories": rows}))
    categories = Categories.from_coco(path)
    assert categories.name == "pets"
    assert [c.name for c in categories.things] == ["dog", "cat"]
    assert [c.name for c in categories.stuff] == ["tree"]


def test_file_without_categories_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match="no readable COCO categories"):
        Categories.from_coco(path)


def test_released_sizes_get_the_released_categories() -> None:
    assert default_categories(80, 0) == COCO
    assert default_categories(80, 53) == COCO_PANOPTIC
    assert [c.name for c in default_categories(1, 0).things] == ["person"]
    assert [c.name for c in default_categories(3, 0).things] == ["class 1", "class 2", "class 3"]


def test_name_without_end_is_neither_searched_nor_repeated() -> None:
    with pytest.raises(ValueError, match="unknown class 'xxx") as refusal:
        COCO.find("x" * 10**6)
    assert len(str(refusal.value)) < 200


def test_first_of_several_with_a_name_or_id_is_found() -> None:
    things = (Category(id=2, name="1"), Category(id=1, name="cat"), Category(id=3, name="Cat"))
    categories = Categories(name="x", things=things)
    assert [categories.find(wanted).id for wanted in ("1", 1, "CAT", "2", "3")] == [2, 1, 1, 2, 3]
