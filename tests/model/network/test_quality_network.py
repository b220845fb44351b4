"""The detector without centerness, held to numbers of an independent implementation.

That one computed what NanoDet-g's own graph computes, to 2e-6, when it had the graph's weights.
Here both have synthetic weights, a function of a tensor's name and shape. The boxes of the
reference are decoded from its own points, half a pixel beside ours.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from goldens import synthetic

from model.config import FCOSConfig, FPNConfig
from model.network.blendmask import BlendMask
from model.network.pan import PAN
from model.network.quality_head import QualityHead
from model.structures import DensePredictions
from model.train.recipes.small import small_2_model

REFERENCE = json.loads((Path(__file__).parent / "nanodet_reference.json").read_bytes())
STRIDES = (8, 16, 32)


@functools.cache
def predictions() -> DensePredictions:
    model = BlendMask(small_2_model(num_stuff=2)).eval()
    for name, tensor in model.state_dict().items():
        if name.startswith(("backbone.", "fcos_head.")):
            tensor.copy_(torch.from_numpy(synthetic(name, tensor.shape)))
    raw = np.random.PCG64(7).random_raw(3 * 96 * 128) >> np.uint64(40)
    pixels = (raw.astype(np.float64) / 2**23 - 1).astype(np.float32).reshape(1, 3, 96, 128)
    with torch.inference_mode():
        found: DensePredictions = model(torch.from_numpy(pixels))
    return found


@pytest.mark.parametrize("level", [0, 1, 2])
def test_classes_boxes_and_features_are_the_references(level: int) -> None:
    found, stride = predictions(), STRIDES[level]
    for wanted in REFERENCE["levels"][str(level)]:
        row, column = wanted["row"], wanted["column"]
        logits = found.class_logits[level][0, ::13, row, column]
        assert logits.tolist() == pytest.approx(wanted["class_logits"], abs=2e-4)
        features = found.box_features[level][0, ::31, row, column]
        assert features.tolist() == pytest.approx(wanted["box_features"], abs=2e-4)
        assert _box(found, level, row, column, stride) == pytest.approx(
            wanted["box_xyxy"], abs=5e-3
        )


def _box(found: DensePredictions, level: int, row: int, column: int, stride: int) -> Any:
    left, top, right, bottom = (found.distances[level][0, :, row, column] * stride).tolist()
    x, y = column * stride + stride // 2, row * stride + stride // 2
    return [x - left, y - top, x + right, y + bottom]


def test_there_is_no_centerness_and_all_else_is_as_always() -> None:
    found = predictions()
    assert found.centerness_logits is None
    assert found.bases.shape == (1, 4, 24, 32)
    assert found.semantic_logits is not None
    assert found.semantic_logits.shape == (1, 3, 24, 32)


def test_distance_is_the_expectation_under_the_bins() -> None:
    head = QualityHead(FCOSConfig(kind="quality", num_classes=2, num_bins=4), 8, STRIDES)
    torch.nn.init.zeros_(head.bbox_pred[1].weight)
    sure, torn = [0.0, 0.0, 50.0, 0.0], [0.0, 50.0, 0.0, 50.0]
    head.bbox_pred[1].bias.data = torch.tensor([*sure, *torn, *sure, *[0.0] * 4])
    with torch.inference_mode():
        _, distances, _, _ = head(torch.zeros(1, 8, 1, 1), 1)
    # Certainly 2; 1 or 3; certainly 2; anything of 0 to 3. Half a pixel is 1/32 of the stride.
    assert distances.flatten().tolist() == pytest.approx(
        [2 + 1 / 32, 2 + 1 / 32, 2 - 1 / 32, 1.5 - 1 / 32]
    )


def test_no_distance_is_below_zero() -> None:
    head = QualityHead(FCOSConfig(kind="quality", num_classes=2, num_bins=4), 8, STRIDES)
    torch.nn.init.zeros_(head.bbox_pred[0].weight)
    head.bbox_pred[0].bias.data = torch.tensor([50.0, 0.0, 0.0, 0.0] * 4)
    with torch.inference_mode():
        _, distances, _, _ = head(torch.zeros(1, 8, 1, 1), 0)
    assert distances.flatten().tolist() == pytest.approx([1 / 16, 1 / 16, 0, 0])


def test_finest_level_is_the_backbones_own() -> None:
    config = FPNConfig(kind="pan", channels=16, num_top_levels=0)
    pyramid = PAN(config, finest_level=2).eval()
    with torch.inference_mode():
        found = pyramid(torch.zeros(1, 3, 64, 96))
    shapes = {level: tuple(features.shape[1:]) for level, features in found.items()}
    assert shapes == {2: (64, 16, 24), 3: (16, 8, 12), 4: (16, 4, 6), 5: (16, 2, 3)}
    assert pyramid.out_channels == {2: 64, 3: 16, 4: 16, 5: 16}
    instances_only = PAN(config, finest_level=3)
    assert instances_only.out_channels == {3: 16, 4: 16, 5: 16}
