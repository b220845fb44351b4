from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from service_fakes import JPEG_BODY, picture
from serving import Server, serve
from sockets import Client

FAKE = (str(Path(__file__).with_name("fake_server.py")),)


def post(server: Server, width: int, answers: list[int]) -> None:
    answer = httpx.post(
        f"{server.url}/segment", content=picture(width), headers=JPEG_BODY, timeout=60
    )
    answers.append(answer.status_code)


def drain(server: Server) -> None:
    """Send SIGTERM, and return once it is seen to."""
    server.process.send_signal(signal.SIGTERM)
    while "draining" not in httpx.get(f"{server.url}/readyz").text:
        pass


def is_listening(server: Server) -> bool:
    """Whether the server takes new connections."""
    try:
        httpx.get(f"{server.url}/healthz")
    except httpx.TransportError:
        return False
    return True


def test_weights_that_cannot_be_had_end_it_with_code_2_and_one_line() -> None:
    with serve("--weights", "no/such/file.pth") as server:
        assert server.wait_for_exit() == 2
        [line] = server.read("stderr").splitlines()
        assert line.startswith("python -m service: cannot load the model: ")
        assert "no/such/file.pth" in line


def test_bad_setting_ends_it_with_code_2_and_one_line() -> None:
    with serve("--score-threshold", "2", command=FAKE) as server:
        assert server.wait_for_exit() == 2
        [line] = server.read("stderr").splitlines()
        assert "--score-threshold" in line
        assert "'2'" in line


def test_port_in_use_ends_it_with_code_2_and_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serve("--port", str(port), command=FAKE) as server:
            assert server.wait_for_exit() == 2
            [line] = server.read("stderr").splitlines()
            assert f"cannot listen on 127.0.0.1:{port}" in line


def test_server_answers_health_while_it_loads_and_stops_at_once() -> None:
    with serve("--weights", "slow", "--grace-s", "0", command=FAKE) as server:
        server.wait_until_listening()
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        readiness = httpx.get(f"{server.url}/readyz")
        assert readiness.status_code == 503
        assert "loading" in readiness.json()["detail"]
        assert server.terminate() == 0


def test_ready_server_prints_its_address_and_answers() -> None:
    with serve(command=FAKE) as server:
        server.wait_until_ready()
        assert f"{server.url}/segment" in server.read("stdout")
        answer = httpx.post(f"{server.url}/segment", content=picture(), headers=JPEG_BODY)
        [image] = answer.json()["images"]
        assert (image["width"], image["height"]) == (8, 6)
        # The line follows the answer; stopping the server makes sure that it is written.
        assert server.terminate() == 0
        assert answer.headers["x-request-id"] in server.read("stderr")


def test_every_line_of_a_json_log_is_json_though_a_decoder_grumbles() -> None:
    with serve("--log-format", "json", "--devices", "cpu") as server:
        server.wait_until_ready()
        answer = httpx.post(f"{server.url}/segment", content=spoilt_tiff(), timeout=60)
        assert answer.status_code == 400
        assert server.terminate() == 0
        records = [json.loads(line) for line in server.read("stderr").splitlines()]
    said = [r["line"] for r in records if r["message"] == "a worker wrote to stderr"]
    assert [line for line in said if "not yet in table" in line]


def spoilt_tiff() -> bytes:
    """Return a picture of which libtiff says on stderr that its pixels are damaged."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF", compression="tiff_lzw")
    data = bytearray(file.getvalue())
    middle = slice(len(data) // 3, len(data) // 2)
    data[middle] = bytes(byte ^ 0x5A for byte in data[middle])
    return bytes(data)


def test_draining_server_is_unready_but_answers_until_the_grace_period_ends() -> None:
    with serve("--grace-s", "3600", command=FAKE) as server:
        server.wait_until_ready()
        drain(server)
        answer = httpx.post(f"{server.url}/segment", content=picture(), headers=JPEG_BODY)
        assert answer.status_code == 200
        assert server.terminate() == 0  # a second signal cuts the grace period short


def test_accepted_requests_are_answered_before_it_stops() -> None:
    with serve("--grace-s", "3600", command=FAKE) as server:
        server.wait_until_ready()
        answers: list[int] = []
        sender = threading.Thread(target=post, args=(server, 100, answers))
        sender.start()
        server.wait_for_line("started")
        drain(server)
        assert server.terminate() == 0
        sender.join()
        assert answers == [200]


def test_idle_connection_is_closed_after_the_time_that_the_setting_gives() -> None:
    with serve("--keep-alive-s", "1", command=FAKE) as server:
        server.wait_until_listening()
        address = httpx.URL(server.url)
        with Client((address.host, address.port or 80)) as client:
            client.send(b"GET /healthz HTTP/1.1\r\nHost: server\r\n\r\n")
            assert client.answer()[0] == 200
            assert client.is_closed()


@pytest.mark.parametrize(("flag", "start"), [("--help", "usage: "), ("--version", "blendmask-")])
def test_questions_are_answered_without_serving(flag: str, start: str) -> None:
    with serve(flag) as server:
        assert server.wait_for_exit() == 0
        assert server.read("stdout").startswith(start)


def test_settings_in_force_are_printed_without_serving() -> None:
    with serve("--print-settings", "--max-side", "77") as server:
        assert server.wait_for_exit() == 0
        assert "max_side = 77  # from --max-side\n" in server.read("stdout")


def test_misspelt_flag_ends_it_with_code_2_and_one_line() -> None:
    with serve("--wieghts", "x") as server:
        assert server.wait_for_exit() == 2
        [line] = server.read("stderr").splitlines()
        assert line.startswith("python -m service: there is no flag --wieghts; did you mean --wei")


def test_device_that_is_not_there_ends_it_before_it_listens() -> None:
    with serve("--devices", "cuda:99") as server:
        assert server.wait_for_exit() == 2
        assert "devices has cuda:99" in server.read("stderr")
        assert server.read("stdout") == ""


def start_sending(server: Server, width: int) -> tuple[threading.Thread, list[int]]:
    """Send a picture that takes a second for each hundred pixels; return once it runs."""
    answers: list[int] = []
    sender = threading.Thread(target=post, args=(server, width, answers))
    sender.start()
    server.wait_for_line("started")
    return sender, answers


def test_a_second_signal_after_the_grace_period_still_answers_what_was_accepted() -> None:
    with serve("--grace-s", "0.2", command=FAKE) as server:
        server.wait_until_ready()
        sender, answers = start_sending(server, 200)
        drain(server)
        while is_listening(server):  # until the grace period is over
            pass
        assert server.terminate() == 0
        sender.join()
        assert answers == [200]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_third_signal_leaves_at_once(number: signal.Signals) -> None:
    with serve("--grace-s", "3600", command=FAKE) as server:
        server.wait_until_ready()
        sender, answers = start_sending(server, 2500)
        drain(server)
        server.process.send_signal(number)
        while is_listening(server):
            pass
        server.process.send_signal(number)
        assert server.wait_for_exit(timeout_s=15) == 0
        sender.join()
        assert answers != [200]


def test_a_signal_while_it_loads_and_one_more_end_it() -> None:
    with serve("--weights", "slow", "--grace-s", "3600", command=FAKE) as server:
        server.wait_until_listening()
        drain(server)
        assert server.terminate() == 0


def test_the_grace_period_holds_while_a_worker_is_replaced() -> None:
    with serve("--grace-s", "3600", "--restart-delay-s", "2", command=FAKE) as server:
        server.wait_until_ready()
        [worker] = workers_of(server)
        os.kill(worker, signal.SIGKILL)
        while httpx.get(f"{server.url}/readyz").status_code == 200:
            pass
        drain(server)
        answer = httpx.post(
            f"{server.url}/segment", content=picture(), headers=JPEG_BODY, timeout=60
        )
        assert answer.status_code == 200
        assert server.terminate() == 0


def workers_of(server: Server) -> list[int]:
    """The server's worker processes."""
    tasks = Path(f"/proc/{server.process.pid}/task")
    pids = " ".join(path.read_text() for path in tasks.glob("*/children")).split()
    return [int(pid) for pid in pids]


def test_neither_a_log_that_nobody_reads_nor_a_full_stdout_stops_it() -> None:
    read, write = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [sys.executable, *FAKE, "--port", str(port)], stdout=full, stderr=write
        )
    os.close(write)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            while not is_ready(client):
                time.sleep(0.05)
            body = picture(1, 1)
            for _ in range(900):  # lines of 100 bytes and more; a pipe holds 64 KiB
                answer = client.post("/segment", content=body, headers=JPEG_BODY)
                assert answer.status_code == 200
            assert client.get("/healthz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(read)


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False
