"""Two real servers under load, errors among it, and a real Prometheus that watches them."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from serving import Server, serve
from steady_load import noisy_picture
from tiny import CATEGORIES, tiny_predictor

from model.checkpoints import checkpoint

ROOT = Path(__file__).parents[2]
LOAD_S = 60.0
_JPEG = {"Content-Type": "image/jpeg"}
_BAD_CANARY = (str(Path(__file__).with_name("bad_canary_server.py")),)


class Prometheus:
    """A started Prometheus.

    url: where it listens. begun: when the load began, in seconds since the Unix epoch.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.begun = time.time()

    def values(self, expr: str) -> list[float]:
        """Return every finite value that a query has had since the load began."""
        now = time.time()
        answer = httpx.post(
            f"{self.url}/api/v1/query_range",
            data={"query": expr, "start": self.begun, "end": now, "step": 5},
            timeout=30,
        ).json()
        assert answer["status"] == "success", f"{answer['error']}: {expr}"
        points = [float(v) for series in answer["data"]["result"] for _, v in series["values"]]
        return [value for value in points if math.isfinite(value)]

    def get(self, path: str) -> Any:
        """Return the data of another question."""
        return httpx.get(f"{self.url}/api/v1/{path}", timeout=30).json()["data"]


@contextmanager
def watched(folder: Path) -> Iterator[Prometheus]:
    """Start everything, send load for `LOAD_S`, and hand over the Prometheus that saw it."""
    weights = _weights(folder)
    quick = ("--devices", "cpu", "--restart-delay-s", "0.2", "--restart-delay-max-s", "1")
    small = ("--max-waiting-images", "16", "--max-batch-images", "4", "--warmup-sizes", "96x64")
    with (
        serve("--weights", str(weights), *quick, *small) as server,
        serve("--canary-every-s", "5", *quick, command=_BAD_CANARY) as wrong,
    ):
        server.wait_until_ready(timeout_s=300)
        wrong.wait_until_listening()  # it is ready now and then
        with _prometheus(folder, (server.url, wrong.url)) as prometheus:
            _wait_for_first_scrapes(prometheus, 2)  # they come before the first errors
            _put_load(server, wrong)
            for one in (server, wrong):
                assert one.process.poll() is None, f"the server stopped; {one.output()}"
            yield prometheus


def _wait_for_first_scrapes(prometheus: Prometheus, num_servers: int) -> None:
    """Return once every server has been asked for its metrics."""
    deadline = time.monotonic() + 60
    while True:
        targets = prometheus.get("targets")["activeTargets"]
        scraped = [one for one in targets if not one["lastScrape"].startswith("0001-")]
        if len(scraped) >= num_servers:
            return
        assert time.monotonic() < deadline, f"not scraped in time: {targets}"
        time.sleep(0.1)


def _weights(folder: Path) -> Path:
    """Write a network so small that it answers in milliseconds, things and stuff."""
    predictor = tiny_predictor(semantic=True)
    path = folder / "tiny.safetensors"
    kept = checkpoint.Checkpoint(
        config=predictor.config,
        categories=CATEGORIES,
        tensors=predictor.model.state_dict(),
        sha256="",
        provenance={"source": "random numbers"},
    )
    checkpoint.save(path, kept)
    return path


@contextmanager
def _prometheus(folder: Path, urls: tuple[str, ...]) -> Iterator[Prometheus]:
    """Run it with the shipped rules and configuration, once a second instead of twice a minute."""
    source = ROOT / "docker/prometheus"
    (folder / "rules").mkdir()
    for file in (source / "rules").glob("*.yml"):
        text = file.read_text().replace("interval: 30s", "interval: 1s")
        (folder / "rules" / file.name).write_text(text)
    config = yaml.safe_load((source / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    [job] = [job for job in config["scrape_configs"] if job["job_name"] == "blendmask-server"]
    # As in a cluster, where the operator adds these.
    job["static_configs"] = [
        {
            "targets": [url.removeprefix("http://")],
            "labels": {"namespace": "blendmask", "service": "blendmask-server", "pod": f"pod-{i}"},
        }
        for i, url in enumerate(urls)
    ]
    config["scrape_configs"] = [job]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = shutil.which("prometheus")
    assert program is not None, "Prometheus is not installed (Debian: apt-get install prometheus)"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while not _is_ready(url):
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline, "Prometheus does not start"
            time.sleep(0.1)
        yield Prometheus(url)
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _put_load(server: Server, wrong: Server) -> None:
    """Send pictures from four clients, and make every kind of trouble now and then."""
    ends = time.monotonic() + LOAD_S
    clients = [threading.Thread(target=_client, args=(server.url, ends, n)) for n in range(4)]
    clients.append(threading.Thread(target=_client, args=(wrong.url, ends, 9)))
    clients.append(threading.Thread(target=_trouble, args=(server, ends)))
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def _client(url: str, ends: float, number: int) -> None:
    pictures = [noisy_picture(60 + 40 * n, 60, seed=number).data for n in range(3)]
    gone = contextlib.suppress(httpx.TransportError)  # told of when all is over
    with gone, httpx.Client(base_url=url, timeout=60) as client:
        while time.monotonic() < ends:
            for path in ("/segment", "/panoptic"):
                for picture in pictures:
                    client.post(path, content=picture, headers=_JPEG)
            time.sleep(0.2)


def _trouble(server: Server, ends: float) -> None:
    """Refusals, missed deadlines, clients that go, killed workers, and callers' mistakes."""
    picture = noisy_picture(120, 90).data
    files = [("image", ("a.jpg", picture, "image/jpeg"))] * 8
    while time.monotonic() < ends:
        crowd = [
            threading.Thread(target=_ask_in_haste, args=(server.url, files)) for _ in range(12)
        ]
        for member in crowd:
            member.start()
        _ask_and_go(server.url, picture)
        for member in crowd:
            member.join()
        httpx.post(f"{server.url}/segment", content=b"no picture", headers=_JPEG)
        httpx.get(f"{server.url}/nowhere")
        _kill_a_worker(server)
        time.sleep(6)


def _ask_in_haste(url: str, files: Any) -> None:
    with contextlib.suppress(httpx.TransportError):
        headers = {"X-Request-Timeout": "0.3"}
        httpx.post(f"{url}/segment", files=files, headers=headers, timeout=60)


def _ask_and_go(url: str, picture: bytes) -> None:
    host, port = url.removeprefix("http://").split(":")
    head = f"POST /segment HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\n"
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(f"{head}Content-Length: {len(picture)}\r\n\r\n".encode() + picture)


def _kill_a_worker(server: Server) -> None:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    for pid in children.read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def as_text(values: Any) -> str:
    """Return what the log of a failed check shows."""
    return json.dumps(values, indent=1)[:2000]
