from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import toy_data
from tiny_training import keeper_in, tiny_training

from model.checkpoints import checkpoint as checkpoints
from model.evaluation.data import EvaluationData
from model.train.outputs import validation
from model.train.outputs.progress import Progress
from model.train.outputs.validation import (
    Validation,
    open_validation,
    score_of,
    usual_threshold,
)


def _numbers(ap: float | None) -> dict[str, Any]:
    return {"AP": ap, "AP50": None if ap is None else 2 * ap}


def test_instance_networks_are_ranked_by_mask_ap() -> None:
    score, figures = score_of({"box": _numbers(0.3), "mask": _numbers(0.2)})
    assert score == 0.2
    assert figures == {"box_AP": 0.3, "box_AP50": 0.6, "mask_AP": 0.2, "mask_AP50": 0.4}


def test_panoptic_networks_are_ranked_by_pq() -> None:
    report = {"mask": _numbers(0.2), "panoptic": {"all": {"PQ": 0.4}}}
    assert score_of(report)[0] == 0.4


def test_data_without_objects_score_nothing() -> None:
    assert score_of({"box": _numbers(None), "mask": _numbers(None)}) == (0.0, {})


def test_validation_part_of_the_first_folder_is_found(tmp_path: Path) -> None:
    toy_data.write(
        tmp_path, [(40, 60)], [toy_data.rectangle(1, 3, 4, 4, 20, 20)], name="instances_val.json"
    )
    data = open_validation(None, [str(tmp_path), "more"])
    assert data is not None
    assert len(data.pictures) == 1


def test_training_file_has_no_validation_part(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert open_validation(None, ["train.json"]) is None
    assert "--eval-data names it" in caplog.text


def test_a_folder_is_not_evaluated_on_what_it_trains_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toy_data.write(tmp_path, [(40, 60)], [], name="instances.json")
    with caplog.at_level(logging.INFO):
        assert open_validation(None, [str(tmp_path)]) is None
    assert "has no part for validation" in caplog.text


def test_named_validation_data_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        open_validation(str(tmp_path / "val.json"), ["train.json"])


def test_evaluation_that_fails_is_logged_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a mask of another size")

    monkeypatch.setattr(validation, "evaluate", broken)
    training = tiny_training()
    training.iteration = 3
    progress = Progress(None, start=0, end=6, every=1)
    data = EvaluationData(
        pictures=(), instances=None, labelled_ids=frozenset(), panoptic=None, panoptic_folder=None
    )
    Validation(data, keeper_in(tmp_path), training, progress, num_drawn=0)()
    assert caplog.messages == ["the evaluation at iteration 3 failed; training goes on"]
    assert "a mask of another size" in caplog.text


def _with_f1(box: float | None, mask: float | None) -> dict[str, Any]:
    found = {"box": box, "mask": mask}
    return {
        "best_f1": {
            kind: None if score is None else {"score_threshold": score, "f1": 0.5}
            for kind, score in found.items()
        }
    }


def test_network_is_read_from_the_score_of_the_best_f1_on() -> None:
    assert usual_threshold(_with_f1(0.4, 0.3478)) == 0.34
    assert usual_threshold(_with_f1(0.4199, None)) == 0.41
    assert usual_threshold(_with_f1(None, None)) is None


def test_evaluation_leaves_its_threshold_in_what_is_saved_and_resumed(tmp_path: Path) -> None:
    training, keeper = tiny_training(), keeper_in(tmp_path)
    assert keeper.checkpoint(training).config.detection.score_threshold == 0.3
    training.score_threshold = 0.17
    config = keeper.checkpoint(training).config
    assert config.detection.score_threshold == 0.17
    assert config.panoptic.instance_score_threshold == 0.17
    again = tiny_training()
    again.load_state(training.state())
    assert again.score_threshold == 0.17


def test_evaluation_sets_the_threshold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = {"box": _numbers(0.3), "mask": _numbers(0.2), **_with_f1(0.4, 0.25)}
    monkeypatch.setattr(validation, "evaluate", lambda *_, **__: report)
    training = tiny_training()
    progress = Progress(None, start=0, end=6, every=1)
    data = EvaluationData(
        pictures=(), instances=None, labelled_ids=frozenset(), panoptic=None, panoptic_folder=None
    )
    keeper = keeper_in(tmp_path)
    Validation(data, keeper, training, progress, num_drawn=0)()
    assert training.score_threshold == 0.25
    best = checkpoints.load(tmp_path / "best.safetensors")
    assert best.config.detection.score_threshold == 0.25


def test_report_behind_half_a_line_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = {"box": _numbers(0.3), "mask": _numbers(0.2), **_with_f1(0.4, 0.25)}
    monkeypatch.setattr(validation, "evaluate", lambda *_, **__: report)
    (tmp_path / "evaluations.jsonl").write_text('{"iteration": 2}\n{"iteration": 4, "bo')
    training = tiny_training()
    training.iteration = 6
    progress = Progress(None, start=0, end=6, every=1)
    data = EvaluationData(
        pictures=(), instances=None, labelled_ids=frozenset(), panoptic=None, panoptic_folder=None
    )
    Validation(data, keeper_in(tmp_path), training, progress, num_drawn=0)()
    lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [2, 6]
