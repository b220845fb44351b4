"""Label Studio's, CVAT's and FiftyOne's own code on our answers: `make labelling-test`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from check_api import serving
from service_fakes import picture

ROOT = Path(__file__).parents[2]
TOOLS = os.environ.get("LABELLING_TOOLS")


@pytest.mark.skipif(TOOLS is None, reason="needs the tools' packages: make labelling-test")
def test_real_readers_read_our_answers(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(picture(30, 20, "PNG"))
    with serving() as url:
        done = subprocess.run(
            [f"{TOOLS}/bin/python", str(ROOT / "tests/labelling/readers.py"), url, str(photo)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "all readers agree" in done.stdout
