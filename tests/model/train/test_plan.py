from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import toy_data

from model.categories import Categories
from model.presets import PRESETS, preset
from model.train.arguments import parse_arguments
from model.train.plan import (
    choose_config,
    choose_recipe,
    overrides_of,
    with_classes,
    with_length,
    without_unlearnt_stuff,
)
from model.train.recipes.recipe import RECIPES
from model.train.recipes.small import small_2_model, small_model, small_recipe


def _args(*more: str, config: str = "R_50_1x") -> argparse.Namespace:
    return parse_arguments(["--config", config, "--data", "x.json", *more])


def test_without_options_a_run_is_the_released_recipe() -> None:
    for name in PRESETS:
        args = _args(config=name)
        config = choose_config(args, None)
        assert config == preset(name)
        recipe = with_length(choose_recipe(args, config), args, 1000)
        assert recipe == replace(RECIPES[name], evaluate_every=recipe.evaluate_every)
        assert overrides_of(args) == {}


def test_linear_rule_multiplies_by_the_batch_of_a_step() -> None:
    args = _args("--scale-lr", "--batch-size", "4", "--accumulate", "2")
    # 0.01 for 16 pictures; 4 × 2 are half of them.
    assert choose_recipe(args, preset("R_50_1x")).optimizer.learning_rate == pytest.approx(0.005)


def test_adamw_brings_a_rate_and_a_decay_of_its_own() -> None:
    optimizer = choose_recipe(_args("--optimizer", "adamw"), preset("R_50_1x")).optimizer
    assert optimizer.kind == "adamw"
    assert (optimizer.learning_rate, optimizer.weight_decay) == (5e-4, 0.05)
    args = _args("--optimizer", "adamw", "--lr", "0.001")
    assert choose_recipe(args, preset("R_50_1x")).optimizer.learning_rate == 0.001


def test_sgd_asked_for_is_the_recipes_own() -> None:
    args = _args("--optimizer", "sgd")
    assert choose_recipe(args, preset("R_50_1x")).optimizer == RECIPES["R_50_1x"].optimizer


def test_schedule_moves_along_with_the_length() -> None:
    args = _args("--iterations", "900")
    recipe = with_length(choose_recipe(args, preset("R_50_1x")), args, 1000)
    assert recipe.iterations == 900
    assert recipe.optimizer.steps == (600, 800)
    assert recipe.optimizer.warmup_iterations == 90


def test_epochs_count_pictures() -> None:
    args = _args("--epochs", "2", "--batch-size", "8")
    recipe = with_length(choose_recipe(args, preset("R_50_1x")), args, 1001)
    assert recipe.iterations == 251  # 2002 / 8, rounded up


@pytest.mark.parametrize(
    ("config", "more", "expected"),
    [
        ("R_50_1x", [], 9000),  # a tenth of 90,000
        ("R_50_1x", ["--iterations", "150"], 100),
        ("R_101_dcni3_5x", [], 20_000),  # the recipe's own
        ("R_101_dcni3_5x", ["--iterations", "30000"], 3000),  # which would be once
        ("R_50_1x", ["--evaluate-every", "7"], 7),
        ("R_50_1x", ["--evaluate-every", "0"], 0),
    ],
)
def test_run_is_evaluated_more_than_once(config: str, more: list[str], expected: int) -> None:
    args = _args(*more, config=config)
    recipe = with_length(choose_recipe(args, preset(config)), args, 1000)
    assert recipe.evaluate_every == expected


def test_given_steps_and_warmup_stand() -> None:
    args = _args("--iterations", "900", "--steps", "100,200", "--warmup", "0")
    recipe = with_length(choose_recipe(args, preset("R_50_1x")), args, 1000)
    assert recipe.optimizer.steps == (100, 200)
    assert recipe.optimizer.warmup_iterations == 0


def test_classes_come_from_the_data(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        config = with_classes(preset("R_50_1x"), Categories.numbered(3))
    assert config.fcos.num_classes == 3
    assert config.basis.auxiliary_classes == 3
    assert caplog.messages == ["the data have 3 classes; R_50_1x is built for them"]


def test_stuff_comes_from_the_data_too() -> None:
    config = with_classes(preset("Panoptic/R_50_1x"), Categories.numbered(3, 5))
    assert config.semantic is not None
    assert config.semantic.num_classes == 6


def test_panoptic_network_without_stuff_is_refused() -> None:
    with pytest.raises(ValueError, match="no panoptic truth"):
        with_classes(preset("Panoptic/R_50_1x"), Categories.numbered(3))


def test_zero_switches_averaging_and_clipping_off() -> None:
    args = _args("--ema", "0", "--clip-norm", "0", config="small")
    recipe = choose_recipe(args, small_model())
    assert recipe.ema_decay is None
    assert recipe.optimizer.clip_norm is None


def test_smaller_input_shrinks_the_training_sizes() -> None:
    args = _args("--short-side", "400")
    config = choose_config(args, None)
    assert (config.input.short_side, config.input.max_side) == (400, 666)
    augment = choose_recipe(args, config).augment
    assert augment.short_sides == (320, 336, 352, 368, 384, 400)
    assert augment.max_side == 666


def test_augmentation_is_as_asked_for() -> None:
    args = _args(
        *("--train-sides", "96,128", "--flip", "0", "--crop", "--colour-jitter", "0.5"),
        *("--scale-jitter", "0.5", "2", "--copy-paste", "0.25"),
    )
    augment = choose_recipe(args, preset("R_50_1x")).augment
    assert augment.short_sides == (96, 128)
    assert augment.flip_probability == 0
    assert augment.crop
    assert augment.colour_jitter == 0.5
    assert augment.scale_jitter == (0.5, 2.0)
    assert augment.copy_paste_probability == 0.25


def test_what_was_given_is_recorded() -> None:
    args = _args("--batch-size", "4", "--lr", "0.1", "--seed", "0", "--optimizer", "adamw")
    expected = {"batch_size": "4", "optimizer": '"adamw"', "lr": "0.1", "seed": "0"}
    assert overrides_of(args) == expected


def test_layout_of_pixels_changes_no_result_and_is_not_recorded() -> None:
    args = _args("--channels-last")
    assert args.channels_last
    assert overrides_of(args) == {}


def test_unknown_configuration_borrows_the_nearest_recipe(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = preset("RT_R_50_4x_syncbn_shtw")
    config = replace(config, name="mine", fcos=replace(config.fcos, num_classes=2))
    recipe = choose_recipe(_args(config="mine"), config)
    assert recipe == RECIPES["RT_R_50_4x_syncbn_shtw"]
    assert "mine has no recipe of its own; it is trained as RT_R_50_4x" in caplog.text


def test_yaml_file_is_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("MODEL: {FCOS: {NUM_CLASSES: 7}}\n")
    assert choose_config(_args(config=str(path)), None).fcos.num_classes == 7


def test_smaller_input_shrinks_the_training_sizes_of_a_yaml_file_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("INPUT: {MIN_SIZE_TRAIN: [500, 600], MAX_SIZE_TRAIN: 1000, MIN_SIZE_TEST: 600}")
    args = _args("--short-side", "300", config=str(path))
    augment = choose_recipe(args, choose_config(args, None)).augment
    assert augment.short_sides == (250, 300)
    assert augment.max_side == 500


def test_sizes_follow_the_input_of_a_starting_point(tmp_path: Path) -> None:
    config = preset("R_50_1x")
    config = replace(config, name="mine", input=replace(config.input, short_side=400, max_side=666))
    args = parse_arguments(["--weights", "mine.safetensors", "--data", "x.json"])
    assert choose_recipe(args, config).augment.short_sides == (320, 336, 352, 368, 384, 400)


def test_input_without_a_short_side_keeps_its_limit() -> None:
    config = preset("R_50_1x")
    config = replace(config, input=replace(config.input, short_side=0))
    args = parse_arguments(["--weights", "w", "--data", "x.json", "--short-side", "256"])
    assert choose_config(args, config).input.max_side == 1333


def test_flags_override_the_recipe_of_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("SOLVER: {MAX_ITER: 2000, STEPS: [1000], IMS_PER_BATCH: 4, BASE_LR: 0.02}")
    args = _args(config=str(path))
    recipe = with_length(choose_recipe(args, choose_config(args, None)), args, 100)
    assert (recipe.iterations, recipe.batch_size) == (2000, 4)
    assert recipe.optimizer.steps == (1000,)
    args = _args("--iterations", "200", "--batch-size", "2", "--lr", "0.1", config=str(path))
    recipe = with_length(choose_recipe(args, choose_config(args, None)), args, 100)
    assert (recipe.iterations, recipe.batch_size) == (200, 2)
    assert (recipe.optimizer.steps, recipe.optimizer.learning_rate) == ((100,), 0.1)


def test_own_small_network_has_the_small_recipe(caplog: pytest.LogCaptureFixture) -> None:
    config = replace(small_model(), name="mine")
    args = parse_arguments(["--weights", "mine.safetensors", "--data", "x.json"])
    assert choose_recipe(args, config) == small_recipe()
    assert "it is trained as small" in caplog.text


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="R_50_1x"):
        choose_config(_args(config="R_50_1"), None)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--config", "small"], "--data is missing"),
        (["--data", "x"], "--config"),
        (["--eval-only", "--data", "x"], "--eval-only needs --weights"),
        (["--config", "small", "--data", "x", "--scale-lr", "--lr", "1"], "leave out --lr"),
        (["--config", "small", "--data", "x", "--batch-size", "0"], "'0' is not a whole number"),
        (["--config", "small", "--data", "x", "--steps", "5,a"], "'a' is not a whole number"),
        (["--config", "small", "--data", "x", "--flip", "2"], "from 0 to 1"),
    ],
)
def test_bad_arguments_are_named(
    given: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_arguments(given)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_bundled_network_is_trained_by_its_name() -> None:
    args = _args("--freeze", "head", "--freeze", "stuff", "--own-boxes", "3", config="small-2")
    config = choose_config(args, None)
    assert config == small_2_model()
    recipe = choose_recipe(args, config)
    assert recipe.frozen_parts == ("head", "stuff")
    assert recipe.loss.own_boxes == 3
    assert recipe.loss.sizes_of_interest == (64, 128)
    recorded = overrides_of(args)
    assert (recorded["freeze"], recorded["own_boxes"]) == ('["head", "stuff"]', "3")


def test_part_to_freeze_is_one_of_the_networks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _args("--freeze", "neck")
    assert "backbone" in capsys.readouterr().err


def test_weights_with_a_semantic_head_are_a_start_for_instances_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [toy_data.rectangle(1, 3, 4, 4, 20, 20)]
    toy_data.write(tmp_path, [(40, 60)], rows, name="instances_train.json")
    weights = preset("Panoptic/R_50_1x")
    config = without_unlearnt_stuff(weights, [str(tmp_path)])
    assert config == replace(weights, semantic=None)
    assert "the weights' semantic head is left out" in caplog.text
    (tmp_path / "panoptic_train.json").write_text("{}")
    (tmp_path / "panoptic_train").mkdir()
    assert without_unlearnt_stuff(weights, [str(tmp_path)]) == weights
