from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.pictures import files as picture_files
from model.pictures.files import PictureFile, find_pictures, read_batches


@pytest.fixture
def pictures(tmp_path: Path) -> list[PictureFile]:
    for number in range(9):
        Image.new("RGB", (10 + number, 5)).save(tmp_path / f"{number}.png")
    return find_pictures([str(tmp_path)], recursive=False)


def test_batches_come_in_order_with_the_last_one_short(pictures: list[PictureFile]) -> None:
    batches = list(read_batches(pictures, 4))
    assert [len(batch) for batch in batches] == [4, 4, 1]
    assert [p for batch in batches for p, _ in batch] == pictures
    widths = [image.shape[1] for batch in batches for _, image in batch]
    assert widths == list(range(10, 19))


def test_only_one_batch_is_decoded_ahead(
    pictures: list[PictureFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def remember(path: Path) -> np.ndarray:
        read.append(path)
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(picture_files, "_read", remember)
    batches = read_batches(pictures, 2)
    next(batches)
    assert len(read) <= 4
    next(batches)
    assert len(read) <= 6
    batches.close()
