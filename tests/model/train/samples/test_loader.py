from __future__ import annotations

from dataclasses import fields
from itertools import islice
from pathlib import Path

import pytest
import torch
import toy_data
from toy_data import rectangle

from model.presets import preset
from model.train.recipes.recipe import AugmentConfig, Recipe
from model.train.samples.batch import TrainingBatch, TrainingSample
from model.train.samples.dataset import CocoDataset, open_data
from model.train.samples.loader import build_loader, pack, unpack

RECIPE = Recipe(batch_size=2, augment=AugmentConfig(short_sides=(32, 40), max_side=80))


@pytest.fixture
def dataset(tmp_path: Path) -> CocoDataset:
    sizes = [(40, 60), (60, 40), (40, 64), (64, 40), (40, 50)]
    rows = [rectangle(i, 3, 5, 5, 20, 20) for i in range(1, 6)]
    return open_data([toy_data.write(tmp_path, sizes, rows)], preset("R_50_1x"), RECIPE)


def same(a: TrainingBatch, b: TrainingBatch) -> bool:
    for f in fields(a):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if isinstance(x, torch.Tensor):
            x, y = [x], [y]
        equal = torch.equal if isinstance(x, list) and isinstance(x[0], torch.Tensor) else None
        if not (all(map(equal, x, y)) if equal else x == y):
            return False
    return True


def sample(height: int, width: int, num_objects: int, *, semantic: bool = False) -> TrainingSample:
    return TrainingSample(
        pixels=torch.full((3, height, width), 7, dtype=torch.uint8),
        boxes_xyxy=torch.full((num_objects, 4), float(num_objects)),
        classes=torch.zeros(num_objects, dtype=torch.int64),
        masks=torch.ones(num_objects, 4, 4, dtype=torch.bool),
        has_mask=torch.ones(num_objects, dtype=torch.bool),
        basis_labels=torch.full((-(-height // 8), -(-width // 8)), 3, dtype=torch.uint8),
        semantic_labels=torch.full((height, width), 5, dtype=torch.uint8) if semantic else None,
        labelled_classes=torch.ones(3, dtype=torch.bool),
        image_id=num_objects,
    )


def test_processes_share_each_batch(dataset: CocoDataset) -> None:
    whole = build_loader(dataset, RECIPE, num_workers=0)
    parts = [
        build_loader(dataset, RECIPE, rank=rank, world_size=2, num_workers=0) for rank in range(2)
    ]
    for _ in range(4):
        together = [next(part).image_ids for part in parts]
        assert next(whole).image_ids == together[0] + together[1]


def test_a_run_goes_on_where_it_stopped_whatever_the_workers(dataset: CocoDataset) -> None:
    straight = list(islice(build_loader(dataset, RECIPE, num_workers=0), 5))
    resumed = build_loader(dataset, RECIPE, num_workers=1, start_iteration=2)
    for expected in straight[2:]:
        assert same(next(resumed), expected)
    resumed.close()
    with pytest.raises(StopIteration):
        next(resumed)


def test_accumulated_batches_belong_to_one_iteration(dataset: CocoDataset) -> None:
    recipe = Recipe(batch_size=2, accumulate=2, augment=RECIPE.augment)
    straight = list(islice(build_loader(dataset, recipe, num_workers=0), 3))
    resumed = build_loader(dataset, recipe, num_workers=0, start_iteration=1)
    assert same(next(resumed), straight[2])


def test_a_batch_that_cannot_be_shared_is_refused(dataset: CocoDataset) -> None:
    with pytest.raises(ValueError, match="a batch of 2 cannot be shared evenly by 3"):
        build_loader(dataset, RECIPE, rank=0, world_size=3, num_workers=0)


def test_samples_are_padded_to_a_canvas_of_32() -> None:
    batch = unpack(pack([sample(40, 50, 2), sample(20, 70, 0)]))
    assert batch.pixels.shape == (2, 3, 64, 96)
    assert batch.sizes == [(40, 50), (20, 70)]
    assert batch.pixels[0, 0].sum() == 7 * 40 * 50
    assert batch.basis_labels.shape == (2, 8, 12)
    assert batch.basis_labels[1].sum() == 3 * 3 * 9
    assert batch.semantic_labels is None
    assert [len(boxes) for boxes in batch.boxes_xyxy] == [2, 0]
    assert batch.masks[1].shape == (0, 4, 4)
    assert batch.image_ids == [2, 0]


def test_semantic_labels_are_unknown_where_there_are_none() -> None:
    labels = unpack(pack([sample(32, 32, 1), sample(32, 20, 1, semantic=True)])).semantic_labels
    assert labels is not None
    assert (labels[0] == 255).all()
    assert labels[1, 0].tolist() == [5] * 20 + [255] * 12


def test_sizes_stay_pairs_when_pinning_turned_them_into_lists() -> None:
    packed = pack([sample(40, 50, 2)])
    as_pinned = packed._replace(sizes=[list(size) for size in packed.sizes])  # type: ignore[misc]
    assert unpack(as_pinned).sizes == [(40, 50)]
