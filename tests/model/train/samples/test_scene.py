from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toy_data
from PIL import Image
from toy_data import rectangle

from model.datasets.coco import read_coco
from model.datasets.records import PanopticTruth, Picture
from model.datasets.sources import Source
from model.train.samples.augment import Crop, Geometry
from model.train.samples.scene import (
    UNKNOWN,
    basis_labels,
    make_scene,
    shapes_of,
    stuff_labels,
    to_sample,
)

ALL = np.ones(3, dtype=bool)
TWO_OF_THREE = np.array([True, True, False])
# Columns 2 and 3 of rows 0 to 5 in a picture of 6 × 8 pixels.
BAR = {"size": [6, 8], "counts": [12, 12, 24]}


def picture_with(folder: Path, *rows: dict[str, object], size: tuple[int, int] = (6, 8)) -> Picture:
    file = toy_data.write(folder, [size], rows)
    return read_coco([Source(annotations=file, images=folder / "images")]).pictures[0]


def whole(
    height: int = 6, width: int = 8, crop: Crop | None = None, flip: bool = False
) -> Geometry:
    return Geometry(source=(6, 8), crop=crop, height=height, width=width, flip=flip)


def pixels() -> np.ndarray:
    return toy_data.noise(6, 8)


def test_crowds_are_painted_but_are_no_objects(tmp_path: Path) -> None:
    crowd = rectangle(1, 7, 4, 0, 4, 6, iscrowd=1)
    picture = picture_with(tmp_path, rectangle(1, 3, 0, 0, 4, 6), crowd)
    scene = make_scene(picture, pixels(), whole(), mask_size=4, labelled=ALL, semantic=False)
    assert scene.objects.classes.tolist() == [0]
    assert scene.basis_labels[0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_what_is_not_labelled_is_unknown_and_not_background(tmp_path: Path) -> None:
    picture = picture_with(tmp_path, rectangle(1, 3, 0, 0, 4, 6))
    assert basis_labels(picture, shapes_of(picture), ALL)[0, 5] == 0
    assert basis_labels(picture, shapes_of(picture), TWO_OF_THREE)[0, 5] == UNKNOWN
    assert basis_labels(picture, shapes_of(picture), TWO_OF_THREE)[0, 3] == 1


def test_a_box_without_mask_is_an_object_and_its_inside_is_unknown(tmp_path: Path) -> None:
    picture = picture_with(tmp_path, rectangle(1, 3, 1, 1, 2, 3, segmentation=[]))
    scene = make_scene(picture, pixels(), whole(), mask_size=4, labelled=ALL, semantic=False)
    assert scene.objects.has_mask.tolist() == [False]
    assert not scene.objects.masks.any()
    np.testing.assert_array_equal(
        np.argwhere(scene.basis_labels == UNKNOWN)[[0, -1]], [[1, 1], [3, 2]]
    )
    assert (scene.basis_labels == UNKNOWN).sum() == 6


def test_run_lengths_follow_the_mirror(tmp_path: Path) -> None:
    picture = picture_with(tmp_path, rectangle(1, 3, 2, 0, 4, 6, segmentation=BAR))
    scene = make_scene(
        picture, pixels(), whole(12, 16, flip=True), mask_size=4, labelled=ALL, semantic=False
    )
    assert scene.objects.boxes_xyxy.tolist() == [[4, 0, 12, 12]]
    assert scene.objects.masks[0, 0].tolist() == [False, False, True, True]


def test_a_crop_leaves_tight_boxes(tmp_path: Path) -> None:
    rows = [
        rectangle(1, 3, 2, 0, 2, 6, segmentation=BAR),
        rectangle(1, 7, 0, 0, 8, 6),
        rectangle(1, 20, 6, 0, 2, 6, segmentation=[]),
    ]
    crop = Crop(top=1, left=3, height=4, width=5)
    scene = make_scene(
        picture_with(tmp_path, *rows),
        pixels(),
        whole(8, 10, crop),
        mask_size=4,
        labelled=ALL,
        semantic=False,
    )
    assert scene.objects.boxes_xyxy.tolist() == [[0, 0, 2, 8], [0, 0, 10, 8], [6, 0, 10, 8]]
    assert scene.objects.masks[:2].all()


def test_objects_outside_a_crop_are_gone(tmp_path: Path) -> None:
    rows = [rectangle(1, 3, 0, 0, 2, 6), rectangle(1, 7, 2, 0, 2, 6, segmentation=BAR)]
    rows += [rectangle(1, 20, 0, 0, 2, 2, segmentation=[]), rectangle(1, 20, 5, 1, 2, 2)]
    crop = Crop(top=0, left=4, height=6, width=4)
    scene = make_scene(
        picture_with(tmp_path, *rows),
        pixels(),
        whole(6, 4, crop),
        mask_size=4,
        labelled=ALL,
        semantic=False,
    )
    assert scene.objects.annotations.tolist() == [3]


def test_boxes_without_area_are_dropped(tmp_path: Path) -> None:
    rows = [rectangle(1, 3, 1, 1, 0, 3), rectangle(1, 7, 1, 1, 2, 3)]
    scene = make_scene(
        picture_with(tmp_path, *rows), pixels(), whole(), mask_size=4, labelled=ALL, semantic=False
    )
    assert scene.objects.classes.tolist() == [1]


def test_segments_become_things_stuff_and_unlabelled(tmp_path: Path) -> None:
    file = tmp_path / "ids.png"
    colours = [[[5, 0, 0], [0, 1, 0], [0, 0, 1], [9, 9, 9]]]  # ids 5, 256, 65536 and an unknown
    Image.fromarray(np.array(colours, dtype=np.uint8)).save(file)
    truth = PanopticTruth(
        file=str(file),
        ids=np.array([5, 256, 65536], dtype=np.uint32),
        labels=np.array([0, 4, 53], dtype=np.uint8),
    )
    assert stuff_labels(truth, 1, 4).tolist() == [[0, 4, 53, UNKNOWN]]
    with pytest.raises(ValueError, match=r"its true map ids\.png is 4×1, not 2×1"):
        stuff_labels(truth, 1, 2)


def test_channels_come_in_the_configurations_order(tmp_path: Path) -> None:
    picture = picture_with(tmp_path, rectangle(1, 3, 0, 0, 4, 6))
    scene = make_scene(picture, pixels(), whole(), mask_size=4, labelled=ALL, semantic=False)
    rgb, bgr = (
        to_sample(scene, colour=None, channels=c, labelled=ALL, image_id=1).pixels
        for c in ("rgb", "bgr")
    )
    np.testing.assert_array_equal(rgb.numpy(), pixels().transpose(2, 0, 1))
    np.testing.assert_array_equal(bgr.numpy(), rgb.numpy()[::-1])
