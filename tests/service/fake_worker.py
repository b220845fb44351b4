"""A worker process without a network: answers by what a picture's bytes say.

A picture is text: "ok", "slow 0.5", "die", "kill", "hang", "freeze", "refuse", "defect",
"too_big", "fatal", "forget", "nonsense", "linger 2", "edition", "draw 2", which takes as long
beside the device, and "draw", which never ends; or a real one, which is answered
with `{}` after as many seconds as its width has hundreds of pixels. `--fail-load TEXT` and
`--die-loading` end it early; weights called "slow" never load, and weights that are a file have
its text as their digest. A worker with `--deaf yes` does not stop when told to, one with
`--bad-canary FILE` fails its canary while there is such a file.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
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
from service.pool.wire import Frame, FrameSocket


class FakeWorker:
    def __init__(self, raw: socket.socket, fd: int, load: dict[str, Any], sha: str) -> None:
        self._raw = raw
        self._socket = FrameSocket(raw)
        self._sha = sha
        self._arena = ArenaView(fd, load["arena_bytes"])
        self._frozen = self._is_lingering = False
        self._frames: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._dropped: set[int] = set()

    def beat(self) -> None:
        with suppress(ConnectionError):
            while not self._frozen:
                self._socket.send({"kind": "heartbeat", "device_bytes": 7, "rss_bytes": 11})
                time.sleep(0.05)

    def listen(self) -> None:
        while (frame := self._socket.receive()) is not None:
            if frame.kind == "drop":
                self._dropped.add(frame.header["item"])
            else:
                self._frames.put(frame)
        if not self._is_lingering:
            os._exit(0)

    def next(self) -> Frame:
        return self._frames.get()

    def _was_dropped(self, item: int) -> bool:
        if item not in self._dropped:
            return False
        self._socket.send({"kind": "dropped", "item": item})
        return True

    def freeze(self) -> None:
        self._frozen = True

    def run(self, frame: Frame) -> None:
        batch = frame.header["batch"]
        items = [item for item in frame.header["items"] if not self._was_dropped(item["item"])]
        texts = [_text_of(bytes(self._arena.read(i["offset"], i["length"]))) for i in items]
        if "stuck" in texts:
            return
        if texts and texts[0].startswith("draw"):
            threading.Thread(target=self._draw, args=(batch, items, texts[0]), daemon=True).start()
            return
        company = ",".join(texts)
        for item, text in zip(items, texts, strict=True):
            self._answer(item["item"], text, company)
        self._finish(batch, items)

    def _draw(self, batch: int, items: list[dict[str, Any]], text: str) -> None:
        self._socket.send({"kind": "ran", "batch": batch})
        time.sleep(float(text.removeprefix("draw") or 600))
        self._answer(items[0]["item"], "ok", text)
        self._finish(batch, items)

    def _finish(self, batch: int, items: list[dict[str, Any]]) -> None:
        self._socket.send(
            {
                "kind": "done",
                "batch": batch,
                "pixels": 1000 * len(items),
                "seconds": {},
                "run_seconds": 0.001,
            }
        )

    def _answer(self, item: int, text: str, company: str) -> None:
        word, _, rest = text.partition(" ")
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
            case "busy":
                started = time.process_time()
                while time.process_time() - started < float(rest):
                    pass
            case "real":
                with suppress(OSError):
                    print("started", flush=True)
                time.sleep(float(rest))
                company = ""
            case "fatal":
                self._socket.send({"kind": "fatal", "text": "the device fell off"})
                os._exit(4)
            case "forget":
                return
            case "nonsense":
                self._socket.send({"kind": "answer", "item": item, "num_instances": "many"})
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
                self._socket.send(
                    {"kind": "refused", "item": item, "error": "not-an-image", "detail": "no."}
                )
                return
            case "defect":
                self._socket.send({"kind": "defect", "item": item, "text": "a secret"})
                return
            case "too_big":
                self._socket.send({"kind": "too_big", "item": item, "pixels": 1})
                return
        self._socket.send(
            {"kind": "answer", "item": item, "seconds": {"forward": 0.25}, "num_instances": 3},
            f"{os.getpid()}:{company}".encode() if company else b"{}",
        )


def _model(spec: dict[str, Any]) -> dict[str, Any]:
    weights = Path(spec["weights"])
    sha = weights.read_text() if weights.is_file() else INSTANCE_MODEL.sha256
    name = spec["name"] or INSTANCE_MODEL.name
    return {**INSTANCE_MODEL.to_json(), "sha256": sha, "name": name}


def _text_of(data: bytes) -> str:
    try:
        return f"real {read_header(data).width / 100}"
    except ImageError:
        return data.decode()


def main() -> None:
    flags = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    raw = socket.socket(fileno=int(flags["--socket"]))
    sock = FrameSocket(raw)
    load = sock.receive()
    assert load is not None
    if "--fail-load" in flags:
        sock.send({"kind": "failed", "text": flags["--fail-load"], "is_operators": True})
        sys.exit(3)
    if "--die-loading" in flags:
        sys.exit(1)
    if load.header["models"][0]["weights"] == "slow":
        time.sleep(600)
    models = [_model(spec) for spec in load.header["models"]]
    if models[0]["sha256"] == "slow":
        time.sleep(600)
    if Path(flags.get("--renamed", "none")).exists():
        models[0]["name"] = "another name"
    if "other classes" in models[0]["sha256"]:
        models[0]["categories"] = COCO_PANOPTIC.to_dict()
    worker = FakeWorker(raw, int(flags["--arena"]), load.header, models[0]["sha256"])
    threading.Thread(target=worker.beat, daemon=True).start()
    threading.Thread(target=worker.listen, daemon=True).start()
    sock.send({"kind": "loaded", "models": models})
    sock.send({"kind": "ready", "warmed": {}})
    while True:
        frame = worker.next()
        if frame.kind == "stop" and "--deaf" not in flags:
            return
        if frame.kind == "batch":
            worker.run(frame)
        elif frame.kind == "canary":
            is_ok = not Path(flags.get("--bad-canary", "none")).exists()
            sock.send({"kind": "canary", "ok": is_ok, "text": "another answer than before"})


if __name__ == "__main__":
    main()
