from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.files import write_file
from model.pictures import files as picture_files
from model.pictures.files import find_pictures, read_batches


@pytest.fixture
def pictures(tmp_path):
    for number in range(9):
        Image.new("RGB", (10 + number, 5)).save(tmp_path / f"{number}.png")
    return find_pictures([str(tmp_path)], recursive=False)


def test_batches_come_in_order_with_the_last_one_short(pictures):
    batches = list(read_batches(pictures, 4))
    assert [len(batch) for batch in batches] == [4, 4, 1]
    assert [p for batch in batches for p, _ in batch] == pictures
    widths = [image.shape[1] for batch in batches for _, image in batch]
    assert widths == list(range(10, 19))


def test_only_one_batch_is_decoded_ahead(pictures, monkeypatch):
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


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "out.json"
    path.write_bytes(b"old and longer")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.json"
    path.write_bytes(b"old")

    def fail(self: Path, data: bytes) -> None:
        self.touch()
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="disk is full"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_is_written_to_not_replaced():
    write_file(Path("/dev/null"), b"gone")
    assert not Path("/dev/null").is_file()
