from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from worker_child import write_tiny_weights

from model.checkpoints import checkpoint
from service.engine import ModelInfo
from service.pool.messages import ModelToLoad
from service.worker.models import LoadedModel, open_device, warm_up


def spec(path: Path, name: str | None) -> ModelToLoad:
    return ModelToLoad(name=name, weights=str(path), config=None, overrides=[], categories=None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_weights(tmp_path_factory.mktemp("weights") / "pets.safetensors")


def test_models_are_called_as_wanted_or_as_their_configuration(weights: Path) -> None:
    models = open_device("cpu", [spec(weights, "a"), spec(weights, None)])
    assert list(models) == ["a", "tiny"]
    assert models["a"].info.name == "a"
    assert models["a"].info.tasks == ("segment", "panoptic")


def test_model_that_was_trained_here_is_called_as_its_run(weights: Path, tmp_path: Path) -> None:
    found = checkpoint.load(weights)
    path = tmp_path / "best.safetensors"
    checkpoint.save(path, replace(found, provenance={**found.provenance, "name": "street"}))
    (model,) = open_device("cpu", [spec(path, None)]).values()
    assert (model.info.name, model.info.config.name) == ("street", "tiny")


def test_two_models_of_one_name_are_refused(weights: Path) -> None:
    with pytest.raises(ValueError, match="two models are called 'a'"):
        open_device("cpu", [spec(weights, "a"), spec(weights, "a")])


@pytest.mark.parametrize("device", ["cuda:99", "cuda", "tpu"])
def test_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match=device):
        open_device(device, [])


def test_warm_up_runs_each_canvas_once_and_all_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = tiny.tiny_predictor(semantic=True)
    info = ModelInfo(
        name="tiny",
        sha256="",
        device="cpu",
        precision="float32",
        config=predictor.config,
        categories=predictor.categories,
    )
    seen: list[tuple[int, ...]] = []
    forward = predictor.forward

    def watch(batch: Any, **options: Any) -> Any:
        seen.append(tuple(batch.pixels.shape))
        return forward(batch, **options)

    monkeypatch.setattr(predictor, "forward", watch)
    model = LoadedModel(info=info, predictor=predictor)
    told = warm_up(model, [(48, 64), (96, 128), (64, 48)], max_images=8, max_pixels=10**7)
    assert told is not None
    assert told[0] == 64 * 96
    assert told[1] > 0
    # 48×64 and 96×128 share the canvas 64×96; the CPU runs single pictures only.
    assert seen == [(1, 3, 64, 96)] * 2 + [(1, 3, 96, 64)] * 2
