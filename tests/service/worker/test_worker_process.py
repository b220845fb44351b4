from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from costly import run_length_bmp
from PIL import Image
from worker_child import Child, worker_child, write_tiny_weights

from model.answers.json_answer import panoptic_answer, segment_answer
from model.checkpoints.checkpoint import load
from model.prediction.predictor import PredictOptions, Predictor
from service.engine import ModelInfo
from service.json_bytes import to_json
from service.pool.messages import (
    Answer,
    Canary,
    CanaryRan,
    Defect,
    Done,
    Failed,
    Heartbeat,
    Loaded,
    Ran,
    Ready,
    Refused,
    Stop,
)
from service.pool.wire import Frame
from service.worker.aside import is_costly
from service.worker.report import STAGES


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="module")
def predictor(weights: Path) -> Predictor:
    return Predictor.from_checkpoint(load(weights), "cpu")


@pytest.fixture(scope="module")
def ready(weights: Path) -> Iterator[Child]:
    with worker_child() as child:
        child.load(weights)
        child.expect(Loaded)
        child.expect(Ready)
        yield child


def test_the_heart_beats_before_and_while_it_loads_and_the_models_are_told(weights: Path) -> None:
    with worker_child() as child:
        beat = child.receive_anything()
        assert beat is not None
        assert isinstance(beat.message, Heartbeat)
        assert beat.message.rss_bytes > 2**20
        child.load(weights)
        (told,) = child.expect(Loaded).models
        assert child.heartbeats
        info = ModelInfo.from_json(told)
        assert (info.name, info.device, info.tasks) == ("tiny", "cpu", ("segment", "panoptic"))
        assert info.sha256 == load(weights).sha256
        warmed = child.expect(Ready).warmed
        pixels, seconds_per_pixel = warmed["tiny"]
        assert pixels == 64 * 96
        assert 0 < seconds_per_pixel < 1


def test_answers_are_the_predictors_and_a_broken_picture_harms_nobody(
    ready: Child, predictor: Predictor
) -> None:
    images = [noise(48, 64), noise(48, 64, seed=1)]
    ready.send_batch(1, "tiny", [encoded(images[0]), b"broken", encoded(images[1])])
    frames, done = ready.receive_batch()

    refused = frames[11].message
    assert isinstance(refused, Refused)
    assert refused.error == "not-an-image"
    for item, image in zip((10, 12), images, strict=True):
        (alone,) = predictor.segment([image], PredictOptions(max_instances=100))
        frame = frames[item]
        assert isinstance(frame.message, Answer)
        assert frame.message.num_instances == len(alone) > 0
        assert set(frame.message.seconds) == set(STAGES)
        name = f"picture {item - 10}"
        expected = segment_answer(alone, predictor.categories, image_id=name, masks="rle")
        assert_nearly_equal(frame.body, to_json(expected))
    assert done.pixels == 2 * 64 * 96
    assert done.run_seconds > 0


def test_partition_of_a_batch_is_the_predictors(ready: Child, predictor: Predictor) -> None:
    image = noise(64, 64)
    ready.send_batch(2, "tiny", [encoded(image)], task="panoptic", masks="png")
    frames, _ = ready.receive_batch()
    (alone,) = predictor.panoptic([image], PredictOptions(max_instances=100))
    expected = panoptic_answer(alone, predictor.categories, image_id="picture 0", masks="png")
    assert frames[20].body == to_json(expected)
    assert num_instances(frames[20]) == len(alone.segments)


def test_drawing_is_answered_as_a_picture(ready: Child) -> None:
    ready.send_batch(3, "tiny", [encoded(noise(48, 64))], picture_type="image/png")
    frames, _ = ready.receive_batch()
    with Image.open(io.BytesIO(frames[30].body)) as drawing:
        assert drawing.size == (64, 48)


def test_pictures_of_other_canvases_than_announced_run_in_groups(
    ready: Child, predictor: Predictor
) -> None:
    images = [noise(48, 64), noise(64, 48), noise(48, 64, seed=1)]
    ready.send_batch(4, "tiny", [encoded(image) for image in images], masks="none")
    frames, done = ready.receive_batch()
    for item, image in zip((40, 41, 42), images, strict=True):
        (alone,) = predictor.segment([image], PredictOptions(masks=False))
        assert num_instances(frames[item]) == len(alone)
    assert done.pixels == 3 * 64 * 96


def test_batch_of_nothing_but_broken_pictures_is_closed(ready: Child) -> None:
    ready.send_batch(5, "tiny", [b"broken", encoded(noise(48, 64))[:60]])
    frames, done = ready.receive_batch()
    assert [type(frame.message) for frame in frames.values()] == [Refused, Refused]
    assert done.pixels == 0


def test_model_that_is_not_there_is_a_defect_and_the_worker_lives_on(ready: Child) -> None:
    ready.send_batch(6, "huge", [encoded(noise(48, 64))] * 2)
    frames, _ = ready.receive_batch()
    assert [type(frame.message) for frame in frames.values()] == [Defect, Defect]
    ready.send(Canary())
    assert ready.expect(CanaryRan).ok


def test_signals_are_left_to_the_server(ready: Child) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        ready.process.send_signal(number)
    ready.send_batch(7, "tiny", [encoded(noise(48, 64))])
    frames, _ = ready.receive_batch()
    assert isinstance(frames[70].message, Answer)


def test_what_comes_while_it_is_busy_is_done_too_each_once(ready: Child) -> None:
    for number in range(20, 26):
        ready.send_batch(number, "tiny", [encoded(noise(48, 64))] * (1 + number % 2))
        if number == 22:
            ready.send(Canary())
    answered: list[int] = []
    closed: list[int] = []
    while len(closed) < 6:
        frame = ready.receive()
        assert frame is not None
        match frame.message:
            case CanaryRan():
                assert len(closed) <= 3  # in its turn
            case Done(batch=batch):
                closed.append(batch)
            case Answer(item=item):
                answered.append(item)
            case other:
                raise AssertionError(other)
    assert sorted(closed) == [*range(20, 26)]
    assert sorted(answered) == [200, 210, 211, 220, 230, 231, 240, 250, 251]


def test_stop_finishes_what_was_received(weights: Path) -> None:
    with worker_child() as child:
        child.load(weights)
        for number in (1, 2):
            child.send_batch(number, "tiny", [encoded(noise(48, 64))] * 2)
        child.send(Stop())
        kinds = []
        while (frame := child.receive()) is not None:
            kinds.append(type(frame.message))
        assert kinds.count(Answer) == 4
        assert kinds.count(Done) == 2
        assert child.wait() == 0


def test_stop_finishes_what_is_decoded_aside(weights: Path) -> None:
    aside = run_length_bmp(90, 60) + bytes(600_000)  # bytes that might all be runs
    assert is_costly(aside)
    with worker_child() as child:
        child.load(weights)
        child.expect(Loaded)
        child.expect(Ready)
        child.send_batch(1, "tiny", [aside])
        child.send(Stop())
        told = []
        while (frame := child.receive()) is not None:
            told.append(frame.message)
        assert [type(message) for message in told] == [Ran, Answer, Done]
        assert child.wait() == 0


def test_a_message_that_is_a_workers_to_say_ends_it(weights: Path) -> None:
    with worker_child() as child:
        child.load(weights)
        child.expect(Loaded)
        child.expect(Ready)
        child.send(CanaryRan(ok=True, text=""))
        assert child.receive() is None
        assert child.wait() == 1


def test_it_is_gone_when_the_server_is_though_it_still_loads(weights: Path) -> None:
    with worker_child() as child:
        child.load(weights)
        child.socket.close()
        assert child.wait() == 0


def test_weights_that_cannot_be_had_are_the_operators_to_mend(tmp_path: Path) -> None:
    with worker_child() as child:
        child.load(tmp_path / "nowhere.safetensors")
        failed = child.expect(Failed)
        assert failed.is_operators
        assert "nowhere.safetensors" in failed.text
        assert child.receive() is None
        assert child.wait() == 3


def num_instances(frame: Frame) -> int:
    assert isinstance(frame.message, Answer)
    return frame.message.num_instances


def assert_nearly_equal(body: bytes, expected: bytes) -> None:
    """Compare two answers; numbers may differ by what rounding in company does to them."""
    ours, theirs = json.loads(body), json.loads(expected)
    assert {k: ours[k] for k in ("id", "width", "height")} == {
        k: theirs[k] for k in ("id", "width", "height")
    }
    assert len(ours["instances"]) == len(theirs["instances"])
    for one, other in zip(ours["instances"], theirs["instances"], strict=True):
        assert one["category"] == other["category"]
        np.testing.assert_allclose(one["score"], other["score"], atol=1e-5)
        np.testing.assert_allclose(one["bbox"], other["bbox"], atol=2e-3)
        assert one["segmentation"]["size"] == other["segmentation"]["size"]
