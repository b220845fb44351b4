from __future__ import annotations

from pathlib import Path

import httpx
from costly import run_length_bmp
from prometheus_client.parser import text_string_to_metric_families
from service_fakes import picture
from serving import serve
from worker_child import write_tiny_weights

THRIFTY = (str(Path(__file__).with_name("thrifty_server.py")),)


def sums(metrics: str) -> dict[tuple[str, str], float]:
    """By name and reason."""
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            key = sample.name, sample.labels.get("reason", "")
            found[key] = found.get(key, 0) + sample.value
    return found


def test_costly_picture_is_cut_off_counted_and_costs_no_worker(tmp_path: Path) -> None:
    weights = write_tiny_weights(tmp_path / "tiny.safetensors")
    with serve("--weights", str(weights), "--devices", "cpu", command=THRIFTY) as server:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url, timeout=120) as client:
            refused = client.post("/segment", content=run_length_bmp(3900, 3900))
            assert refused.status_code == 413
            assert refused.json()["type"] == "urn:blendmask:error:costly-image"
            assert client.post("/segment", content=picture(64, 48)).status_code == 200
            counted = sums(client.get("/metrics").text)
        assert counted["blendmask_refused_total", "costly_image"] == 1
        restarts = [v for (name, _), v in counted.items() if "worker_restarts_total" in name]
        assert restarts
        assert sum(restarts) == 0
