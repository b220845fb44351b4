"""JPEG decoders and JSON encoders, beside the ones that are served.

    python bench/decode.py FOLDER [--repeats 5]

FOLDER holds JPEG photos. Processor time of one thread, so that a busy machine disturbs little;
of each photo the best of the repeats. simplejpeg, PyTurboJPEG and orjson are measured where they
are installed.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import machine
from PIL import Image, features

from model.answers.json_answer import segment_answer
from model.categories import Categories
from model.masks.run_lengths import compress, counts_of
from model.pictures.decode import decode_image
from model.structures import RLE, Instances
from service.json_bytes import to_json

Decoder = Callable[[bytes], np.ndarray]
NUM_INSTANCES = 100


def with_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))


def with_opencv(data: bytes) -> np.ndarray:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    assert picture is not None
    return picture


def decoders() -> Iterator[tuple[str, Decoder]]:
    yield "`model.pictures.decode`", decode_image
    yield f"Pillow {metadata.version('pillow')}", with_pillow
    yield f"OpenCV {cv2.__version__}", with_opencv
    for name, open_decoder in (
        ("simplejpeg", lambda module: module.decode_jpeg),
        ("turbojpeg", lambda module: partial(module.TurboJPEG().decode, pixel_format=0)),
    ):
        try:
            yield name, open_decoder(import_module(name))
        except (ImportError, RuntimeError) as error:  # RuntimeError: its library is missing
            print(f"{name} cannot be measured: {str(error).splitlines()[0]}\n")


def best_seconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return min(times)


def measure_decoders(photos: list[bytes], repeats: int) -> None:
    sizes = [decode_image(data) for data in photos]
    megapixels = sum(image.shape[0] * image.shape[1] for image in sizes) / 1e6
    print(f"{len(photos)} photos, {megapixels:.1f} megapixels, {sum(map(len, photos))} bytes.\n")
    measured = list(decoders())
    print("| decoder | ms a photo | megapixels a second | photos with the same pixels | most off |")
    print("|---|---:|---:|---:|---:|")
    for name, decode in measured:
        seconds = sum(best_seconds(partial(decode, data), repeats) for data in photos)
        off = [
            int(np.abs(decode(data).astype(int) - ours).max())
            for data, ours in zip(photos, sizes, strict=True)
        ]
        print(
            f"| {name} | {1000 * seconds / len(photos):.2f} | {megapixels / seconds:.0f} | "
            f"{off.count(0)} of {len(off)} | {max(off)} |"
        )


def answer() -> dict[str, Any]:
    """An answer of 100 instances whose masks have ragged outlines."""
    rng = np.random.default_rng(0)
    boxes, masks = [], []
    for _ in range(NUM_INSTANCES):
        height, width = rng.integers(20, 200, 2)
        top, left = rng.integers(0, 480 - height), rng.integers(0, 640 - width)
        noise = cv2.GaussianBlur(rng.random((height, width)), (0, 0), 6)
        counts = counts_of(noise > np.median(noise), int(top), int(left), 480, 640)
        masks.append(RLE(size=[480, 640], counts=compress(counts)))
        boxes.append(np.array([left, top, left + width, top + height]) + rng.random(4))
    instances = Instances(
        height=480,
        width=640,
        boxes_xyxy=np.array(boxes, dtype=np.float32),
        scores=np.sort(rng.random(NUM_INSTANCES).astype(np.float32))[::-1],
        classes=rng.integers(0, 80, NUM_INSTANCES),
        masks=masks,
        areas=rng.integers(1, 10000, NUM_INSTANCES),
    )
    return {
        form: segment_answer(instances, Categories.numbered(80), image_id="a.jpg", masks=form)
        for form in ("rle", "polygon")
    }


def measure_json(repeats: int) -> None:
    encoders: dict[str, Callable[[Any], bytes]] = {
        "`json.dumps`": lambda value: json.dumps(value, separators=(",", ":")).encode(),
        "`service.json_bytes.to_json`": to_json,
    }
    try:
        encoders["orjson"] = import_module("orjson").dumps
    except ImportError as error:
        print(f"orjson cannot be measured: {error}\n")
    print("| encoder | masks | bytes | ms an answer |\n|---|---|---:|---:|")
    for form, value in answer().items():
        for name, encode in encoders.items():
            seconds = best_seconds(partial(encode, value), 20 * repeats)
            print(f"| {name} | {form} | {len(encode(value))} | {1000 * seconds:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    photos = [path.read_bytes() for path in sorted(arguments.folder.glob("*.jpg"))]
    library = f"libjpeg-turbo {features.version('libjpeg_turbo')} in Pillow"
    print(f"# Decoding and encoding, one thread\n\n{machine()}, {library}.\n\n## JPEG to pixels\n")
    measure_decoders(photos, arguments.repeats)
    print(f"\n## An answer of {NUM_INSTANCES} instances to JSON\n")
    measure_json(arguments.repeats)


if __name__ == "__main__":
    main()
