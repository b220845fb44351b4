"""Every part of the network gives the original's intermediate values, without a resize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import goldens
import numpy as np
import pytest
import torch
from test_golden_photos import assert_same_instances, max_other_pixels
from torch import Tensor

from model.prediction.postprocess import attentions_of, detect, mask_probabilities
from model.prediction.predictor import Predictor
from model.prediction.preprocess import prepare
from model.structures import DensePredictions

CASES = [goldens.param(name) for name in goldens.configurations() if goldens.has_small(name)]

MAX_RELATIVE_ERROR = 1e-4  # of the largest value
CANDIDATE_THRESHOLD = 0.01


def crop() -> np.ndarray:
    return np.ascontiguousarray(goldens.image("astronaut")[0:256, 96:416])


def intermediates(predictor: Predictor, name: str) -> tuple[dict[str, Tensor], DensePredictions]:
    """Run the crop and collect what each part says, under the names of the golden files."""
    model = predictor.model
    found: dict[str, Tensor] = {}

    def keep(part: str) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: Tensor) -> None:
            found[part] = output.clone()

        return hook

    def keep_pyramid(_module: Any, _inputs: Any, output: dict[int, Tensor]) -> None:
        found.update({f"fpn.p{k}": p.clone() for k, p in output.items()})

    def keep_tower(name: str) -> Callable[..., None]:
        def hook(_module: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
            found[f"head.{name}.{inputs[1]}"] = output.clone()

        return hook

    parts = goldens.read(f"{name}/small_320x256")["intermediates"]
    named = {
        part: model.backbone.get_submodule(part) for part in parts if part.startswith("bottom_up.")
    }
    named |= {f"basis.refine{i}": m for i, m in enumerate(model.basis_module.refine)}
    named["basis.bases"] = model.basis_module
    if model.semantic_head is not None:
        named |= {
            f"panoptic.p{k}": model.semantic_head.get_submodule(f"p{k}") for k in (2, 3, 4, 5)
        }
        named["panoptic.logits_stride4"] = model.semantic_head
    handles = [module.register_forward_hook(keep(part)) for part, module in named.items()]
    handles.append(model.backbone.register_forward_hook(keep_pyramid))
    for tower in ("cls_tower", "bbox_tower"):
        module = model.fcos_head.get_submodule(tower)
        handles.append(module.register_forward_hook(keep_tower(tower)))
    try:
        batch = prepare([crop()], replace(predictor.config.input, short_side=0), "cpu")
        dense = predictor.forward(batch)
    finally:
        for handle in handles:
            handle.remove()
    found["normalized_padded_input"] = batch.pixels
    with torch.inference_mode():
        for level, features in enumerate(dense.box_features):
            found[f"head.cls_logits.{level}"] = dense.class_logits[level]
            found[f"head.bbox_reg_after_relu.{level}"] = dense.distances[level]
            found[f"head.ctrness.{level}"] = dense.centerness_logits[level]
            found[f"head.top_feats.{level}"] = model.top_layer(features)
        if model.basis_module.seg_head is not None:
            found["basis.seg_head_logits"] = model.basis_module.seg_head(found["fpn.p3"])
    return found, dense


def sampled(values: np.ndarray) -> np.ndarray:
    flat = values.ravel()
    count = flat.size
    return flat if count <= 4096 else flat[(np.arange(4096) * count) // 4096]


@pytest.mark.parametrize("name", CASES)
def test_every_part_gives_the_originals_values(name: str, golden_folder: Path) -> None:
    found, _ = intermediates(goldens.predictor(name, golden_folder), name)
    numbers = np.load(goldens.FOLDER / name / "small_320x256.npz")
    shapes = goldens.read(f"{name}/small_320x256")["intermediates"]
    wrong = {}
    for part, described in shapes.items():
        ours = found[part].numpy()
        assert list(ours.shape) == described["shape"], part
        theirs = numbers[part]
        error = np.abs(sampled(ours) - theirs.ravel()).max() / np.abs(theirs).max()
        if error > MAX_RELATIVE_ERROR:
            wrong[part] = float(error)
    assert wrong == {}


@pytest.mark.parametrize("name", CASES)
def test_detections_and_their_maps_are_the_originals(name: str, golden_folder: Path) -> None:
    predictor = goldens.predictor(name, golden_folder)
    _, dense = intermediates(predictor, name)
    numbers = np.load(goldens.FOLDER / name / "small_320x256.npz")
    config = predictor.config
    with torch.inference_mode():
        detection = replace(config.detection, candidate_threshold=CANDIDATE_THRESHOLD)
        found = detect(dense, 0, config.strides, detection)
        first = found[:8]
        attentions = attentions_of(first, dense, 0, predictor.model.top_layer)
        maps = mask_probabilities(first, dense, 0, predictor.model.top_layer, config.blender)
    np.testing.assert_allclose(found.scores, numbers["det.raw_scores"], atol=1e-4)
    np.testing.assert_array_equal(found.classes, numbers["det.raw_classes"])
    np.testing.assert_array_equal(found.levels, numbers["det.raw_levels"])
    np.testing.assert_allclose(
        found.boxes_xyxy, numbers["det.raw_boxes_unclipped_net_scale"], atol=0.02
    )
    theirs = numbers["det.top_feat_first8"]
    error = np.abs(attentions.flatten(1).numpy() - theirs).max() / np.abs(theirs).max()
    assert error <= MAX_RELATIVE_ERROR
    np.testing.assert_allclose(maps, numbers["det.mask_prob56_first8"], atol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_small_picture_gives_the_originals_instances(name: str, golden_folder: Path) -> None:
    predictor = goldens.predictor(name, golden_folder)
    config = replace(
        predictor.config,
        input=replace(predictor.config.input, short_side=0),
        detection=replace(predictor.config.detection, candidate_threshold=CANDIDATE_THRESHOLD),
    )
    (result,) = goldens.with_config(predictor, config).segment([crop()])
    expected = goldens.read(f"{name}/small_320x256")
    assert_same_instances(result, expected, max_other_pixels(name))
