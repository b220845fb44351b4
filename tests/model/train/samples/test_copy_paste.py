from __future__ import annotations

from pathlib import Path

import numpy as np
import toy_data
from toy_data import rectangle

from model.datasets.coco import read_coco
from model.datasets.sources import Source
from model.train.samples.augment import Geometry
from model.train.samples.copy_paste import paste_objects
from model.train.samples.scene import Scene, make_scene


class Always:
    """Chance that picks every object."""

    def random(self) -> float:
        return 0.9

    def integers(self, low: int, high: int) -> int:
        return low


class Never(Always):
    def random(self) -> float:
        return 0.1


def scene_with(folder: Path, *rows: dict[str, object], value: int) -> Scene:
    file = toy_data.write(folder, [(20, 40)], rows)
    picture = read_coco([Source(annotations=file, images=folder / "images")]).pictures[0]
    geometry = Geometry(source=(20, 40), crop=None, height=20, width=40, flip=False)
    rgb = np.full((20, 40, 3), value, dtype=np.uint8)
    return make_scene(
        picture, rgb, geometry, mask_size=4, labelled=np.ones(3, bool), semantic=False
    )


def test_pasted_objects_bring_pixels_boxes_and_labels(tmp_path: Path) -> None:
    scene = scene_with(tmp_path / "a", rectangle(1, 3, 0, 0, 10, 20), value=10)
    other = scene_with(tmp_path / "b", rectangle(1, 7, 20, 4, 8, 8), value=200)
    pasted = paste_objects(Always(), scene, other)
    assert pasted.objects.boxes_xyxy.tolist() == [[0, 0, 10, 20], [20, 4, 28, 12]]
    assert pasted.objects.classes.tolist() == [0, 1]
    assert pasted.objects.masks.all()
    assert pasted.rgb[:, :, 0].tolist()[4][18:30] == [10, 10, *[200] * 8, 10, 10]
    assert (pasted.basis_labels == 2).sum() == 64


def test_an_object_below_keeps_what_is_seen_of_it(tmp_path: Path) -> None:
    scene = scene_with(tmp_path / "a", rectangle(1, 3, 0, 0, 20, 20), value=10)
    other = scene_with(tmp_path / "b", rectangle(1, 7, 10, 0, 20, 20), value=200)
    pasted = paste_objects(Always(), scene, other)
    assert pasted.objects.boxes_xyxy.tolist() == [[0, 0, 10, 20], [10, 0, 30, 20]]
    assert pasted.objects.masks.all()


def test_the_mask_below_has_a_hole_where_it_is_covered(tmp_path: Path) -> None:
    scene = scene_with(tmp_path / "a", rectangle(1, 3, 0, 0, 20, 20), value=10)
    other = scene_with(tmp_path / "b", rectangle(1, 7, 10, 0, 10, 10), value=200)
    pasted = paste_objects(Always(), scene, other)
    assert pasted.objects.boxes_xyxy[0].tolist() == [0, 0, 20, 20]
    assert pasted.objects.masks[0].astype(int).tolist() == [[1, 1, 0, 0]] * 2 + [[1, 1, 1, 1]] * 2


def test_what_is_covered_is_gone(tmp_path: Path) -> None:
    rows = [rectangle(1, 3, 2, 2, 4, 4), rectangle(1, 3, 8, 8, 4, 4, segmentation=[])]
    scene = scene_with(tmp_path / "a", *rows, value=10)
    other = scene_with(tmp_path / "b", rectangle(1, 7, 0, 0, 20, 20), value=200)
    assert paste_objects(Always(), scene, other).objects.classes.tolist() == [1]


def test_boxes_without_mask_are_not_pasted(tmp_path: Path) -> None:
    scene = scene_with(tmp_path / "a", rectangle(1, 3, 0, 0, 10, 20), value=10)
    other = scene_with(tmp_path / "b", rectangle(1, 7, 20, 4, 8, 8, segmentation=[]), value=200)
    assert paste_objects(Always(), scene, other) is scene


def test_objects_not_drawn_are_not_pasted(tmp_path: Path) -> None:
    scene = scene_with(tmp_path / "a", rectangle(1, 3, 0, 0, 10, 20), value=10)
    other = scene_with(tmp_path / "b", rectangle(1, 7, 20, 4, 8, 8), value=200)
    assert paste_objects(Never(), scene, other) is scene


def test_neither_scene_is_changed(tmp_path: Path) -> None:
    scene = scene_with(tmp_path / "a", rectangle(1, 3, 0, 0, 10, 20), value=10)
    other = scene_with(tmp_path / "b", rectangle(1, 7, 5, 4, 8, 8), value=200)
    paste_objects(Always(), scene, other)
    assert (scene.rgb == 10).all()
    assert (scene.basis_labels == 1).sum() == 200
    assert scene.objects.boxes_xyxy.tolist() == [[0, 0, 10, 20]]
