"""The client where nothing is installed but httpx, and NumPy and Pillow once they are needed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from scripted_server import Step, scripted

# Third-party modules that may be found: httpx with what it stands on, and those named.
_PROGRAM = """
import sys
allowed = {{
    "httpx", "httpcore", "h11", "anyio", "idna", "certifi", "sniffio", "typing_extensions",
    "service", "model", *{allowed!r},
}}

class Missing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in allowed:
            raise ModuleNotFoundError(f"No module named {{top!r}}", name=top)

sys.meta_path.insert(0, Missing())
from service.client import AsyncClient, Client

with Client({url!r}) as client:
{lines}
"""
_WITHOUT = ["print(client.segment(b'bytes').names)"]
_WITH = [
    "import numpy as np",
    "print(client.segment(np.zeros((4, 5, 3), np.uint8)).bitmaps().shape)",
    "print(client.panoptic(b'bytes').segment_ids().shape)",
]


@pytest.mark.parametrize(
    ("allowed", "lines", "printed"),
    [
        pytest.param([], _WITHOUT, "[]\n", id="httpx"),
        pytest.param(["numpy", "PIL"], _WITH, "(0, 6, 8)\n(6, 8)\n", id="numpy-pillow"),
    ],
)
def test_client_runs_without_the_servers_packages(
    allowed: list[str], lines: list[str], printed: str
) -> None:
    with scripted(Step()) as server:
        indented = "\n".join("    " + line for line in lines)
        program = _PROGRAM.format(allowed=allowed, url=server.url, lines=indented)
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == printed, ran.stderr
