from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pets import KnowingPredictor, edit, write_pets
from PIL import Image
from tiny import CATEGORIES

from model.categories import Categories, Category
from model.datasets.check_data import check
from model.datasets.sources import Source
from model.evaluation.data import EvaluationData, open_data
from model.evaluation.measure import evaluate
from model.evaluation.readiness import check_ready


@pytest.fixture
def places(tmp_path: Path) -> SimpleNamespace:
    return write_pets(tmp_path)


def opened(places: SimpleNamespace) -> EvaluationData:
    return open_data(
        places.images,
        annotations=places.annotations,
        panoptic=places.panoptic,
        panoptic_folder=places.panoptic_folder,
    )


def ready(places: SimpleNamespace, categories: Categories = CATEGORIES) -> None:
    check_ready(opened(places), categories, with_stuff=True)


def test_sound_data_are_ready_without_a_word(
    places: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    ready(places)
    assert caplog.messages == []


def halve(path: Path) -> None:
    with Image.open(path) as image:
        image.resize((image.width // 2, image.height // 2)).save(path)


def add_an_id(path: Path) -> None:
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[0, 0] = 77
    Image.fromarray(pixels).save(path)


SPOILS: list[tuple[Callable[[SimpleNamespace, str], None], str]] = [
    (lambda p, name: (p.images / name).unlink(), "picture files that don't exist"),
    (lambda p, name: halve(p.images / name), "picture files of another size"),
    (lambda p, name: (p.images / name).write_bytes(b"GIF"), "cannot be decoded"),
    (lambda p, name: (p.panoptic_folder / name).unlink(), "panoptic PNGs that don't exist"),
    (lambda p, name: halve(p.panoptic_folder / name), "is 30×20, not 60×40"),
    (lambda p, name: add_an_id(p.panoptic_folder / name), "has the segment id 5066061"),
]


@pytest.mark.parametrize(("spoil", "words"), SPOILS)
def test_what_cannot_be_evaluated_is_said_and_costs_its_picture(
    places: SimpleNamespace,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[SimpleNamespace, str], None],
    words: str,
) -> None:
    spoil(places, "a.png")
    ready(places)
    assert words in caplog.text
    report = evaluate(KnowingPredictor(), opened(places), task="both")
    assert [row["file_name"] for row in report["pictures"]["failed"]] == ["a.png"]
    assert report["pictures"]["measured"] == 1
    source = Source(
        annotations=places.annotations,
        images=places.images,
        panoptic=places.panoptic,
        panoptic_images=places.panoptic_folder,
    )
    found = check([source])
    assert found.breaks_training
    assert words in found.text()


@pytest.mark.parametrize(("spoil", "words"), SPOILS)
def test_data_of_which_nothing_can_be_evaluated_are_refused(
    places: SimpleNamespace, spoil: Callable[[SimpleNamespace, str], None], words: str
) -> None:
    spoil(places, "b.png")
    (places.images / "a.png").unlink()
    with pytest.raises(ValueError, match=r"0 of 2 pictures can be evaluated on: .*such as"):
        ready(places)


def test_data_without_a_picture_are_refused(places: SimpleNamespace) -> None:
    for path in (places.annotations, places.panoptic):
        edit(path, lambda document: document.update(images=[], annotations=[]))
    with pytest.raises(ValueError, match="0 of 0 pictures"):
        ready(places)


def test_classes_of_other_ids_are_refused(places: SimpleNamespace) -> None:
    moved = tuple(Category(id=c.id - 1, name=c.name) for c in CATEGORIES.things)
    with pytest.raises(ValueError, match="none agree in id and name"):
        ready(places, Categories(name="moved", things=moved, stuff=CATEGORIES.stuff))


def test_stuff_is_not_looked_at_for_a_network_without_it(places: SimpleNamespace) -> None:
    def break_all(document: Any) -> None:
        document["annotations"] = []

    edit(places.panoptic, break_all)
    check_ready(opened(places), CATEGORIES, with_stuff=False)
