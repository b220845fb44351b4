"""A run's files: what comes first on a full disk, and what is known of the best weights."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_training import keeper_in, tiny_training

from model.checkpoints import checkpoint
from model.train.outputs import keeper as keepers
from model.train.outputs.keeper import BEST, LAST, main_figure
from model.train.state.resume import RESUME_FILE, SaveError


def test_full_disk_takes_the_weights_before_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, _: object) -> None:
        raise SaveError(f"{folder / RESUME_FILE} cannot be written: No space left on device")

    monkeypatch.setattr(keepers, "save_state", full)
    training = tiny_training()
    training.iteration = 3
    with pytest.raises(SaveError, match=r"No space left on device; .* in last\.safetensors"):
        keeper_in(tmp_path).save(training)
    assert checkpoint.load(tmp_path / LAST).provenance["iteration"] == "3 of 6"


def test_score_of_the_best_weights_is_read_from_their_file(tmp_path: Path) -> None:
    keeper = keeper_in(tmp_path)
    assert keeper.best_score() is None
    keeper.save_best(tiny_training(), {"box_AP": 0.4, "mask_AP": 0.25})
    assert keeper_in(tmp_path).best_score() == 0.25


def test_best_file_that_cannot_be_read_counts_for_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / BEST).write_bytes(b"half a file")
    with caplog.at_level(logging.WARNING):
        assert keeper_in(tmp_path).best_score() is None
    assert "is not compared with what follows" in caplog.text


def test_panoptic_quality_goes_before_mask_ap() -> None:
    assert main_figure({"PQ": 0.5, "mask_AP": 0.25}) == 0.5
    assert main_figure({}) == 0.0


@pytest.mark.parametrize(
    ("folder", "name"),
    [("street", "street"), ("my run, 2", "my-run-2"), ("small", "small-trained")],
)
def test_model_is_called_as_its_run(tmp_path: Path, folder: str, name: str) -> None:
    run = tmp_path / folder
    run.mkdir()
    keeper_in(run).save(tiny_training())
    assert checkpoint.load(run / LAST).name == name


def test_model_of_no_run_is_called_as_its_configuration(tmp_path: Path) -> None:
    made = keeper_in(tmp_path).checkpoint(tiny_training())
    assert replace(made, provenance={"source": "a test"}).name == made.config.name


@pytest.mark.parametrize(
    "forget",
    [
        lambda state: state["config"]["fcos"].pop("kind"),
        lambda state: state["config"]["detection"].pop("score_threshold"),
        lambda state: state["recipe"]["loss"].pop("own_boxes"),
        lambda state: state["recipe"].pop("frozen_parts"),
    ],
)
def test_run_saved_before_a_member_was_there_is_the_same_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, forget: Callable[[dict[str, Any]], object]
) -> None:
    keeper = keeper_in(tmp_path)
    saved = keeper.identity()
    told = {name: json.loads(saved[name]) for name in ("config", "recipe")}
    forget(told)
    keeper.check_same_run({**saved, **{name: json.dumps(value) for name, value in told.items()}})
    assert not caplog.records


def test_run_of_another_network_is_refused_with_what_differs(tmp_path: Path) -> None:
    keeper = keeper_in(tmp_path)
    saved = keeper.identity()
    config = json.loads(saved["config"])
    config["fcos"]["num_classes"] = 7
    with pytest.raises(ValueError, match=r"another network: fcos\.num_classes: 7 -> 3; give"):
        keeper.check_same_run({**saved, "config": json.dumps(config)})


def test_another_recipe_is_told_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = keeper_in(tmp_path)
    saved = keeper.identity()
    recipe = {**json.loads(saved["recipe"]), "seed": 9, "of_a_later_version": True}
    keeper.check_same_run({**saved, "recipe": json.dumps(recipe)})
    assert "seed: 9 -> 0" in caplog.text
    assert "of_a_later_version: True -> None" in caplog.text
