"""The Python that README.md and docs/python.md show, run as it stands there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import supervision
import tiny
from PIL import Image

from model.checkpoints import checkpoint
from model.checkpoints.checkpoint import Checkpoint
from model.pictures.decode import decode_image

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, *, under: str = "") -> list[str]:
    """Return the Python of a page, from a heading to the next if one is given."""
    text = (ROOT / page).read_text()
    if under:
        (text,) = re.findall(rf"^## {under}\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    return _BLOCK.findall(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the pages speak of."""
    astronaut = ROOT / "tests/golden/_images/astronaut.png"
    Image.open(astronaut).convert("RGB").save(tmp_path / "picture.jpg", quality=95)
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(tmp_path / "picture.jpg", tmp_path / "photos" / name)
    panoptic = tiny.tiny_predictor(semantic=True)
    made = Checkpoint(
        config=panoptic.config,
        categories=panoptic.categories,
        tensors=dict(panoptic.model.state_dict()),
        sha256="",
        provenance={"source": "a test"},
    )
    checkpoint.save(tmp_path / "panoptic.safetensors", made)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_drawn(drawn: Path, picture: Path) -> None:
    pixels = np.asarray(Image.open(drawn))
    original = decode_image(picture.read_bytes())
    assert pixels.shape == original.shape
    assert (pixels != original).any(axis=2).mean() > 0.1


def test_readme_finds_and_draws_the_person(folder: Path) -> None:
    (lines,) = blocks("README.md", under="From Python")
    names: dict[str, object] = {}
    exec(lines, names)
    assert_drawn(folder / "drawn.png", folder / "picture.jpg")
    detections = names["detections"]
    assert isinstance(detections, supervision.Detections)
    assert detections.data["class_name"][0] == "person"


def test_page_runs_from_top_to_bottom(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    found = blocks("docs/python.md")
    assert len(found) == 7
    for lines in found:
        exec(lines, names)
    assert_drawn(folder / "drawn.png", folder / "picture.jpg")
    assert_drawn(folder / "partition.png", folder / "picture.jpg")
    printed = capsys.readouterr().out
    assert re.search(r"photos/a\.jpg <\d+ instances? in 512×512 pixels: person 0\.7", printed)
    assert '{"id": "picture.jpg", "width": 512' in printed
