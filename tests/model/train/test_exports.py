"""What labelling tools export trains to the same losses as the same data in COCO's form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import exports
import pytest
import torch

from model.datasets.check_data import main as check_data
from model.train import __main__ as command

_QUICK = ["--config", "small", "--short-side", "64", "--workers", "0", "--batch-size", "2"]
_QUICK += ["--device", "cpu", "--log-every", "1", "--iterations", "2", "--evaluate-every", "0"]


def losses(data: Path, run: Path, *more: str) -> list[dict[str, float]]:
    arguments = [*_QUICK, "--data", str(data), "--output", str(run), *more]
    assert command.main(arguments) == 0
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = [{n: v for n, v in row.items() if n.startswith("loss")} for row in rows]
    assert len(found) == 2
    assert len(found[0]) > 3
    return found


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_all() -> Iterator[None]:
    """Sums of several threads differ in their last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def expected(
    one_thread_for_all: None, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, float]]:
    folder = tmp_path_factory.mktemp("plain")
    return losses(exports.plain(folder), folder / "run")


@pytest.mark.parametrize(
    "export",
    [exports.coco, exports.roboflow, exports.cvat, exports.label_studio, exports.labelme2coco],
)
def test_an_export_trains_to_the_losses_of_plain_data(
    tmp_path: Path, expected: list[dict[str, float]], export: Callable[[Path], Path]
) -> None:
    folder = export(tmp_path / "data")
    assert losses(folder, tmp_path / "run") == expected
    assert check_data(["--data", str(folder)]) == 0


def test_a_yolo_folder_trains_to_the_losses_of_plain_data(
    tmp_path: Path, expected: list[dict[str, float]]
) -> None:
    folder = exports.yolo(tmp_path / "data")
    found = losses(folder, tmp_path / "run")
    # Corners are rounded on their way to shares of the picture and back.
    assert found == [pytest.approx(row, rel=1e-5) for row in expected]
    assert check_data(["--data", str(folder)]) == 0


def test_painted_masks_train_to_the_losses_of_plain_run_lengths(tmp_path: Path) -> None:
    expected = losses(exports.plain(tmp_path / "plain", rle=True), tmp_path / "plain run")
    folder = exports.cvat_brush(tmp_path / "data")
    assert losses(folder, tmp_path / "run", "--crowds-are-objects") == expected
