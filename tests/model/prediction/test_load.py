"""From a name to a result, as a notebook does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import goldens
import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from model import predict
from model.adelaidet.config_files import read_config
from model.answers.json_answer import segment_answer
from model.checkpoints import checkpoint
from model.checkpoints.checkpoint import Checkpoint
from model.pictures.decode import decode_image
from model.pictures.pixels import Picture
from model.prediction.predictor import PredictOptions, Predictor

PHOTO = goldens.FOLDER / "_images" / "chelsea.png"
TOLD = PredictOptions(score_threshold=0.3)


@pytest.fixture(scope="module")
def small() -> Predictor:
    return Predictor.load("small", device="cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our file with a tiny network."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    made = tiny.tiny_predictor(semantic=True)
    kept = Checkpoint(
        config=made.config,
        categories=made.categories,
        tensors=dict(made.model.state_dict()),
        sha256="",
        provenance={"source": "a test"},
    )
    checkpoint.save(str(path), kept)
    return path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], np.ndarray]:
    """What the command line says of the photo, and draws."""
    folder = tmp_path_factory.mktemp("told")
    output, overlay = folder / "out.json", folder / "out.png"
    flags = ["--device", "cpu", "--output", str(output), "--overlay", str(overlay)]
    flags += ["--task", "instance", "--score-threshold", str(TOLD.score_threshold)]
    assert predict.main([str(PHOTO), *flags]) == 0
    (image,) = json.loads(output.read_bytes())["images"]
    return image, np.asarray(Image.open(overlay))


@pytest.mark.parametrize("form", [str, Path, Image.open, Path.read_bytes])
def test_every_form_of_a_picture_gives_the_command_lines_answer_and_drawing(
    small: Predictor, form: Callable[[Path], Picture], told: tuple[dict[str, Any], np.ndarray]
) -> None:
    result = small.segment(form(PHOTO), TOLD)
    answer = segment_answer(result, small.categories, image_id=str(PHOTO), masks="rle")
    assert answer["instances"] != []
    assert json.loads(json.dumps(answer)) == told[0]
    np.testing.assert_array_equal(np.asarray(result.draw(form(PHOTO))), told[1])


def test_list_gives_a_list_and_one_picture_one_result(small: Predictor) -> None:
    alone = small.segment(PHOTO, TOLD)
    one, two = small.segment([PHOTO, decode_image(PHOTO.read_bytes())], TOLD, batch_size=1)
    assert repr(one) == repr(two) == repr(alone)
    assert small.segment(iter([PHOTO]), TOLD)[0].masks == alone.masks
    assert small.segment([]) == []


def test_panoptic_takes_one_picture_too(tmp_path: Path) -> None:
    predictor = tiny.tiny_predictor(semantic=True)
    one = predictor.panoptic(PHOTO)
    (same,) = predictor.panoptic([PHOTO])
    np.testing.assert_array_equal(one.segment_ids, same.segment_ids)
    ((_, both),) = predictor.segment_and_panoptic([PHOTO])
    np.testing.assert_array_equal(one.segment_ids, both.segment_ids)


def test_path_may_be_a_text_or_a_path(weights: Path) -> None:
    for given in (weights, str(weights)):
        predictor = Predictor.load(given, device="cpu")
        assert repr(predictor) == "<Predictor tiny on cpu: pets, 3 things, 2 kinds of stuff>"
        assert checkpoint.load(given).config.name == "tiny"


def test_home_is_found(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(weights.parent))
    assert Predictor.load(Path("~/tiny.safetensors")).config.name == "tiny"
    assert Predictor.load("~/tiny.safetensors").config.name == "tiny"


def test_configuration_may_be_a_text_or_a_path(weights: Path, tmp_path: Path) -> None:
    yaml = tmp_path / "mine.yaml"
    yaml.write_text("MODEL:\n  FCOS:\n    NUM_CLASSES: 3\n")
    assert read_config(str(yaml)) == read_config(yaml)
    for config in (yaml, str(yaml)):
        with pytest.raises(ValueError, match="do not fit the configuration mine"):
            Predictor.load(weights, config=config)


def test_categories_may_be_a_file_of_ones_own(weights: Path, tmp_path: Path) -> None:
    rows = [{"id": n, "name": f"kind {n}", "isthing": int(n < 4)} for n in range(1, 6)]
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"images": [], "annotations": [], "categories": rows}))
    for given in (file, str(file)):
        things = Predictor.load(weights, categories=given).categories.things
        assert [thing.name for thing in things] == ["kind 1", "kind 2", "kind 3"]


def test_overrides_arrive(weights: Path) -> None:
    with pytest.raises(ValueError, match="none can be overridden in tiny"):
        Predictor.load(weights, overrides=["MODEL.FCOS.NMS_TH", "0.5"])


def test_network_of_several_in_a_file_is_chosen(tmp_path: Path) -> None:
    tensors = dict(tiny.tiny_predictor(semantic=True).model.state_dict())
    torch.save({"model": tensors, "ema": tensors}, tmp_path / "two.pth")
    with pytest.raises(ValueError, match="'nothing'"):
        Predictor.load(tmp_path / "two.pth", member="nothing")


def test_name_with_a_slip_lists_near_ones() -> None:
    with pytest.raises(ValueError, match=r"no file R50_3x, .* the nearest: R_50_3x"):
        Predictor.load("R50_3x")


def test_missing_path_is_named() -> None:
    with pytest.raises(ValueError, match=r"there is no file nowhere/model\.pth"):
        Predictor.load(Path("nowhere/model.pth"))


def test_missing_device_is_refused_before_weights_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match="there are 0 CUDA devices"):
        Predictor.load("nowhere.pth", device="cuda")


def test_whole_pictures_are_refused_without_a_semantic_head() -> None:
    with pytest.raises(ValueError, match="tiny has no semantic head"):
        tiny.tiny_predictor().panoptic(PHOTO)


def test_options_that_are_none_are_refused_with_what_would_be(small: Predictor) -> None:
    with pytest.raises(ValueError, match=r"options is 0\.5; PredictOptions\(score_threshold=…\)"):
        small.segment(PHOTO, 0.5)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"category_ids has 'cat'; Categories\.ids"):
        PredictOptions(category_ids=frozenset({"cat"}))  # type: ignore[arg-type]


def test_names_of_classes_become_ids(small: Predictor) -> None:
    cats = PredictOptions(category_ids=small.categories.ids("Cat"), max_instances=2)
    assert small.segment(PHOTO, cats).names == ["cat", "cat"]
    assert small.categories.ids("cat", 1) == {17, 1}
    with pytest.raises(ValueError, match="unknown class 'cta'"):
        small.categories.ids("cat", "cta")
