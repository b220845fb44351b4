from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import build_image
import pytest
from container import STOP_AFTER_S, Container, podman
from image_report import Measured
from pycocotools import mask as coco_mask
from steady_load import SteadyLoad, noisy_picture

pytestmark = pytest.mark.image

PHOTO = Path(__file__).parents[1] / "golden" / "_images" / "astronaut.png"
# Of process 1 and of every other that there is, by /proc.
STATUSES = """
import pathlib
for path in sorted(pathlib.Path('/proc').glob('[0-9]*/status')):
    print(path.read_text() + 'END')
"""
KILL_WORKER = """
import os, signal, pathlib
for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
    pid, rest = path.parent.name, path.read_text().rpartition(')')[2].split()
    if rest[1] == '1' and pid != str(os.getpid()):
        os.kill(int(pid), signal.SIGKILL)
        print(pid)
"""


def processes(server: Container) -> list[dict[str, str]]:
    blocks = server.python(STATUSES).split("END")[:-1]
    pairs = ([line.split(":", 1) for line in block.strip().splitlines()] for block in blocks)
    return [{name: value.strip() for name, value in lines} for lines in pairs]


def test_a_photo_is_answered_with_masks_of_its_size(server: Container, measured: Measured) -> None:
    request = urllib.request.Request(
        f"{server.url}/segment", PHOTO.read_bytes(), {"Content-Type": "image/png"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        [image] = json.load(answer)["images"]
    assert (image["width"], image["height"]) == (512, 512)
    assert "person" in {instance["category"] for instance in image["instances"]}
    for instance in image["instances"]:
        assert instance["area"] == coco_mask.decode(instance["segmentation"]).sum()
    resident = [process["VmRSS"] for process in processes(server) if "VmRSS" in process]
    measured.resident_bytes = 1024 * sum(int(value.split()[0]) for value in resident)


def test_no_process_has_rights(server: Container) -> None:
    for process in processes(server):
        assert set(process["Uid"].split()) == {"10001"}
        assert set(process["Gid"].split()) == {"10001"}
        assert int(process["CapEff"], 16) == int(process["CapBnd"], 16) == 0
        assert process["NoNewPrivs"] == "1"


def test_the_root_cannot_be_written_to(server: Container) -> None:
    said = server.python(
        "import errno, os\n"
        "try: open('/home/blendmask/x', 'w')\n"
        "except OSError as error: print(errno.errorcode[error.errno])"
    )
    assert said == "EROFS"


def test_the_memory_limit_holds(server: Container) -> None:
    description = json.loads(podman("inspect", server.name))[0]
    assert description["HostConfig"]["Memory"] == 2 << 30


def test_the_compiled_operations_are_in_use(server: Container, measured: Measured) -> None:
    said = server.python(
        "import torch\nfrom model.operations.ops import is_compiled\n"
        "print(torch.__version__, is_compiled('paste_rle', 'cpu'))"
    )
    measured.torch = said.split()[0]
    assert said.split()[1] == "True"


def test_the_health_check_passes(server: Container, image: SimpleNamespace) -> None:
    kind, *command = image.description["Healthcheck"]["Test"]
    assert kind == "CMD"
    podman("exec", server.name, *command)


def test_a_killed_worker_is_replaced_and_leaves_no_zombie(server: Container) -> None:
    [killed] = server.python(KILL_WORKER).split()
    deadline = time.monotonic() + 30
    while server.readiness() == 200:
        assert time.monotonic() < deadline, "still ready without its worker"
        time.sleep(0.01)
    server.wait_until_ready()
    after = processes(server)
    assert killed not in {process["Pid"] for process in after}
    assert not [process for process in after if process["State"].startswith("Z")]


def test_nothing_of_the_build_stays_in_the_image(server: Container) -> None:
    said = server.python("import os; print(*sorted(os.listdir('/opt')), *os.listdir('/srv'))")
    assert said.split() == ["blendmask", "venv", "weights"]
    said = server.python("import os; print(os.path.exists('/etc/pip.conf'))")
    assert said == "False"


def test_a_change_of_code_installs_and_compiles_nothing(
    image: SimpleNamespace, measured: Measured
) -> None:
    with (image.context / "model" / "version.py").open("a") as file:
        file.write("\n# Changed.\n")
    tag = f"{image.tag}-changed"
    built = build_image.build(image.context, tag, image.arguments, image.wheels)
    measured.rebuild_s = built.seconds
    try:
        changed = json.loads(podman("image", "inspect", tag))[0]
    finally:
        podman("rmi", tag)
    before, after = (it["RootFS"]["Layers"] for it in (image.description, changed))
    # The base, the user, the environment (the big one), the code.
    assert before != after
    assert before[:3] == after[:3]
    assert built.was_cached(build_image.INSTALL_STEP)
    assert built.was_cached(build_image.COMPILE_STEP)


# The last: it ends the server.
def test_stopped_under_load_it_answers_everything_and_exits_with_0(
    server: Container, measured: Measured
) -> None:
    pictures = [noisy_picture(320, 240, seed) for seed in range(4)]
    with SteadyLoad(server.url, pictures, rate=6, num_clients=6) as load:
        time.sleep(3)
        begun = time.monotonic()
        podman("stop", "--time", str(STOP_AFTER_S), server.name)
        measured.stop_s = time.monotonic() - begun
    state = server.state()
    measured.codes, measured.turned_away = dict(load.tally.codes), load.tally.turned_away
    measured.lost = len(load.tally.lost) + load.tally.hung
    assert load.tally.faults() == []
    assert load.tally.codes[200] > 0
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False), server.logs()
