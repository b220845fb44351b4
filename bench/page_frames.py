"""How smooth the page is: frames while a large picture with many masks is panned and zoomed.

    python bench/page_frames.py [--instances 100] [--side 4000x3000] [--seconds 5]

A Chromium without a GPU draws; the server's answer is made up, so that no model is timed. Prints
a table for bench/results.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_masks

_TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(_TESTS / "service" / "page"), str(_TESTS / "service")]

from browser import browse  # noqa: E402
from serving import serve  # noqa: E402

# Moves the picture a little in every frame, and says how long each frame took.
_PAN = """async (seconds) => {
  const {view} = window.blendmask;
  const times = [];
  let before = performance.now();
  for (const end = before + 1000 * seconds; before < end; ) {
    view.panBy(3 * Math.sin(before / 300), 3 * Math.cos(before / 300));
    await new Promise((done) => requestAnimationFrame(done));
    const now = performance.now();
    times.push(now - before);
    before = now;
  }
  return times;
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--instances", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--size", default="4000x3000", help="WIDTHxHEIGHT")
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    print(f"{width}×{height}, Chromium without a GPU; milliseconds a frame (60 a second: 16.7)\n")
    print("| instances | zoom | frames/s | median | 95 % | worst | answer to masks, ms |")
    print("|---|---|---|---|---|---|---|")
    with serve() as server:
        server.wait_until_ready()
        for count in args.instances:
            for row in _measure(server.url, count, width, height, args.seconds):
                print(row, flush=True)


def _measure(url: str, count: int, width: int, height: int, seconds: float) -> list[str]:
    picture = _photo(width, height)
    answer = json.dumps(_answer(count, width, height))
    rows = []
    with browse(url, viewport={"width": 1280, "height": 800}) as visit:
        visit.page.route(
            "**/segment?*",
            lambda route: route.fulfill(body=answer, content_type="application/json"),
        )
        file = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": picture}
        before = visit.page.evaluate("performance.now()")
        visit.page.set_input_files("#files", files=[file])
        visit.wait_for_objects()
        shown_ms = visit.page.evaluate("performance.now()") - before
        for zoom in (None, 1, 4):
            if zoom:
                visit.page.evaluate(
                    f"window.blendmask.view.zoomBy({zoom} / window.blendmask.view.zoom)"
                )
            visit.page.evaluate(_PAN, 0.5)
            times = sorted(visit.page.evaluate(_PAN, seconds))
            rate = 1000 * len(times) / sum(times)
            named = "whole picture" if zoom is None else f"{zoom}"
            rows.append(
                f"| {count} | {named} | {rate:.0f} | {statistics.median(times):.1f} "
                f"| {times[int(0.95 * len(times))]:.1f} | {times[-1]:.1f} | {shown_ms:.0f} |"
            )
    return rows


def _photo(width: int, height: int) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (height // 16, width // 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def _answer(count: int, width: int, height: int) -> dict[str, Any]:
    """Ellipses of all sizes up to a third of the picture."""
    random = np.random.default_rng(1)
    instances = []
    for number in range(count):
        rows, columns = (int(random.uniform(0.03, 0.33) * side) for side in (height, width))
        y, x = int(random.uniform(0, height - rows)), int(random.uniform(0, width - columns))
        inside = (
            (np.arange(rows)[:, None] / rows - 0.5) ** 2 + (np.arange(columns) / columns - 0.5) ** 2
        ) < 0.25
        mask = np.zeros((height, width), np.uint8, order="F")
        mask[y : y + rows, x : x + columns] = inside
        lengths = coco_masks.encode(mask)
        instances.append(
            {
                "category_id": number % 80,
                "category": f"class {number % 80}",
                "score": 0.9 - 0.5 * number / count,
                "bbox": [x, y, columns, rows],
                "area": int(inside.sum()),
                "segmentation": {"size": [height, width], "counts": lengths["counts"].decode()},
            }
        )
    image = {"id": None, "width": width, "height": height, "instances": instances}
    model = {"name": "small", "weights": "sha256:0", "categories": "made up"}
    return {"model": model, "images": [image]}


if __name__ == "__main__":
    main()
