"""The pod of the CPU overlay runs under podman, and passes its own probes (make k8s-test).

K8S_IMAGE names an image that podman has; without it there is nothing to run. PODMAN_FLAGS come
before podman's command, such as "--runtime runc". Needs catatonit, which pods are held up by.
"""

from __future__ import annotations

import os
import resource
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
import yaml
from kustomized import K8S, Object, built, read_objects

pytestmark = pytest.mark.k8s

IMAGE = os.environ.get("K8S_IMAGE", "")
PODMAN = ("podman", *shlex.split(os.environ.get("PODMAN_FLAGS", "")))


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod that runs: its container's name, where it answers, its probes by name."""

    container: str
    address: str
    probes: dict[str, Object]

    def passes(self, name: str, tries: int = 1) -> bool:
        """Ask as a kubelet does, until the probe passes or has failed that often."""
        probe = self.probes[name]
        for _ in range(tries):
            try:
                url = self.address + probe["httpGet"]["path"]
                if httpx.get(url, timeout=probe["timeoutSeconds"]).status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(probe["periodSeconds"])
        return False


def _podman(*arguments: str) -> str:
    done = subprocess.run([*PODMAN, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"podman {arguments}: {done.stderr}"
    return done.stdout


def _lone_pod(port: int) -> tuple[list[Object], dict[str, Object]]:
    """Return the overlay's objects that podman knows, for one pod, and the probes taken out.

    podman would run curl inside the image for a probe; here the test asks. The pod has the
    machine's network, so its port is any free one.
    """
    kept = [
        item
        for item in read_objects(built(K8S / "overlays" / "cpu"))
        if item["kind"] in ("ConfigMap", "Deployment")
    ]
    settings, deployment = sorted(kept, key=lambda item: str(item["kind"]))
    settings["data"]["BLENDMASK_PORT"] = str(port)
    deployment["spec"]["replicas"] = 1
    pod = deployment["spec"]["template"]["spec"]
    pod["hostNetwork"] = True
    (container,) = pod["containers"]
    container["image"] = IMAGE
    del container["ports"]
    probes = {name: container.pop(name) for name in list(container) if "Probe" in name}
    return kept, probes


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    if not IMAGE:
        pytest.skip("K8S_IMAGE names no image")
    folder, port = tmp_path_factory.mktemp("play"), _free_port()
    # podman asks for more files and processes than may be had here and there.
    files = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    limits = f'["nofile={files}:{files}", "nproc=4096:4096"]'
    (folder / "containers.conf").write_text(f"[containers]\ndefault_ulimits = {limits}\n")
    objects, probes = _lone_pod(port)
    file = folder / "cpu.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    with pytest.MonkeyPatch.context() as patch:
        if "CONTAINERS_CONF" not in os.environ:
            patch.setenv("CONTAINERS_CONF", str(folder / "containers.conf"))
        try:
            _podman("play", "kube", "--network", "host", str(file))
            yield Pod(
                container="blendmask-server-pod-0-server",
                address=f"http://127.0.0.1:{port}",
                probes=probes,
            )
        finally:
            down = [*PODMAN, "play", "kube", "--down", str(file)]
            subprocess.run(down, capture_output=True, check=False)


def test_the_pod_passes_its_probes(pod: Pod) -> None:
    assert pod.passes("startupProbe", pod.probes["startupProbe"]["failureThreshold"])
    assert pod.passes("readinessProbe")
    assert pod.passes("livenessProbe")


def test_the_pod_answers_a_picture(pod: Pod) -> None:
    picture = K8S.parent / "tests" / "golden" / "_images" / "chelsea.png"
    answer = httpx.post(
        f"{pod.address}/segment",
        content=picture.read_bytes(),
        headers={"Content-Type": "image/png"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["images"][0]["width"] == 451


def test_the_pod_runs_as_its_security_context_says(pod: Pod) -> None:
    status = _podman("exec", pod.container, "cat", "/proc/1/status")
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert told["Uid"].split()[0] == "10001"
    assert told["CapEff"] == told["CapBnd"] == "0000000000000000"
    assert told["NoNewPrivs"] == "1"
    assert told["Seccomp"] == "2"


def test_the_pod_may_write_to_its_volumes_alone(pod: Pod) -> None:
    _podman("exec", pod.container, "touch", "/tmp/probe", "/var/cache/blendmask/probe")
    attempt = [*PODMAN, "exec", pod.container, "touch", "/home/blendmask/probe"]
    done = subprocess.run(attempt, capture_output=True, text=True, check=False)
    assert "Read-only file system" in done.stderr


def test_the_pod_leaves_in_peace(pod: Pod) -> None:
    """Stopped as a kubelet does it: SIGTERM, then as long as the grace period."""
    grace_s = built(K8S / "overlays" / "cpu").split("terminationGracePeriodSeconds: ")[1]
    _podman("stop", "--time", grace_s.split()[0], pod.container)
    state = _podman("inspect", "--format", "{{.State.ExitCode}}", pod.container)
    assert state.strip() == "0"
