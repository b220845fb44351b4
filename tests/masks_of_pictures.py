"""Masks that readers stumble over: with holes, in parts, of one pixel, along the sides."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.masks.run_lengths import compress, counts_of
from model.structures import RLE

HEIGHT, WIDTH = 23, 31


def rle_of(mask: np.ndarray) -> RLE:
    height, width = mask.shape
    return RLE(size=[height, width], counts=compress(counts_of(mask, 0, 0, height, width)))


def _masks() -> dict[str, np.ndarray]:
    blank = np.zeros((HEIGHT, WIDTH), dtype=bool)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc = (y - 11) ** 2 + (x - 15) ** 2 <= 81
    holed = disc & ~((y - 11) ** 2 + (x - 11) ** 2 <= 9) & ~((y == 11) & (x == 20))
    parts = blank.copy()
    parts[2:5, 3:9] = parts[15:20, 20:31] = parts[9, 0] = True
    pixel, corner = blank.copy(), blank.copy()
    pixel[7, 4] = corner[22, 30] = True
    diagonal = blank.copy()
    diagonal[3, 3] = diagonal[4, 4] = diagonal[5, 5] = True
    noise = np.random.default_rng(5).random((HEIGHT, WIDTH)) < 0.5
    return {
        "disc": disc, "holed": holed, "parts": parts, "pixel": pixel, "corner": corner,
        "diagonal": diagonal, "noise": noise, "whole": ~blank, "island": ~disc | (holed & ~disc),
        "checks": (x + y) % 2 == 0,
    }  # fmt: skip


MASKS = _masks()


def native_image(masks: dict[str, np.ndarray], image_id: str | None = "room.jpg") -> dict[str, Any]:
    """The image's member of a native answer with these masks, scores falling."""
    rows = []
    for index, mask in enumerate(masks.values()):
        rle = rle_of(mask)
        ys, xs = np.nonzero(mask)
        box = [0.0, 0.0, 1.0, 1.0]
        if len(xs):
            box = [float(xs.min()), float(ys.min()), float(np.ptp(xs) + 1), float(np.ptp(ys) + 1)]
        rows.append(
            {
                "category_id": 6 + index,
                "category": f"bus {index}",
                "score": round(0.95 - 0.05 * index, 6),
                "bbox": box,
                "area": int(mask.sum()),
                "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
            }
        )
    height, width = next(iter(masks.values())).shape
    return {"id": image_id, "width": width, "height": height, "instances": rows}
