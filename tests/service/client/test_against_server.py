"""Both clients before the real server, which refuses, is slow, ends and is started anew."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from both_clients import KINDS, Kind, use
from service_fakes import picture
from serving import Server, serve

FAKE = (str(Path(__file__).parents[1] / "fake_server.py"),)
# (width, height); the height tells one from the others, a pixel of width takes 10 ms.
SIZES = [(3 + place % 9, 1 + place) for place in range(24)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def codes(server: Server) -> Counter[int]:
    """How often the server's log has each status of a picture's request."""
    whole = (line for line in server.read("stderr").splitlines(keepends=True) if line[-1] == "\n")
    lines = [json.loads(line) for line in whole]
    return Counter(line["code"] for line in lines if line.get("route") == "/segment")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name)
def test_each_picture_is_answered_once_though_the_server_is_full_and_ends(
    kind: Kind, end: signal.Signals
) -> None:
    port = free_port()
    flags = ("--port", str(port), "--max-images", "1", "--max-waiting-images", "2")
    flags += ("--log-format", "json", "--grace-s", "0.2")
    pictures = [picture(*size, kind="PNG") for size in SIZES]
    url = f"http://127.0.0.1:{port}"
    with ThreadPoolExecutor(1) as thread:
        with serve(*flags, command=FAKE) as first:
            first.wait_until_ready()
            results = thread.submit(
                use, kind, url, "segment", pictures, num_at_once=5, deadline_s=300
            )
            while codes(first)[200] < 6:
                time.sleep(0.02)
            first.process.send_signal(end)
            first.wait_for_exit()
            before = codes(first)
        with serve(*flags, command=FAKE) as second:
            found = results.result(300)
            second.terminate()
            after = codes(second)
    assert [(one.width, one.height) for one in found] == SIZES
    assert before[429] > 0, "the server was to be full"
    assert 0 < after[200] < len(SIZES), "the server was to end meanwhile"
    if end is signal.SIGTERM:  # what it has accepted it answers
        assert before[200] + after[200] == len(SIZES)
