"""The command line on a real photo, with a checkpoint in the original's format."""

from __future__ import annotations

import json
from pathlib import Path

import goldens
import numpy as np
import pytest
from PIL import Image

from model.predict import main

CONFIG = "550_R_50_dcni3_5x"
PHOTO = "chelsea"


@pytest.fixture(autouse=True)
def _numbers() -> None:
    goldens.require(CONFIG, PHOTO)


def test_photo_gives_the_originals_json_and_a_drawing(
    golden_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = goldens.write_original_checkpoint(CONFIG, golden_folder / "cli.pth")
    (photo,) = (goldens.FOLDER / "_images").glob(f"{PHOTO}.*")
    output, overlay = tmp_path / "out.json", tmp_path / "out.png"
    flags = ["--weights", weights, "--output", output, "--overlay", overlay, "--device", "cpu"]
    assert main([str(photo), *map(str, flags)]) == 0
    answer = json.loads(output.read_bytes())
    expected = goldens.read(f"{CONFIG}/{PHOTO}")
    (image,) = answer["images"]
    scores = [i["score"] for i in image["instances"]]
    assert answer["model"]["name"] == CONFIG
    assert image["id"] == str(photo)
    np.testing.assert_allclose(
        scores, sorted((s for s in expected["scores"] if s >= 0.3), reverse=True), atol=1e-4
    )
    drawing = np.asarray(Image.open(overlay).convert("RGB"))
    assert drawing.shape == goldens.image(PHOTO).shape
    assert (drawing != goldens.image(PHOTO)).any()
    assert capsys.readouterr().err.endswith(f"1 picture, {len(scores)} instances\n")


def test_wrong_configuration_is_one_line_and_exit_code_2(
    golden_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = goldens.write_original_checkpoint(CONFIG, golden_folder / "cli.pth")
    (photo,) = (goldens.FOLDER / "_images").glob(f"{PHOTO}.*")
    assert main([str(photo), "--weights", str(weights), "--config", "R_101_3x"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "do not fit the configuration R_101_3x" in line
