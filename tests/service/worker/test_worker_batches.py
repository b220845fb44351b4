from __future__ import annotations

import io
import json
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, cast

import numpy as np
import pytest
import torch
from pasting import encode_crop
from PIL import Image
from service_fakes import INSTANCE_MODEL, picture, task_of

from model.pictures.decoding_process import DecodingProcess, StoppedError
from model.pictures.errors import DecoderCrashError
from model.prediction.predictor import PredictOptions, Predictor
from model.prediction.stages import StageTimes
from model.structures import ImageBatch, Instances
from service.pool.arena import Arena, ArenaView
from service.pool.messages import (
    Answer,
    Batch,
    BatchItem,
    Defect,
    Done,
    Dropped,
    Message,
    OfPicture,
    Ran,
    Refused,
    TooBig,
)
from service.worker import aside
from service.worker.batches import BatchRunner
from service.worker.groups import PreparedBatch
from service.worker.models import LoadedModel
from service.worker.wanted import Wanted

CANVAS_PIXELS = 800 * 1088  # of the pictures below, by the model's configuration


class FakePredictor:
    """Finds nothing; fails on batches of more pictures than it has memory for."""

    config = INSTANCE_MODEL.config
    categories = INSTANCE_MODEL.categories
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.most = 100
        self.num_instances = 0
        self.failure: Exception = torch.OutOfMemoryError("out of memory")
        self.sizes: list[int] = []

    def prepare(self, images: Sequence[np.ndarray], **_: object) -> ImageBatch:
        return ImageBatch(
            pixels=torch.zeros(len(images), 3, 1, 1),
            resized_sizes=[(1, 1)] * len(images),
            output_sizes=[(image.shape[0], image.shape[1]) for image in images],
        )

    def segment_batch(
        self, batch: ImageBatch, options: Sequence[PredictOptions], *, stages: StageTimes
    ) -> list[Instances]:
        self.sizes.append(len(batch.output_sizes))
        if len(batch.output_sizes) > self.most:
            raise self.failure
        stages.seconds["forward"] += 1.0
        return [
            Instances(
                height=height,
                width=width,
                boxes_xyxy=np.zeros((self.num_instances, 4), dtype=np.float32),
                scores=np.ones(self.num_instances, dtype=np.float32),
                classes=np.zeros(self.num_instances, dtype=np.int64),
                masks=[encode_crop(np.ones((2, 2), dtype=bool), 0, 0, height, width)]
                * self.num_instances,
                areas=np.full(self.num_instances, 4),
            )
            for height, width in batch.output_sizes
        ]


class Died(Exception):  # noqa: N818
    pass


class Bench:
    """A runner on a fake predictor, and what it sends."""

    def __init__(self) -> None:
        self.predictor = FakePredictor()
        self.sent: list[tuple[Message, bytes]] = []
        self.arena = Arena(2**16)
        self.has_next = False
        self.wanted = Wanted()
        self.drop_before: tuple[int, ...] = ()
        self.drop_when_prepared: tuple[int, ...] = ()
        self.threads: list[str] = []  # that sent the answers
        self.late: queue.SimpleQueue[PreparedBatch] = queue.SimpleQueue()
        self._done = threading.Semaphore(0)
        self.runner = BatchRunner(
            {"m": LoadedModel(info=INSTANCE_MODEL, predictor=cast("Predictor", self.predictor))},
            ArenaView(self.arena.fd, self.arena.num_bytes),
            max_pixels=10_000,
            max_side=1000,
            num_threads=2,
            wanted=self.wanted,
            send=self._send,
            has_next=lambda: self.has_next,
            put_late=self.late.put,
            on_fatal=self._die,
        )

    def _send(self, message: Message, body: bytes = b"") -> None:
        self.sent.append((message, body))
        if isinstance(message, Answer):
            self.threads.append(threading.current_thread().name.partition("_")[0])
        if isinstance(message, Done):
            self._done.release()

    def _die(self, text: str) -> NoReturn:
        raise Died(text)

    def run(self, pictures: Sequence[bytes], num_aside: int = 0, **asked: Any) -> list[Any]:
        """Run a batch, what of it was put aside last, and return the messages sent by then."""
        items = [
            BatchItem(
                number=number,
                offset=self.arena.put(data) or 0,
                length=len(data),
                asked=task_of(**asked),
                id=None,
                request_id="r",
            )
            for number, data in enumerate(pictures)
        ]
        self.wanted.enter(item.number for item in items)
        for item in self.drop_before:
            self.wanted.drop(item)
        prepared = self.runner.prepare(Batch(batch=9, model="m", items=items))
        for item in self.drop_when_prepared:
            self.wanted.drop(item)
        self.runner.run(prepared)
        for _ in range(num_aside):
            self.runner.run(self.late.get(timeout=60))
        assert self._done.acquire(timeout=30)
        return [message for message, _ in self.sent]

    def kinds(self) -> dict[int, type[OfPicture]]:
        """What each picture was closed with."""
        return {said.item: type(said) for said, _ in self.sent if isinstance(said, OfPicture)}


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.runner.finish_preparing()
    bench.runner.finish()
    bench.arena.close()


def test_batch_runs_whole_and_is_closed_after_its_last_picture(bench: Bench) -> None:
    told = bench.run([picture(8, 6)] * 3)
    assert bench.predictor.sizes == [3]
    assert bench.kinds() == {0: Answer, 1: Answer, 2: Answer}
    done = told[-1]
    assert (type(done), done.batch, done.pixels) == (Done, 9, 3 * CANVAS_PIXELS)


def test_lone_picture_is_encoded_by_the_thread_that_ran_it(bench: Bench) -> None:
    told = bench.run([picture(8, 6)])
    assert bench.threads == ["MainThread"]
    assert [type(said) for said in told] == [Answer, Done]


def test_costly_picture_keeps_no_other_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    costly = picture(16, 12)
    monkeypatch.setattr("service.worker.preparing.is_costly", lambda data: data == costly)
    told = bench.run([picture(8, 6), costly, picture(8, 6)], num_aside=1)
    assert bench.predictor.sizes == [2, 1]
    assert [type(said) for said in told if said != Ran(batch=9, has_aside=True)] == [
        *(Answer, Answer, Answer, Done)
    ]
    assert told.index(Ran(batch=9, has_aside=True)) < len(told) - 2
    assert [said.item for said in told if isinstance(said, Answer)][-1] == 1
    assert told[-1].pixels == 3 * CANVAS_PIXELS


@pytest.mark.parametrize("is_costly", [False, True])
def test_background_shows_through_a_picture_wherever_it_is_decoded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, is_costly: bool
) -> None:
    monkeypatch.setattr("service.worker.preparing.is_costly", lambda data: is_costly)
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 6), (9, 9, 9, 0)).save(buffer, "PNG")
    bench.run(
        [buffer.getvalue()],
        num_aside=int(is_costly),
        picture_type="image/png",  # nothing is found: the drawing is the picture
        background="white",
    )
    [drawn] = [body for said, body in bench.sent if isinstance(said, Answer)]
    assert Image.open(io.BytesIO(drawn)).getcolors() == [(48, (255, 255, 255))]


def test_lone_costly_picture_leaves_the_device_free(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.worker.preparing.is_costly", lambda data: True)
    told = bench.run([picture(8, 6)], num_aside=1)
    assert [type(said) for said in told] == [Ran, Answer, Done]
    assert told[0].has_aside


@pytest.mark.parametrize("spoilt", [b"GIF89a\1\0\1\0", picture(8, 6)[:-30]])
def test_costly_picture_that_is_refused_closes_its_batch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, spoilt: bytes
) -> None:
    monkeypatch.setattr("service.worker.preparing.is_costly", lambda data: data == spoilt)
    told = bench.run([picture(8, 6), spoilt], num_aside=1)
    assert bench.kinds() == {0: Answer, 1: Refused}
    assert isinstance(told[-1], Done)


def test_picture_that_takes_too_long_is_cut_off_and_the_worker_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.worker.preparing.is_costly", lambda data: True)
    for idle in bench.runner._preparer._aside._idle.queue:
        monkeypatch.setattr(idle, "_wall_seconds", 0.01)  # starting alone takes longer
    told = bench.run([picture(8, 6)], num_aside=1)
    (refused,) = (said for said in told if isinstance(said, Refused))
    assert (refused.error, "cut off" in refused.detail) == ("costly-image", True)
    monkeypatch.setattr("service.worker.preparing.is_costly", lambda data: False)
    bench.sent.clear()
    bench.run([picture(8, 6)])
    assert bench.kinds() == {0: Answer}


def test_costly_picture_that_would_wait_for_too_long_is_refused_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "_expected_s", lambda data: 8.0)
    told = bench.run([picture(8, 6)] * 5, num_aside=3)
    assert bench.kinds() == {0: Answer, 1: Answer, 2: Answer, 3: Refused, 4: Refused}
    refused = [said for said in told if isinstance(said, Refused)]
    assert {(said.error, said.retry_after_s) for said in refused} == {("queue-full", 8)}
    assert told.index(refused[-1]) < min(told.index(s) for s in told if isinstance(s, Answer))

    bench.sent.clear()
    bench.run([picture(8, 6)] * 3, num_aside=3)
    assert bench.kinds() == {0: Answer, 1: Answer, 2: Answer}


def test_costly_picture_whose_sender_has_gone_is_not_decoded_to_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(_: object, data: bytes, *, is_wanted: Callable[[], bool], **__: object) -> None:
        assert is_wanted()
        bench.wanted.drop(0)
        assert not is_wanted()
        raise StoppedError

    monkeypatch.setattr("service.worker.preparing.is_costly", lambda data: True)
    monkeypatch.setattr(DecodingProcess, "decode", decode)
    bench.run([picture(8, 6)], num_aside=1)
    assert bench.kinds() == {0: Dropped}
    assert bench.predictor.sizes == []


def test_decoder_that_crashes_aside_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object, **__: object) -> None:
        raise DecoderCrashError("the picture is damaged")

    monkeypatch.setattr("service.worker.preparing.is_costly", lambda data: True)
    monkeypatch.setattr(DecodingProcess, "decode", decode)
    told = bench.run([picture(8, 6)], num_aside=1)
    (refused,) = (said for said in told if isinstance(said, Refused))
    assert (refused.error, refused.detail) == ("crashed-decoder", "the picture is damaged")


def test_damaged_picture_is_not_costly() -> None:
    assert not aside.is_costly(b"GIF89a\1\0\1\0")
    assert not aside.is_costly(picture(8, 6))


@pytest.mark.parametrize("reason", ["company", "the next", "a drawing", "outlines"])
def test_device_never_waits_for_an_encoding(bench: Bench, reason: str) -> None:
    bench.has_next = reason == "the next"
    options: dict[str, Any] = {
        "a drawing": {"picture_type": "image/png"},
        "outlines": {"masks": "polygon"},
    }.get(reason, {})
    pictures = [picture(8, 6)] * (2 if reason == "company" else 1)
    bench.run(pictures, **options)
    assert bench.threads == ["draw" if options else "encode"] * len(pictures)


def test_time_of_a_batch_is_shared_by_its_pictures(bench: Bench) -> None:
    told = bench.run([picture(8, 6)] * 4)
    shares = [said.seconds["forward"] for said in told if isinstance(said, Answer)]
    assert shares == [0.25] * 4


def test_batch_that_is_too_large_for_the_memory_runs_in_halves(bench: Bench) -> None:
    bench.predictor.most = 2
    told = bench.run([picture(8, 6)] * 5)
    assert bench.predictor.sizes == [5, 2, 3, 1, 2]
    assert set(bench.kinds().values()) == {Answer}
    assert told[-1].pixels == 5 * CANVAS_PIXELS


def test_picture_that_is_too_large_even_alone_is_told_with_its_canvas(bench: Bench) -> None:
    bench.predictor.most = 0
    told = bench.run([picture(8, 6)] * 2)
    assert bench.kinds() == {0: TooBig, 1: TooBig}
    assert told[1].pixels == CANVAS_PIXELS
    assert told[-1].pixels == 0


def test_no_memory_while_preparing_is_met_when_it_runs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = bench.predictor.prepare

    def fail(images: Sequence[np.ndarray], **_: object) -> ImageBatch:
        if len(images) > 1:
            raise MemoryError
        return prepare(images)

    monkeypatch.setattr(bench.predictor, "prepare", fail)
    bench.run([picture(8, 6)] * 2)
    assert bench.predictor.sizes == [1, 1]
    assert set(bench.kinds().values()) == {Answer}


def test_defect_is_told_for_each_picture_and_the_next_batch_runs(bench: Bench) -> None:
    bench.predictor.most, bench.predictor.failure = 0, RuntimeError("ours")
    told = bench.run([picture(8, 6)] * 2)
    assert bench.kinds() == {0: Defect, 1: Defect}
    assert told[1].text == "RuntimeError: ours"
    bench.sent.clear()
    bench.predictor.most = 100
    bench.run([picture(8, 6)])
    assert bench.kinds() == {0: Answer}


def test_one_picture_with_a_defect_does_not_fail_its_company(bench: Bench) -> None:
    bench.predictor.most, bench.predictor.failure = 1, RuntimeError("ours")
    bench.run([picture(8, 6)] * 2)
    assert bench.predictor.sizes == [2, 1, 1]
    assert bench.kinds() == {0: Answer, 1: Answer}


def test_broken_device_ends_the_worker(bench: Bench) -> None:
    bench.predictor.most = 0
    bench.predictor.failure = RuntimeError("CUDA error: device-side assert triggered")
    with pytest.raises(Died, match="device-side assert"):
        bench.run([picture(8, 6)])


def test_answer_that_cannot_be_encoded_is_a_defect_of_that_picture(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("ours")

    monkeypatch.setattr("service.worker.batches.encode_answer", fail)
    bench.run([picture(8, 6)])
    assert bench.kinds() == {0: Defect}


def test_answer_that_would_be_too_large_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.predictor.num_instances = 2
    monkeypatch.setattr("model.answers.dialects.cvat.MAX_CROP_PIXELS", 7)
    messages = bench.run([picture(8, 6)], dialect="cvat")
    [refused] = (message for message in messages if isinstance(message, Refused))
    assert (refused.error, "smaller picture" in refused.detail) == ("too-large", True)
    assert bench.kinds() == {0: Refused}


def test_bytes_outside_of_the_arena_are_a_defect_of_that_picture(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.arena, "put", lambda data: 2**20)
    bench.run([picture(8, 6)])
    assert bench.kinds() == {0: Defect}


def test_what_nobody_waits_for_is_not_decoded(bench: Bench) -> None:
    bench.drop_before = (0,)
    bench.run([b"no picture at all", picture()])
    assert bench.kinds() == {0: Dropped, 1: Answer}
    assert bench.predictor.sizes == [1]


def test_what_nobody_waits_for_any_more_when_its_turn_comes_is_not_run(bench: Bench) -> None:
    bench.drop_when_prepared = (0, 2)
    bench.run([picture(), picture(7), picture()])
    assert bench.kinds() == {0: Dropped, 1: Answer, 2: Dropped}
    assert bench.predictor.sizes == [1]
    body = next(body for said, body in bench.sent if isinstance(said, Answer))
    assert json.loads(body)["width"] == 7


def test_a_batch_that_nobody_waits_for_is_done_without_running(bench: Bench) -> None:
    bench.drop_when_prepared = (0, 1)
    [*_, done] = bench.run([picture(), picture()])
    assert bench.kinds() == {0: Dropped, 1: Dropped}
    assert (type(done), done.pixels, bench.predictor.sizes) == (Done, 0, [])


def test_who_leaves_too_late_leaves_no_trace() -> None:
    wanted = Wanted()
    wanted.enter([1, 2])
    wanted.leave(1)
    wanted.drop(1)
    assert 1 in wanted
    wanted.drop(2)
    assert 2 not in wanted
    wanted.leave(2)
    assert 2 in wanted


def test_the_server_hears_that_the_device_is_free_before_a_drawing_is_done(bench: Bench) -> None:
    begun, going_on = threading.Event(), threading.Event()
    begin = bench.wanted.__contains__

    def wait(_: object, item: int) -> bool:
        if threading.current_thread().name.startswith("draw"):
            begun.set()
            assert going_on.wait(timeout=30)
        return begin(item)

    bench.predictor.num_instances = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wanted, "__contains__", wait)
        runner = threading.Thread(
            target=bench.run, args=([picture()],), kwargs={"masks": "polygon"}
        )
        runner.start()
        assert begun.wait(timeout=30)
        while Ran not in [type(said) for said, _ in bench.sent]:
            pass
        assert bench.kinds() == {}
        going_on.set()
        runner.join()
    assert [type(said) for said, _ in bench.sent] == [Ran, Answer, Done]
    assert bench.threads == ["draw"]


def test_a_drawing_that_nobody_waits_for_is_given_up(bench: Bench) -> None:
    bench.predictor.num_instances = 3
    calls = []

    def leave(wanted: Wanted, item: int) -> bool:
        if threading.current_thread().name.startswith("draw"):
            calls.append(item)
            return len(calls) < 3
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wanted, "__contains__", leave)
        bench.run([picture()], picture_type="image/png")
    assert bench.kinds() == {0: Dropped}
    assert calls == [0, 0, 0]
