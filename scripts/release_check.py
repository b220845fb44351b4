"""Builds a release and tries it as a stranger would: what is in it, and whether it serves.

    python scripts/release_check.py --tools PYTHON [--output dist] [--constraints constraints.txt]

The wheel is installed with its dependencies into an environment that has nothing else, and then
the sdist in the wheel's place. Run it with the Python that has torch: the wheel's operations are
compiled against that. PYTHON has `build` and `twine`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "tests" / "golden" / "_images" / "astronaut.png"
# What a wheel cannot do without.
TYPED = ("model/py.typed", "service/py.typed")
WEIGHTS = ("model/weights/small.safetensors", "model/weights/NOTICE")
FONT = ("model/answers/bundled_font/DejaVuSans.ttf", "model/answers/bundled_font/LICENSE")
IN_WHEEL = (*TYPED, *WEIGHTS, *FONT, "model/operations/_ops_cpu.abi3.so")
READY_S = 300


def main() -> int:
    """Check a release; return 0 if it is fit to be published, 1 with the reason if not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tools", required=True, type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    parser.add_argument("--environment", type=Path, help="keep the clean environment here")
    given = parser.parse_args()
    try:
        sdist, wheel = build(given.tools, given.output)
        check_contents(sdist, wheel)
        run(given.tools, "-m", "twine", "check", "--strict", sdist, wheel)
        with tempfile.TemporaryDirectory() as scratch:
            folder = given.environment or Path(scratch) / "environment"
            try_installed(sdist, wheel, folder, given.constraints)
    except (ValueError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"not fit to be released: {error}\n")
        return 1
    say(f"fit to be released: {sdist.name}, {wheel.name}")
    return 0


def build(tools: Path, output: Path) -> tuple[Path, Path]:
    """Return an sdist, built where there is no torch, and a wheel, built of it where there is."""
    shutil.rmtree(output, ignore_errors=True)
    run(tools, "-m", "build", "--quiet", "--sdist", "--outdir", output, ROOT)
    (sdist,) = output.glob("*.tar.gz")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--no-cache-dir", "--wheel-dir", output, sdist)
    (wheel,) = output.glob("*.whl")
    return sdist, wheel


def check_contents(sdist: Path, wheel: Path) -> None:
    """Compare the files with what must be and must not be there.

    Raises:
        ValueError: something is missing, too much, or of another version.
    """
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for path in (sdist, wheel):
        if not path.name.startswith(f"blendmask_server-{version}"):
            raise ValueError(f"{path.name} is not of version {version}")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    listed = ["git", "ls-files", "csrc", "model", "service", "setup.py", "LICENSE"]
    tracked = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    refuse("the sdist lacks", set(tracked.split()) - packed)
    with zipfile.ZipFile(wheel) as archive:
        installed = set(archive.namelist())
    modules = {name for name in tracked.split() if name.endswith(".py") and "/" in name}
    refuse("the wheel lacks", {*IN_WHEEL, *modules} - installed)
    strangers = {name for name in installed if name.split("/")[0] not in ("model", "service")}
    information = f"blendmask_server-{version}.dist-info/"
    refuse("the wheel has", {name for name in strangers if not name.startswith(information)})
    say(f"contents are right: {len(packed)} files in the sdist, {len(installed)} in the wheel")


def refuse(what: str, names: Iterable[str]) -> None:
    """Raise ValueError if there are any names."""
    if found := sorted(names):
        raise ValueError(f"{what} {', '.join(found)}")


def try_installed(sdist: Path, wheel: Path, folder: Path, constraints: Path) -> None:
    """Install the wheel, then the sdist, and serve with each.

    Raises:
        ValueError: it doesn't serve.
    """
    if not folder.exists():
        run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--constraint", constraints, wheel)
    run(python, "-m", "pip", "check")
    try_serving(python, compiled=True)
    run(*pip, "--no-deps", "--force-reinstall", "--no-cache-dir", sdist)
    try_serving(python, compiled=False)  # built apart from torch: by the plain references


def try_serving(python: Path, *, compiled: bool) -> None:
    """Start the server away from the checkout, send a photo, and stop it.

    Raises:
        ValueError: it doesn't become ready, answer, find a person, or end with code 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked = (
            "from model.operations.ops import is_compiled; print(is_compiled('paste_rle', 'cpu'))"
        )
        said = subprocess.run(
            [python, "-I", "-c", asked], cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()
        if said != str(compiled):
            raise ValueError(f"compiled operations: {said}, not {compiled}")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BLENDMASK", "PYTHON"))}
        command = [str(python), "-m", "service", "--weights", "small", "--port", "0"]
        log = Path(folder) / "log"
        with log.open("wb") as file:
            server = subprocess.Popen(command, cwd=folder, env=clean, stdout=file, stderr=file)
        try:
            url = wait_until_ready(server, log)
            request = urllib.request.Request(f"{url}/segment", PHOTO.read_bytes())
            request.add_header("Content-Type", "image/png")
            with urllib.request.urlopen(request, timeout=60) as answer:
                (image,) = json.load(answer)["images"]
            if "person" not in {found["category"] for found in image["instances"]}:
                raise ValueError("no person is found in the photo of one")
            server.send_signal(signal.SIGTERM)
            if (code := server.wait(60)) != 0:
                raise ValueError(f"exit code {code}; {log.read_text()}")
        finally:
            server.kill()
    say(f"serves, {'with' if compiled else 'without'} compiled operations")


def wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> str:
    """Return the address.

    Raises:
        ValueError: it ends, or takes too long.
    """
    deadline = time.monotonic() + READY_S
    while "ready;" not in (text := log.read_text()):
        if server.poll() is not None or time.monotonic() > deadline:
            raise ValueError(f"the server does not get ready; {text}")
        time.sleep(0.2)
    return text.split("listening on ")[1].split(",")[0]


def run(*command: str | Path) -> None:
    """Run a program, away from the checkout's packages."""
    subprocess.run([str(part) for part in command], check=True, cwd=tempfile.gettempdir())


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
