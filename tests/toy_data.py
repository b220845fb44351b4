"""Small data sets in COCO's form, written to a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

THREE = ({"id": 3, "name": "cup"}, {"id": 7, "name": "spoon"}, {"id": 20, "name": "plate"})


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture of smooth noise: neighbouring pixels differ, and pieces can be told apart."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def rectangle(
    image_id: int, category_id: int, x: float, y: float, w: float, h: float, **more: Any
) -> dict[str, Any]:
    """An annotation whose mask is its box."""
    corners = [x, y, x + w, y, x + w, y + h, x, y + h]
    row = {"image_id": image_id, "category_id": category_id, "bbox": [x, y, w, h], "iscrowd": 0}
    return {**row, "area": w * h, "segmentation": [corners], **more}


def write(
    folder: Path,
    sizes: Sequence[tuple[int, int]],
    annotations: Sequence[Mapping[str, Any]],
    *,
    categories: Sequence[Mapping[str, Any]] = THREE,
    info: Mapping[str, Any] | None = None,
    name: str = "instances_train.json",
) -> Path:
    """Write pictures 1, 2, … of those (height, width) and the annotation file; return its path."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images = []
    for number, (height, width) in enumerate(sizes, start=1):
        file = f"{number:03d}.png"
        Image.fromarray(noise(height, width, number)).save(folder / "images" / file)
        images.append({"id": number, "file_name": file, "height": height, "width": width})
    rows = [{"id": i, **row} for i, row in enumerate(annotations, start=1)]
    document = {
        "images": images,
        "annotations": rows,
        "categories": list(categories),
        **({"info": info} if info is not None else {}),
    }
    path = folder / name
    path.write_text(json.dumps(document))
    return path
