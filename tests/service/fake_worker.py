"""A worker process without a network: answers by what a picture's bytes say.

A picture is text: "ok", "slow 0.5", "until FILE", when there is one, "die", "kill", "hang",
"freeze", "refuse", "crowded", "defect", "too_big", "fatal", "forget", "nonsense", "confused",
"linger 2", "edition", "draw 2", which takes as long beside the device, and "draw", which never
ends; or a real one, which is answered with its size and no instances, after as many seconds as its
width has hundreds of pixels. `--fail-load TEXT` and `--die-loading` end it early; weights called
"slow" never load, and weights that are a file have its text as their digest. A worker with `--deaf
yes` does not stop when told to, one with `--bad-canary FILE` fails its canary while there is such a
file.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from service_fakes import INSTANCE_MODEL

from model.coco_categories import COCO_PANOPTIC
from model.pictures.errors import ImageError
from model.pictures.header import read_header
from service.pool.arena import ArenaView
from service.pool.messages import (
    Answer,
    Batch,
    BatchItem,
    Canary,
    CanaryRan,
    Defect,
    Done,
    Drop,
    Dropped,
    Failed,
    Fatal,
    Heartbeat,
    Load,
    Loaded,
    Message,
    ModelToLoad,
    Ran,
    Ready,
    Refused,
    Stop,
    TooBig,
)
from service.pool.wire import FrameSocket


class FakeWorker:
    def __init__(self, raw: socket.socket, fd: int, load: Load, sha: str) -> None:
        self._raw = raw
        self._socket = FrameSocket(raw)
        self._sha = sha
        self._arena = ArenaView(fd, load.arena_bytes)
        self._frozen = self._is_lingering = False
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._dropped: set[int] = set()

    def beat(self) -> None:
        with suppress(ConnectionError):
            while not self._frozen:
                self._socket.send(Heartbeat(device_bytes=7, rss_bytes=11))
                time.sleep(0.05)

    def listen(self) -> None:
        while (frame := self._socket.receive()) is not None:
            if isinstance(frame.message, Drop):
                self._dropped.add(frame.message.item)
            else:
                self._messages.put(frame.message)
        if not self._is_lingering:
            os._exit(0)

    def next(self) -> Message:
        return self._messages.get()

    def _was_dropped(self, item: int) -> bool:
        if item not in self._dropped:
            return False
        self._socket.send(Dropped(item=item))
        return True

    def freeze(self) -> None:
        self._frozen = True

    def run(self, batch: Batch) -> None:
        items = [item for item in batch.items if not self._was_dropped(item.number)]
        texts = [_text_of(bytes(self._arena.read(i.offset, i.length))) for i in items]
        if "stuck" in texts:
            return
        if texts and texts[0].startswith("draw"):
            threading.Thread(
                target=self._draw, args=(batch.batch, items, texts[0]), daemon=True
            ).start()
            return
        if texts and texts[0].startswith("aside"):
            threading.Thread(
                target=self._decode_aside, args=(batch.batch, items, texts[0]), daemon=True
            ).start()
            return
        company = ",".join(texts)
        for item, text in zip(items, texts, strict=True):
            self._answer(item.number, text, company)
        self._finish(batch.batch, items)

    def _draw(self, batch: int, items: list[BatchItem], text: str) -> None:
        self._socket.send(Ran(batch=batch))
        time.sleep(float(text.removeprefix("draw") or 600))
        self._answer(items[0].number, "ok", text)
        self._finish(batch, items)

    def _decode_aside(self, batch: int, items: list[BatchItem], text: str) -> None:
        self._socket.send(Ran(batch=batch, has_aside=True))
        while not Path(text.removeprefix("aside ")).exists():
            time.sleep(0.01)
        detail = "decoding it took too long"
        self._socket.send(Refused(item=items[0].number, error="costly-image", detail=detail))
        self._finish(batch, items)

    def _finish(self, batch: int, items: list[BatchItem]) -> None:
        self._socket.send(Done(batch=batch, pixels=1000 * len(items), run_seconds=0.001))

    def _answer(self, item: int, text: str, company: str) -> None:
        word, _, rest = text.partition(" ")
        body = b""
        match word:
            case "die":
                os._exit(9)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(60)
            case "freeze":
                self.freeze()
                time.sleep(60)
            case "slow":
                time.sleep(float(rest.split()[0]))
            case "real":
                with suppress(OSError):
                    print("started", flush=True)
                width, height = map(int, rest.split("x"))
                time.sleep(width / 100)
                body = _empty_answer(width, height)
            case "fatal":
                self._socket.send(Fatal(text="the device fell off"))
                os._exit(4)
            case "forget":
                return
            case "nonsense":
                _send_nonsense(self._raw, {"kind": "answer", "item": item, "num_instances": "many"})
                return
            case "until":
                while not Path(rest).exists():
                    time.sleep(0.01)
            case "confused":  # that is the server's to say
                self._socket.send(Stop())
                return
            case "linger":  # as a process does that has a device to close
                self._is_lingering = True
                self._raw.shutdown(socket.SHUT_RDWR)
                time.sleep(float(rest))
                os._exit(9)
            case "edition":
                time.sleep(float(rest or 0))
                company = self._sha
            case "refuse":
                self._socket.send(Refused(item=item, error="not-an-image", detail="no."))
                return
            case "crash":
                error = "crashed-decoder"
                self._socket.send(Refused(item=item, error=error, detail="damaged."))
                return
            case "crowded":
                self._socket.send(
                    Refused(item=item, error="queue-full", detail="later.", retry_after_s=8)
                )
                return
            case "defect":
                self._socket.send(Defect(item=item, text="a secret"))
                return
            case "too_big":
                self._socket.send(TooBig(item=item, pixels=1))
                return
        self._socket.send(
            Answer(item=item, seconds={"forward": 0.25}, num_instances=3),
            body or f"{os.getpid()}:{company}".encode(),
        )


def _empty_answer(width: int, height: int) -> bytes:
    return json.dumps({"id": None, "width": width, "height": height, "instances": []}).encode()


def _send_nonsense(raw: socket.socket, header: dict[str, Any]) -> None:
    """Send a frame whose header is no message."""
    text = json.dumps(header).encode()
    raw.sendall(struct.pack(">II", len(text), 0) + text)


def _model(spec: ModelToLoad) -> dict[str, Any]:
    weights = Path(spec.weights)
    sha = weights.read_text() if weights.is_file() else INSTANCE_MODEL.sha256
    name = spec.name or INSTANCE_MODEL.name
    return {**INSTANCE_MODEL.to_json(), "sha256": sha, "name": name}


def _text_of(data: bytes) -> str:
    try:
        header = read_header(data)
        return f"real {header.width}x{header.height}"
    except ImageError:
        return data.decode()


def main() -> None:
    flags = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    raw = socket.socket(fileno=int(flags["--socket"]))
    sock = FrameSocket(raw)
    first = sock.receive()
    assert first is not None
    load = first.message
    assert isinstance(load, Load)
    if "--fail-load" in flags:
        sock.send(Failed(text=flags["--fail-load"], is_operators=True))
        sys.exit(3)
    if "--die-loading" in flags:
        sys.exit(1)
    if load.models[0].weights == "slow":
        time.sleep(600)
    models = [_model(spec) for spec in load.models]
    if models[0]["sha256"] == "slow":
        time.sleep(600)
    if Path(flags.get("--renamed", "none")).exists():
        models[0]["name"] = "another name"
    if "other classes" in models[0]["sha256"]:
        models[0]["categories"] = COCO_PANOPTIC.to_dict()
    worker = FakeWorker(raw, int(flags["--arena"]), load, models[0]["sha256"])
    threading.Thread(target=worker.beat, daemon=True).start()
    threading.Thread(target=worker.listen, daemon=True).start()
    sock.send(Loaded(models=models))
    sock.send(Ready(warmed={}))
    while True:
        message = worker.next()
        match message:
            case Stop() if "--deaf" not in flags:
                return
            case Batch():
                worker.run(message)
            case Canary():
                is_ok = not Path(flags.get("--bad-canary", "none")).exists()
                sock.send(CanaryRan(ok=is_ok, text="another answer than before"))


if __name__ == "__main__":
    main()
