"""The Python that README.md and docs/client.md show, run as it stands there before a server."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving import serve
from test_python_pages import ROOT, blocks

from service.client import Client, RefusedError

_SHOWN = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve("--devices", "cpu") as server:
        server.wait_until_ready()
        yield server.url


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the pages speak of."""
    (tmp_path / "photos").mkdir()
    for name in ("picture.jpg", "photos/a.jpg"):
        shutil.copy(ROOT / "service/page/examples/astronaut.jpg", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(lines: str, url: str, names: dict[str, object]) -> None:
    exec(lines.replace(_SHOWN, url), names)


def test_readme_finds_the_person(
    folder: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (lines,) = blocks("README.md", under="Start")
    run(lines, url, {})
    assert capsys.readouterr().out.startswith("person 0.")


def test_page_runs_from_top_to_bottom(
    folder: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {"__name__": "page"}
    found = blocks("docs/client.md")
    assert len(found) == 3
    for lines in found:
        run(lines, url, names)
    printed = capsys.readouterr().out
    assert printed.startswith("person 0.")
    assert printed.count("'person'") >= 2
    names["client"].close()  # type: ignore[attr-defined]


def test_cutout_shows_the_pixels_of_the_mask(folder: Path, url: str) -> None:
    with Client(url) as client:
        result = client.segment("picture.jpg")
        for number, one in enumerate(result.instances):
            cutout = client.cutout("picture.jpg", number)
            alpha = np.asarray(Image.open(io.BytesIO(cutout)))[..., 3]
            assert np.array_equal(alpha == 255, one.bitmap())
            assert np.array_equal(alpha == 0, ~one.bitmap())
        assert result.instances
        with pytest.raises(RefusedError, match="422"):
            client.cutout("picture.jpg", len(result))
