from __future__ import annotations

import logging
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import toy_data
from PIL import Image
from toy_data import rectangle

from model.presets import preset
from model.train.losses.mask_losses import unknown_in
from model.train.recipes.recipe import AugmentConfig, Recipe
from model.train.samples.batch import TrainingSample
from model.train.samples.dataset import CocoDataset, SampleKey, open_data

CONFIG = preset("RT_R_50_4x_syncbn_shtw")
AUGMENT = AugmentConfig(
    short_sides=(32, 48, 64),
    max_side=96,
    crop=True,
    crop_fraction=0.6,
    colour_jitter=0.3,
    scale_jitter=(0.5, 1.5),
    copy_paste_probability=0.5,
)
SIZES = [(40, 60), (60, 40), (40, 60), (40, 60)]


def dataset(folder: Path, *, seed: int = 0, augment: AugmentConfig = AUGMENT) -> CocoDataset:
    rows = [rectangle(i, 3, 5, 5, 20, 20) for i in range(1, len(SIZES) + 1)]
    path = toy_data.write(folder, SIZES, rows)
    return open_data([path], CONFIG, Recipe(augment=augment, seed=seed))


def same(a: TrainingSample, b: TrainingSample) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


def test_a_sample_is_a_function_of_seed_epoch_and_picture(tmp_path: Path) -> None:
    first, second = dataset(tmp_path), dataset(tmp_path)
    first[SampleKey(3, 1)]  # what came before leaves no trace
    for key in (SampleKey(0, 0), SampleKey(7, 2)):
        assert same(first[key], second[key])
    assert not same(first[SampleKey(0, 0)], first[SampleKey(1, 0)])
    assert not same(first[SampleKey(0, 0)], dataset(tmp_path, seed=1)[SampleKey(0, 0)])


def test_a_sample_holds_what_its_record_promises(tmp_path: Path) -> None:
    sample = dataset(tmp_path, augment=replace(AUGMENT, copy_paste_probability=0))[0]
    _, height, width = sample.pixels.shape
    assert sample.pixels.dtype == torch.uint8
    assert sample.boxes_xyxy.dtype == torch.float32
    assert sample.masks.shape == (1, 56, 56)
    assert sample.basis_labels.shape == (-(-height // 8), -(-width // 8))
    assert sample.semantic_labels is None
    assert sample.labelled_classes.tolist() == [True, True, True]
    assert sample.image_id == 1


def test_a_damaged_picture_is_named_once_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = dataset(tmp_path)
    broken = tmp_path / "images/001.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with caplog.at_level(logging.WARNING):
        samples = [data[SampleKey(epoch, 0)] for epoch in range(3)]
    # The next one that is wide, too: not the second.
    assert {sample.image_id for sample in samples} == {3}
    assert len(caplog.records) == 1
    assert str(broken) in caplog.text


def test_missing_files_and_wrong_sizes_are_replaced_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = dataset(tmp_path)
    (tmp_path / "images/001.png").unlink()
    Image.new("RGB", (61, 40)).save(tmp_path / "images/003.png")
    assert data[0].image_id == 4
    assert all(name in caplog.text for name in ("001.png", "003.png"))
    assert len(caplog.records) == 2


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        data[0]


def test_a_panoptic_network_needs_stuff(tmp_path: Path) -> None:
    path = toy_data.write(tmp_path, [(8, 8)], [rectangle(1, 3, 0, 0, 4, 4)])
    with pytest.raises(ValueError, match="the data has none"):
        open_data([path], preset("Panoptic/R_50_1x"), Recipe())


def test_more_classes_than_a_byte_tells_are_learnt(tmp_path: Path) -> None:
    categories = [{"id": i, "name": f"c{i}"} for i in range(1, 301)]
    rows = [rectangle(1, i, 8 * n, 0, 8, 16) for n, i in enumerate((1, 254, 255, 256, 300))]
    path = toy_data.write(tmp_path, [(16, 40)], rows, categories=categories)
    augment = AugmentConfig(short_sides=(16,), max_side=64, flip_probability=0)
    labels = open_data([path], CONFIG, Recipe(augment=augment))[0].basis_labels
    assert labels[0].tolist() == [1, 254, 255, 256, 300]
    assert (labels != unknown_in(labels)).all()


def test_what_is_unknown_among_many_classes_is_no_class(tmp_path: Path) -> None:
    categories = [{"id": i, "name": f"c{i}"} for i in range(1, 301)]
    path = toy_data.write(
        tmp_path,
        [(16, 40)],
        [rectangle(1, 255, 0, 0, 8, 16)],
        categories=categories,
        info={"labelled_category_ids": list(range(1, 300))},
    )
    augment = AugmentConfig(short_sides=(32,), max_side=80, flip_probability=0)
    labels = open_data([path], CONFIG, Recipe(augment=augment))[0].basis_labels
    assert set(labels.unique().tolist()) == {255, unknown_in(labels)}
    assert unknown_in(labels) == -1


def test_pictures_without_objects_are_trained_on_when_the_recipe_keeps_them(
    tmp_path: Path,
) -> None:
    path = toy_data.write(tmp_path, [(16, 40)] * 2, [rectangle(1, 3, 0, 0, 8, 16)])
    augment = AugmentConfig(short_sides=(16,), max_side=64, crop=True)
    assert len(open_data([path], CONFIG, Recipe(augment=augment))) == 1
    data = open_data([path], CONFIG, Recipe(augment=augment, keep_empty=True))
    assert [len(data[index].classes) for index in range(2)] == [1, 0]
