from __future__ import annotations

import io
import os
import pickle
import pickletools
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.checkpoints.pickled_arrays import PickledArray
from model.checkpoints.tensor_file import read_tensor_file
from model.checkpoints.unpickle import read_pickle, read_torch

PROTOCOLS = range(6)


class Hostile:
    """Writes a file when it is unpickled without care."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


class HostileState:
    """Calls its payload from its state instead."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return eval, (f"__import__('os').mkdir({str(self.target)!r})",)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("payload", [Hostile, HostileState])
def test_hostile_pickle_is_refused_by_name_and_not_run(
    tmp_path: Path, protocol: int, payload: Any
) -> None:
    target, path = tmp_path / "ran", tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"model": {"a": payload(target)}}, protocol=protocol))
    wanted = "mkdir" if payload is Hostile else "eval"
    with pytest.raises(ValueError, match=rf"asks to run '\w+\.{wanted}'"):
        read_pickle(path)
    assert not target.exists()
    pickle.loads(path.read_bytes())
    assert target.exists(), "the payload would have run"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("payload", [Hostile, HostileState])
def test_hostile_torch_file_is_refused_by_name_and_not_run(
    tmp_path: Path, protocol: int, zipped: bool, payload: Any
) -> None:
    target, path = tmp_path / "ran", tmp_path / "weights.pth"
    torch.save(
        {"model": {"a": torch.ones(1)}, "optimizer": payload(target)},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    wanted = "mkdir" if payload is Hostile else "eval"
    with pytest.raises(ValueError, match=rf"asks to run '\w+\.{wanted}'"):
        read_torch(path, zipped=zipped)
    assert not target.exists()


def test_hostile_legacy_file_is_refused_when_the_variable_forbids_safety(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    target, path = tmp_path / "ran", tmp_path / "weights.pth"
    torch.save({"model": Hostile(target)}, path)
    with pytest.raises(ValueError, match="asks to run"):
        read_torch(path, zipped=True)
    assert not target.exists()


@pytest.mark.parametrize(
    "wanted",
    [
        "builtins.getattr",
        "builtins.bytearray",
        "numpy.load",
        "torch.load",
        "copyreg._reconstructor",
    ],
)
def test_pickle_may_ask_for_nothing_but_arrays_and_containers(tmp_path: Path, wanted: str) -> None:
    module, _, name = wanted.rpartition(".")
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"c" + module.encode() + b"\n" + name.encode() + b"\n.")
    with pytest.raises(ValueError, match=f"asks to run '{wanted}'"):
        read_pickle(path)


def test_pickle_cannot_set_attributes_on_what_it_may_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    # The class itself, then BUILD with a slot state that would replace its method.
    attack = b"cnumpy\nndarray\n(N(dVarray\nI1\nstb."
    pickletools.dis(attack, out=io.StringIO())
    path.write_bytes(attack)
    with pytest.raises(ValueError, match="truncated or damaged"):
        read_pickle(path)
    assert not isinstance(PickledArray.array, int)


@pytest.mark.parametrize("method", ["get", "items", "values"])
def test_dictionary_whose_methods_are_overwritten_is_refused(tmp_path: Path, method: str) -> None:
    path = tmp_path / "weights.pkl"
    overwritten = f"}}V{method}\nI5\ns".encode()
    path.write_bytes(b"ccollections\nOrderedDict\n)R" + overwritten + b"b.")
    with pytest.raises(ValueError, match=r"weights\.pkl "):
        read_tensor_file(path)


def test_array_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    honest = pickle.dumps({"a": np.zeros((2, 3), np.float32)}, protocol=2)
    lying = honest.replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86")
    assert lying != honest
    path.write_bytes(lying)
    with pytest.raises(ValueError, match="24 bytes; its shape needs 32"):
        read_pickle(path)


def test_array_of_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"a": np.array([{}, {}], dtype=object)}))
    with pytest.raises(ValueError, match="array of 'O8'"):
        read_pickle(path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_every_kind_come_back(tmp_path: Path, protocol: int) -> None:
    arrays = {
        "plain": np.arange(6, dtype=np.float32).reshape(2, 3),
        "by_columns": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
        "big_endian": np.arange(4, dtype=">f4"),
        "empty": np.zeros((0, 3), np.float32),
        "counts": np.array([1, 2], np.int64),
        "flags": np.array([True, False]),
    }
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(OrderedDict(arrays), protocol=protocol))
    tensors = read_tensor_file(path).tensors
    assert tensors.keys() == arrays.keys()
    for name, array in arrays.items():
        assert tensors[name].tolist() == array.tolist()


def test_arrays_under_numpy_1_names_come_back(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    written = pickle.dumps({"a": np.ones(3, np.float32)}, protocol=2)
    renamed = written.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in renamed
    path.write_bytes(renamed)
    assert read_tensor_file(path).tensors["a"].tolist() == [1, 1, 1]


def test_python_2_pickle_with_text_for_bytes_comes_back(tmp_path: Path) -> None:
    raw = np.array([1.5, -2.0], "<f4").tobytes()
    body = (
        b"}U\x01acnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR"
        b"(I1\n(I2\ntcnumpy\ndtype\n(U\x02f4I0\nI1\ntR(I3\nU\x01<NNNI-1\nI-1\nI0\ntbI00\n"
        + b"U"
        + bytes([len(raw)])
        + raw
        + b"tbs."
    )
    path = tmp_path / "R-50.pkl"
    path.write_bytes(b"\x80\x02" + body)
    assert read_tensor_file(path).tensors["a"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_file_with_arrays_and_optimiser_gives_its_model(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "model_final.pth"
    torch.save(
        {
            "model": OrderedDict(a=torch.arange(4.0)[::2], b=np.ones((2, 1), np.float32)),
            "optimizer": {"state": {0: {"momentum_buffer": torch.ones(8)}}, "lr": np.float64(0.1)},
            "scheduler": {"last_epoch": 7},
            "iteration": 89999,
        },
        path,
        _use_new_zipfile_serialization=zipped,
    )
    file = read_tensor_file(path)
    assert {name: tensor.tolist() for name, tensor in file.tensors.items()} == {
        "a": [0, 2],
        "b": [[1], [1]],
    }
    assert file.kind == ("torch_zip" if zipped else "torch_legacy")


def test_tensors_do_not_depend_on_the_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(1000)}, path)
    tensors = read_tensor_file(path).tensors
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert tensors["a"].sum() == 1000


def test_torch_zip_called_safetensors_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    torch.save({"a": torch.ones(2)}, path)
    assert read_tensor_file(path).tensors["a"].tolist() == [1, 1]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_torch_file_says_so(tmp_path: Path, zipped: bool, share: float) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(4000)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match="truncated or damaged") as caught:
        read_tensor_file(path)
    assert "\n" not in str(caught.value)


def test_truncated_pickle_says_so(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"a": np.ones(100, np.float32)})[:-50])
    with pytest.raises(ValueError, match="truncated or damaged"):
        read_tensor_file(path)


def test_zip_that_is_no_checkpoint_says_so(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="truncated or damaged"):
        read_tensor_file(path)


def test_torchscript_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.pth"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.ReLU()).save(str(path))  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="TorchScript program"):
        read_tensor_file(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [([torch.ones(1)], "holds a list"), ({"iteration": 3}, "no tensors in it; it has 'iteration'")],
)
def test_file_without_named_tensors_says_what_it_holds(
    tmp_path: Path, content: Any, message: str
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        read_tensor_file(path)
