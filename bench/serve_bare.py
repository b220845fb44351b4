"""The same work without a server: encoded bytes in, the native JSON out, in one process.

    python bench/serve_bare.py --weights FILE    (commands on stdin, results on stdout: JSON lines)

"alone" decodes, predicts and encodes one picture after the other: what a caller would wait at
least. "ahead" is the loop that a careful user writes for throughput: threads decode ahead and
make the JSON, the main thread predicts the pictures of one canvas together, in batches.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.answers.json_answer import segment_answer
from model.geometry import canvas_size
from model.pictures.decode import decode_image
from model.pictures.header import read_header
from model.prediction.predictor import PredictOptions, Predictor
from model.structures import Instances
from model.zoo.open_model import open_model
from service.json_bytes import to_json


class Bare:
    """The loop's process, seen from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, mode: str, files: Sequence[str], max_batch: int) -> dict[str, Any]:
        """Return {"total": seconds, "each": seconds of each picture, "cpu": seconds}."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = {"mode": mode, "files": list(files), "max_batch": max_batch}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def bare_loop(weights: str, threads: int) -> Iterator[Bare]:
    """Start the process, with the model loaded; stop it at the end."""
    root = Path(__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [sys.executable, __file__, "--weights", weights],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield Bare(process)
    finally:
        process.communicate()  # the end of its commands


def one_by_one(predictor: Predictor, pictures: Sequence[bytes]) -> list[float]:
    """Return the seconds of each picture."""
    times = []
    for data in pictures:
        begun = time.perf_counter()
        [instances] = predictor.segment([decode_image(data)], usual_options(predictor))
        _answer(predictor, instances)
        times.append(time.perf_counter() - begun)
    return times


def ahead(
    predictor: Predictor, pictures: Sequence[bytes], max_batch: int, pool: ThreadPoolExecutor
) -> None:
    """Work through the pictures as fast as this process can."""
    answers: list[Future[bytes]] = []
    coming: deque[list[Future[np.ndarray]]] = deque()

    def finish(decoding: list[Future[np.ndarray]]) -> None:
        images = [future.result() for future in decoding]
        results = predictor.segment(images, usual_options(predictor))
        answers.extend(pool.submit(_answer, predictor, found) for found in results)

    for batch in _batches(predictor, pictures, max_batch):
        coming.append([pool.submit(decode_image, data) for data in batch])
        if len(coming) > 2:  # two batches are decoded ahead
            finish(coming.popleft())
    while coming:
        finish(coming.popleft())
    for answer in answers:
        answer.result()


def _batches(
    predictor: Predictor, pictures: Sequence[bytes], max_batch: int
) -> Iterator[list[bytes]]:
    by_canvas: dict[tuple[int, int], list[bytes]] = {}
    for data in pictures:
        header = read_header(data)
        canvas = canvas_size(header.height, header.width, predictor.config.input)
        waiting = by_canvas.setdefault(canvas, [])
        waiting.append(data)
        if len(waiting) == max_batch:
            yield by_canvas.pop(canvas)
    yield from by_canvas.values()


def usual_options(predictor: Predictor) -> PredictOptions:
    """Return what the server asks of the predictor when a request has no options."""
    threshold = predictor.config.detection.score_threshold
    return PredictOptions(score_threshold=threshold, max_instances=100)


def _answer(predictor: Predictor, instances: Instances) -> bytes:
    return to_json(segment_answer(instances, predictor.categories, image_id=None, masks="rle"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    predictor = Predictor.from_checkpoint(open_model(arguments.weights))
    pool = ThreadPoolExecutor(4)
    for line in sys.stdin:
        command = json.loads(line)
        pictures = [Path(name).read_bytes() for name in command["files"]]
        cpu, begun, each = time.process_time(), time.perf_counter(), []
        if command["mode"] == "alone":
            each = one_by_one(predictor, pictures)
        else:
            ahead(predictor, pictures, command["max_batch"], pool)
        total = time.perf_counter() - begun
        answer = {"total": total, "each": each, "cpu": time.process_time() - cpu}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
