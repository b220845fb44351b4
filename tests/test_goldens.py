from __future__ import annotations

from pathlib import Path

import goldens
import pytest


def test_numbers_that_ours_lack_are_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="no numbers of R_50_1x and nobody"):
        goldens.require("R_50_1x", "nobody")


def test_numbers_that_another_folder_lacks_are_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(goldens, "FOLDER", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="no numbers of R_50_1x and chelsea"):
        goldens.require("R_50_1x", "chelsea")
