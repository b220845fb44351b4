"""Draws what a model finds in free photos, for the documentation.

    python scripts/draw_examples.py [--weights small]

The photos come out of the scikit-image package's wheel: an astronaut (NASA, public domain),
Chelsea the cat (CC0, Stefan van der Walt), a cup of coffee (CC0, Rachel Michetti) and a rocket
(CC0, SpaceX). Of the last two whole partitions are drawn where the model can make them.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from tempfile import gettempdir

import numpy as np
from PIL import Image
from wheel_member import fetch_members

from model.answers.drawing import overlay_instances, overlay_panoptic
from model.pictures.decode import decode_image
from model.prediction.predictor import PredictOptions, Predictor
from model.zoo.open_model import open_model

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "scikit-image==0.26.0"
PHOTOS = {
    f"skimage/data/{name}": digest
    for name, digest in (
        ("astronaut.png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"),
        ("chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"),
        ("coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"),
        ("rocket.jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"),
    )
}
_PARTITIONS = ("coffee", "rocket")
_MAX_BYTES = 100_000


def main() -> int:
    """Run the command line and return the exit code."""
    args = _parse()
    checkpoint = open_model(args.weights)
    predictor = Predictor.from_checkpoint(checkpoint, "cpu")
    threshold = args.score_threshold
    if threshold is None:
        threshold = predictor.config.detection.score_threshold
    options = PredictOptions(score_threshold=threshold)
    args.output.mkdir(parents=True, exist_ok=True)
    for photo in fetch_members(PACKAGE, PHOTOS, args.cache):
        pixels = decode_image(photo.read_bytes())
        if photo.stem in _PARTITIONS:
            if predictor.config.is_panoptic:
                (partition,) = predictor.panoptic([pixels])
                drawn = overlay_panoptic(pixels, partition, predictor.categories)
                _write(args.output / f"{photo.stem}.jpg", drawn)
            continue
        (found,) = predictor.segment([pixels], options)
        path = args.output / f"{photo.stem}.jpg"
        _write(path, overlay_instances(pixels, found, predictor.categories))
        names = [predictor.categories.things[int(c)].name for c in found.classes]
        scores = zip(names, found.scores, strict=True)
        words = ", ".join(f"{name} {score:.2f}" for name, score in scores)
        sys.stdout.write(f"{path}: {words or 'nothing'}\n")
    return 0


def _write(path: Path, drawn: np.ndarray) -> None:
    path.write_bytes(small_jpeg(Image.fromarray(drawn)))


def small_jpeg(picture: Image.Image, max_bytes: int = _MAX_BYTES) -> bytes:
    """Return the best JPEG that has no more bytes than that, or the smallest there is."""
    content = b""
    for quality in range(90, 20, -5):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        content = buffer.getvalue()
        if len(content) <= max_bytes:
            break
    return content


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Draw what a model finds in free photos.")
    add = parser.add_argument
    add("--weights", metavar="W", default="small", help="(small)")
    add("--score-threshold", type=float, metavar="S", help="0 to 1 (the model's own)")
    pictures = ROOT / "docs" / "pictures"
    add("--output", type=Path, default=pictures, metavar="FOLDER", help="(docs/pictures)")
    cache = Path(gettempdir()) / "blendmask-example-photos"
    add("--cache", type=Path, default=cache, metavar="FOLDER", help="where the photos are kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
