"""A worker process without a network: answers by what a picture's bytes say.

A picture is text: "ok", "slow 0.5", "die", "kill", "hang", "freeze", "refuse", "defect",
"too_big", "fatal", "forget"; or a real one, which is answered with `{}` after as many seconds as
its width has hundreds of pixels. `--fail-load TEXT` and `--die-loading` end it early; weights
called "slow" never load.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from service_fakes import INSTANCE_MODEL

from model.image_header import ImageError, read_header
from service.pool.arena import ArenaView
from service.pool.wire import Frame, FrameSocket


class FakeWorker:
    def __init__(self, sock: FrameSocket, fd: int, load: dict[str, Any]) -> None:
        self._socket = sock
        self._arena = ArenaView(fd, load["arena_bytes"])
        self._frozen = False

    def beat(self) -> None:
        while not self._frozen:
            self._socket.send({"kind": "heartbeat", "device_bytes": 7, "rss_bytes": 11})
            time.sleep(0.05)

    def freeze(self) -> None:
        self._frozen = True

    def run(self, frame: Frame) -> None:
        batch = frame.header["batch"]
        items = frame.header["items"]
        texts = [_text_of(bytes(self._arena.read(i["offset"], i["length"]))) for i in items]
        company = ",".join(texts)
        for item, text in zip(items, texts, strict=True):
            self._answer(item["item"], text, company)
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
                time.sleep(float(rest))
            case "real":
                print("started", flush=True)
                time.sleep(float(rest))
                company = ""
            case "fatal":
                self._socket.send({"kind": "fatal", "text": "the device fell off"})
                os._exit(4)
            case "forget":
                return
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


def _text_of(data: bytes) -> str:
    try:
        return f"real {read_header(data).width / 100}"
    except ImageError:
        return data.decode()


def main() -> None:
    flags = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    sock = FrameSocket(socket.socket(fileno=int(flags["--socket"])))
    load = sock.receive()
    assert load is not None
    if "--fail-load" in flags:
        sock.send({"kind": "failed", "text": flags["--fail-load"], "is_operators": True})
        sys.exit(3)
    if "--die-loading" in flags:
        sys.exit(1)
    if load.header["models"][0]["weights"] == "slow":
        time.sleep(600)
    worker = FakeWorker(sock, int(flags["--arena"]), load.header)
    threading.Thread(target=worker.beat, daemon=True).start()
    models = [{**INSTANCE_MODEL.to_json(), "sha256": flags.get("--sha", "ab" * 32)}]
    sock.send({"kind": "loaded", "models": models})
    sock.send({"kind": "ready", "warmup_seconds": 0.0})
    while (frame := sock.receive()) is not None and frame.kind != "stop":
        if frame.kind == "batch":
            worker.run(frame)
        elif frame.kind == "canary":
            is_ok = "--bad-canary" not in flags
            sock.send({"kind": "canary", "ok": is_ok, "text": "another answer than before"})


if __name__ == "__main__":
    main()
