"""The recipe in AdelaiDet's YAML: read whole, said, and never followed by half in silence."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import goldens
import pytest

from model.adelaidet.training_options import training_options
from model.train.recipes.adelaidet_recipe import read_recipe, to_recipe
from model.train.recipes.recipe import RECIPES, Recipe


def _read(tmp_path: Path, options: dict[str, Any]) -> Recipe:
    path = tmp_path / "mine.yaml"
    path.write_text(goldens.as_yaml(options))
    return read_recipe(path)[0]


@pytest.mark.parametrize("name", goldens.configurations())
def test_the_original_s_complete_configuration_is_the_released_recipe(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = goldens.read(f"{name}/manifest")["cfg"]
    expected = RECIPES[name]
    if not options["MODEL.PANOPTIC_FPN.COMBINE.ENABLED"]:
        # Nothing has this weight in a network without stuff.
        expected = replace(expected, loss=replace(expected.loss, semantic_weight=1.0))
    assert _read(tmp_path, options) == expected
    assert caplog.messages == []


def test_defaults_are_the_base_configuration_s() -> None:
    expected = RECIPES["R_50_1x"]
    assert to_recipe(training_options({})) == replace(
        expected, loss=replace(expected.loss, semantic_weight=1.0)
    )


def test_recipe_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = {
        "SOLVER.MAX_ITER": 2000,
        "SOLVER.STEPS": "(1000, 1500)",
        "SOLVER.IMS_PER_BATCH": 4,
        "INPUT.MIN_SIZE_TRAIN": "(320, 352)",
    }
    with caplog.at_level(logging.INFO):
        _read(tmp_path, options)
    assert caplog.messages == [
        "the recipe is mine.yaml's: 2000 steps of 4 pictures, learning rate 0.01 with drops at "
        "1000, 1500, short sides of 320, 352, long ones of 1333 at most"
    ]


def test_bases_set_the_recipe_too(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("SOLVER: {MAX_ITER: 700, STEPS: !!python/tuple [500]}\n")
    path = tmp_path / "mine.yaml"
    path.write_text("_BASE_: base.yaml\nINPUT: {MIN_SIZE_TEST: 512}\n")
    recipe, short_side = read_recipe(path)
    assert (recipe.iterations, recipe.optimizer.steps, short_side) == (700, (500,), 512)


@pytest.mark.parametrize(
    ("key", "value", "path", "expected"),
    [
        ("SOLVER.WEIGHT_DECAY", 0.05, "optimizer.weight_decay", 0.05),
        ("SOLVER.WEIGHT_DECAY_NORM", 0.1, "optimizer.norm_weight_decay", 0.1),
        ("SOLVER.MOMENTUM", 0.8, "optimizer.momentum", 0.8),
        ("SOLVER.GAMMA", 0.5, "optimizer.gamma", 0.5),
        ("SOLVER.WARMUP_ITERS", 10, "optimizer.warmup_iterations", 10),
        ("SOLVER.WARMUP_FACTOR", 0.5, "optimizer.warmup_factor", 0.5),
        ("SOLVER.CHECKPOINT_PERIOD", 9, "checkpoint_every", 9),
        ("TEST.EVAL_PERIOD", 7, "evaluate_every", 7),
        ("SEED", 5, "seed", 5),
        ("DATALOADER.FILTER_EMPTY_ANNOTATIONS", False, "keep_empty", True),
        ("INPUT.MIN_SIZE_TRAIN", 600, "augment.short_sides", (600,)),
        ("INPUT.MAX_SIZE_TRAIN", 900, "augment.max_side", 900),
        ("INPUT.HFLIP_TRAIN", False, "augment.flip_probability", 0.0),
        ("INPUT.CROP.ENABLED", True, "augment.crop", True),
        ("MODEL.BACKBONE.FREEZE_AT", -1, "freeze_at", 0),
        ("MODEL.FCOS.POS_RADIUS", 2.0, "loss.center_radius", 2.0),
        ("MODEL.FCOS.LOC_LOSS_TYPE", "iou", "loss.box_loss", "iou"),
        ("MODEL.FCOS.LOSS_NORMALIZER_CLS", "all", "loss.class_normaliser", "all"),
        ("MODEL.FCOS.LOSS_WEIGHT_CLS", 2.0, "loss.class_weight", 2.0),
        ("MODEL.BASIS_MODULE.LOSS_WEIGHT", 1, "loss.basis_weight", 1.0),
        ("MODEL.BLENDMASK.INSTANCE_LOSS_WEIGHT", 3, "loss.mask_weight", 3.0),
        ("MODEL.SEM_SEG_HEAD.LOSS_WEIGHT", 0.25, "loss.semantic_weight", 0.25),
    ],
)
def test_option_becomes_its_member(
    tmp_path: Path, key: str, value: Any, path: str, expected: Any
) -> None:
    found: Any = _read(tmp_path, {key: value})
    usual: Any = RECIPES["R_50_1x"]
    for name in path.split("."):
        found, usual = getattr(found, name), getattr(usual, name)
    assert found == expected
    assert usual != expected


def test_whole_norm_of_the_gradients_can_be_clipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = {"ENABLED": True, "CLIP_TYPE": "full_model", "CLIP_VALUE": 5.0}
    options = {f"SOLVER.CLIP_GRADIENTS.{name}": value for name, value in clip.items()}
    assert _read(tmp_path, options).optimizer.clip_norm == 5.0
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("key", "value", "instead"),
    [
        ("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR", "'WarmupMultiStepLR'"),
        ("SOLVER.NESTEROV", True, "False"),
        ("SOLVER.WEIGHT_DECAY_BIAS", 0.5, "0.0001"),
        ("SOLVER.AMP.ENABLED", True, "False"),
        ("SOLVER.CLIP_GRADIENTS.ENABLED", True, "'full_model'"),
        ("INPUT.IS_ROTATE", True, "False"),
    ],
)
def test_what_cannot_be_followed_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str, value: Any, instead: str
) -> None:
    _read(tmp_path, {key: value})
    (line,) = caplog.messages
    assert line.startswith(key.rpartition(".")[0])
    assert line.endswith(f"training does as with {instead}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"SOLVER.MAX_ITERS": 5}, "unknown option SOLVER.MAX_ITERS; did you mean SOLVER.MAX_ITER"),
        ({"SOLVER.MAX_ITER": "many"}, "MAX_ITER is 'many'; it must be a whole number"),
        ({"SOLVER.IMS_PER_BATCH": 0}, "IMS_PER_BATCH is 0; it must be 1 or more"),
        ({"SOLVER.BASE_LR": -0.1}, "BASE_LR is -0.1; it must be 0 or more"),
        ({"SOLVER.BASE_LR": float("nan")}, "BASE_LR is nan; it must be 0 or more"),
        ({"SOLVER.BASE_LR": float("inf")}, "BASE_LR is inf; it must be 0 or more"),
        ({"SOLVER.WARMUP_ITERS": -5}, "WARMUP_ITERS is -5; it must be 0 or more"),
        ({"SOLVER.MOMENTUM": 1.5}, "MOMENTUM is 1.5; it must be from 0 to 1"),
        ({"MODEL.FCOS.LOSS_ALPHA": 7.0}, "LOSS_ALPHA is 7.0; it must be from 0 to 1"),
        ({"MODEL.BACKBONE.FREEZE_AT": 99}, "FREEZE_AT is 99; it must be 5 or less"),
        ({"SEED": 2**40}, "SEED is 1099511627776; it must be 2.14748e[+]09 or less"),
        ({"MODEL.FCOS.SIZES_OF_INTEREST": [64, 32, 256, 512]}, "SIZES_OF_INTEREST .* must rise"),
        (
            {"INPUT.MIN_SIZE_TRAIN": [800, 600], "INPUT.MIN_SIZE_TRAIN_SAMPLING": "range"},
            "MIN_SIZE_TRAIN .* must rise",
        ),
        ({"SOLVER.STEPS": [0.5]}, r"STEPS is \[0.5\]; it must be whole numbers"),
        ({"INPUT.MIN_SIZE_TRAIN": []}, r"MIN_SIZE_TRAIN is \[\]; it must be one or more"),
        ({"INPUT.MIN_SIZE_TRAIN_SAMPLING": "range"}, "the lowest and the highest"),
        ({"INPUT.CROP.SIZE": [0.9, 0.8]}, "one share twice"),
        ({"MODEL.FCOS.LOC_LOSS_TYPE": "diou"}, "only 'giou' or 'iou' or 'linear_iou'"),
    ],
)
def test_values_that_will_not_do_are_refused_by_name(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        _read(tmp_path, options)
    assert "mine.yaml: " in str(caught.value)
