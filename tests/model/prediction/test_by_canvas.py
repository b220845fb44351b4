from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.config import InputConfig
from model.prediction.by_canvas import run_by_canvas

CONFIG = InputConfig(short_side=32, max_side=64)


class Runs:
    """Gives each picture's red value and its option back; remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, ...]]] = []

    def __call__(self, images: list[np.ndarray], options: list[str]) -> list[tuple[int, str]]:
        self.batches.append([image.shape[:2] for image in images])
        return [(int(image[0, 0, 0]), one) for image, one in zip(images, options, strict=True)]


def picture(red: int, *, wide: bool = False) -> np.ndarray:
    return np.full((32, 64) if wide else (32, 32), red, np.uint8)


def test_results_keep_the_order_and_their_options() -> None:
    run = Runs()
    pictures = [picture(0), picture(1, wide=True), picture(2), picture(3, wide=True)]
    found = run_by_canvas(run, pictures, list("abcd"), config=CONFIG, batch_size=8)
    assert found == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]
    assert run.batches == [[(32, 32), (32, 32)], [(32, 64), (32, 64)]]


def test_batch_is_no_larger_than_allowed() -> None:
    run = Runs()
    found = run_by_canvas(
        run, [picture(n) for n in range(5)], list("abcde"), config=CONFIG, batch_size=2
    )
    assert [red for red, _ in found] == [0, 1, 2, 3, 4]
    assert [len(batch) for batch in run.batches] == [2, 2, 1]


def test_files_are_read_as_their_turn_comes(tmp_path: Path) -> None:
    for n in range(4):
        Image.fromarray(picture(n)).save(tmp_path / f"{n}.png")
    files = [tmp_path / f"{n}.png" for n in range(4)]
    run = Runs()

    def remove_first(images: list[np.ndarray], options: list[str]) -> list[tuple[int, str]]:
        # Of the next batch, no file has been read yet: what it holds by now is what counts.
        if not run.batches:
            Image.fromarray(picture(9)).save(files[2])
        return run(images, options)

    found = run_by_canvas(remove_first, files, list("abcd"), config=CONFIG, batch_size=2)
    assert [red for red, _ in found] == [0, 1, 9, 3]


def test_bad_picture_among_several_is_numbered() -> None:
    with pytest.raises(ValueError, match="of type NoneType") as caught:
        run_by_canvas(
            Runs(),
            [picture(0), None],  # type: ignore[list-item]
            list("ab"),
            config=CONFIG,
            batch_size=8,
        )
    assert caught.value.__notes__ == ["It is pictures[1] of 2."]


def test_bad_picture_alone_needs_no_number() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        run_by_canvas(Runs(), ["nowhere.jpg"], ["a"], config=CONFIG, batch_size=8)
    assert not hasattr(caught.value, "__notes__")


def test_batch_of_no_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 0; it must be 1 or more"):
        run_by_canvas(Runs(), [], [], config=CONFIG, batch_size=0)
