"""Small files that would hang the reader or take the machine's memory are refused."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from model.checkpoints.fit import check_fit
from model.checkpoints.tensor_file import read_tensor_file
from model.network.blendmask import BlendMask

_LIMIT_BYTES = 8 << 30


def _saved(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "mine.pth"
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "content",
    [
        {"a": torch.zeros(1).expand(10**11)},
        dict.fromkeys(map(str, range(5000)), torch.zeros(10**6)),
    ],
    ids=["one number spread", "one tensor under many names"],
)
def test_tensors_far_larger_than_their_file_are_refused(tmp_path: Path, content: Any) -> None:
    path = _saved(tmp_path, content)
    with pytest.raises(ValueError, match=r"they would take .* bytes and the file has"):
        read_tensor_file(path)


def test_views_of_one_storage_are_read(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    path = _saved(tmp_path, {"a": whole[:4].view(2, 2), "b": whole[2:], "c": whole[:1].expand(3)})
    tensors = read_tensor_file(path).tensors
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "a": [[0, 1], [2, 3]],
        "b": [2, 3, 4, 5],
        "c": [0, 0, 0],
    }


def test_members_that_share_members_are_searched_once_each(tmp_path: Path) -> None:
    content: Any = {"epoch": 1}
    for _ in range(4):  # 400 to the fourth ways lead to the innermost one.
        content = {str(name): content for name in range(400)}
    with pytest.raises(ValueError, match="it has no tensors in it"):
        read_tensor_file(_saved(tmp_path, content))


def test_member_that_holds_itself_does_not_hang(tmp_path: Path) -> None:
    content: dict[str, Any] = {"a": torch.ones(2)}
    content["model"] = content
    tensors = read_tensor_file(_saved(tmp_path, content)).tensors
    assert list(tensors) == ["a"]


def test_archive_with_compressed_files_is_refused_unread(tmp_path: Path) -> None:
    stored, packed = _saved(tmp_path, {"a": torch.zeros(1000)}), tmp_path / "packed.pth"
    with (
        zipfile.ZipFile(stored) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(ValueError, match=r"compressed files in it, '.*data\.pkl' the first"):
        read_tensor_file(packed)


def test_high_memo_index_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "mine.pkl"
    path.write_bytes(b"\x80\x02}r" + struct.pack("<I", 2**31 - 1) + b".")
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from model.checkpoints.unpickle import read_pickle\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({_LIMIT_BYTES}, {_LIMIT_BYTES}))\n"
        "print(read_pickle(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "{}\n"), done.stderr


def test_pipe_is_refused_before_it_is_waited_on(tmp_path: Path) -> None:
    path = tmp_path / "pipe.pth"
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"pipe\.pth is a pipe"):
        read_tensor_file(path)


@pytest.mark.filterwarnings("ignore")  # torch deprecates some of these kinds.
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("quantised", "the tensor a is quantised"),
        ("sparse", "the tensor a is sparse or nested"),
        ("meta", "the tensor a has no numbers"),
        ("nested", "the tensor a is sparse or nested"),
    ],
)
def test_tensors_of_another_make_are_refused_by_name(tmp_path: Path, kind: str, words: str) -> None:
    tensor = {
        "quantised": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "sparse": lambda: torch.ones(2).to_sparse(),
        "meta": lambda: torch.ones(2, device="meta"),
        "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    }[kind]()
    with pytest.raises(ValueError, match=words):
        read_tensor_file(_saved(tmp_path, {"a": tensor}))


def test_eight_bit_floats_are_refused_by_name() -> None:
    config = tiny.tiny_config()
    tensors = dict(BlendMask(config).state_dict())
    tensors["fcos_head.cls_logits.weight"] = tensors["fcos_head.cls_logits.weight"].to(
        torch.float8_e4m3fn
    )
    with pytest.raises(ValueError, match=r"cls_logits\.weight is of type float8_e4m3fn; float16, "):
        check_fit(tensors, config)


def test_name_that_would_steer_a_terminal_is_refused_escaped(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a tensor is called 'a\\x1b\[2J'"):
        read_tensor_file(_saved(tmp_path, {"a\x1b[2J": torch.ones(1)}))
