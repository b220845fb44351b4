"""Whatever a training program wraps the network in, the same tensors come out, or a question."""

from __future__ import annotations

import argparse
import datetime
import pickle
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoints.inert import INERT_STAND_INS
from model.checkpoints.tensor_file import read_tensor_file
from model.checkpoints.wrappers import Choice, bare_names

NETWORK = {
    "backbone.bottom_up.stem.conv1.weight": torch.ones(2),
    "top_layer.bias": torch.zeros(3),
}


def _prefixed(prefix: str, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**{f"{prefix}{name}": t for name, t in NETWORK.items()}, **more}


def _read(tmp_path: Path, content: Any, member: str | None = None) -> dict[str, Any]:
    path = tmp_path / "mine.pth"
    torch.save(content, path)
    tensors = read_tensor_file(path, member=member).tensors
    return {name: tensor.tolist() for name, tensor in tensors.items()}


OTHER = {name: tensor + 1 for name, tensor in NETWORK.items()}
PLAIN = {name: tensor.tolist() for name, tensor in NETWORK.items()}


@pytest.mark.parametrize(
    "name",
    ["model", "state_dict", "model_state_dict", "model_ema", "ema_state", "teacher", "something"],
)
def test_member_with_the_tensors_is_looked_into(tmp_path: Path, name: str) -> None:
    optimiser = {"state": {0: {"momentum_buffer": torch.ones(4)}}, "param_groups": [{"lr": 0.1}]}
    content = {"epoch": torch.tensor(3), "optimizer": optimiser, name: NETWORK, "best": 0.5}
    assert _read(tmp_path, content) == PLAIN


def test_members_are_looked_through_outermost_first(tmp_path: Path) -> None:
    assert _read(tmp_path, {"teacher": {"model": {"state_dict": NETWORK}}}) == PLAIN
    assert _read(tmp_path, {"ema": {}, "teacher": None, "model": NETWORK}) == PLAIN


@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.module."],
)
def test_prefixes_of_wrappers_go(tmp_path: Path, prefix: str) -> None:
    assert _read(tmp_path, {"state_dict": _prefixed(prefix)}) == PLAIN
    assert _read(tmp_path, _prefixed(prefix)) == PLAIN


def test_compiled_parts_lose_their_prefix_too(tmp_path: Path) -> None:
    content = {
        "backbone._orig_mod.bottom_up.stem.conv1.weight": torch.ones(2),
        "top_layer._orig_mod.bias": torch.zeros(3),
    }
    assert _read(tmp_path, content) == PLAIN


def test_prefix_goes_though_a_tensor_beside_the_network_lacks_it(tmp_path: Path) -> None:
    content = _prefixed("module.", n_averaged=torch.tensor(7), **{"loss.weight": torch.ones(1)})
    assert _read(tmp_path, content) == PLAIN


def test_prefix_of_a_bare_backbone_goes_where_all_tensors_have_it() -> None:
    names = ["module.base_layer.0.weight", "module.fc.bias"]
    assert list(bare_names(names, Choice()).values()) == ["base_layer.0.weight", "fc.bias"]
    assert bare_names(["module.a", "b"], Choice()) == {"module.a": "module.a", "b": "b"}


@pytest.mark.parametrize(
    ("content", "member"),
    [
        ({"model": NETWORK, "model_ema": OTHER}, "model"),
        ({"a": NETWORK, "b": OTHER}, "a"),
        (
            {"model": {"student": OTHER, "teacher": NETWORK}},
            "teacher",
        ),
        (
            {
                "state_dict": {
                    **_prefixed("model."),
                    **{f"ema.{name}": t for name, t in OTHER.items()},
                }
            },
            "model",
        ),
    ],
    ids=["members", "unknown members", "nested", "prefixes"],
)
def test_several_networks_are_asked_about(tmp_path: Path, content: Any, member: str) -> None:
    with pytest.raises(ValueError, match=rf"mine\.pth .*holds 2 networks: .*'{member}'.*--member"):
        _read(tmp_path, content)
    assert _read(tmp_path, content, member) == PLAIN
    with pytest.raises(ValueError, match="holds 2 networks, none of them 'other'"):
        _read(tmp_path, content, "other")


def test_member_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds one network, and none that is called 'ema_state'"):
        _read(tmp_path, {"model": NETWORK}, "ema_state")


def test_prefixes_that_make_two_names_one_are_refused(tmp_path: Path) -> None:
    name = "backbone.bottom_up.stem.conv1.weight"
    content = {name: torch.ones(1), f"_orig_mod.{name}": torch.ones(1)}
    with pytest.raises(ValueError, match="two tensors are both 'backbone"):
        _read(tmp_path, content)


EXTRAS: dict[str, Any] = {
    "args": argparse.Namespace(lr=0.1, classes=["a"], nested=argparse.Namespace(a=1)),
    "losses": defaultdict(list, {"mask": [0.5, 0.25]}),
    "nested": defaultdict(dict, {"a": defaultdict(int, {"b": 1})}),
    "folder": Path("/somewhere/else"),
    "when": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
    "recent": deque([1.0, 2.0], maxlen=5),
    "seen": Counter("aab"),
}


@pytest.mark.parametrize("name", EXTRAS)
@pytest.mark.parametrize("zipped", [True, False])
def test_harmless_extras_do_not_hide_the_network(tmp_path: Path, name: str, zipped: bool) -> None:
    path = tmp_path / "mine.pth"
    content = {"model": NETWORK, name: EXTRAS[name]}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert read_tensor_file(path).tensors.keys() == NETWORK.keys()


@pytest.mark.parametrize("protocol", range(2, 6))
def test_harmless_extras_in_a_plain_pickle_do_not_either(tmp_path: Path, protocol: int) -> None:
    arrays = {name: tensor.numpy() for name, tensor in NETWORK.items()}
    path = tmp_path / "mine.pkl"
    path.write_bytes(pickle.dumps({"model": arrays, **EXTRAS}, protocol=protocol))
    assert read_tensor_file(path).tensors.keys() == NETWORK.keys()


def test_network_in_a_dictionary_of_another_class_is_found(tmp_path: Path) -> None:
    content = defaultdict(OrderedDict, {"model": OrderedDict(NETWORK)})
    assert _read(tmp_path, content) == PLAIN


def test_stand_ins_run_nothing_and_keep_nothing(tmp_path: Path) -> None:
    for stand_in in INERT_STAND_INS.values():
        made = stand_in("touch", str(tmp_path / "ran"))
        assert type(made).__module__ in ("builtins", "collections", "model.checkpoints.inert")
        assert not made if isinstance(made, list | dict) else not hasattr(made, "__dict__")
    attack = b"cargparse\nNamespace\n(N(dVx\nI1\nstb."  # BUILD on the class itself
    path = tmp_path / "mine.pkl"
    path.write_bytes(attack)
    with pytest.raises(ValueError, match="truncated or damaged"):
        read_tensor_file(path)
    assert not hasattr(INERT_STAND_INS["argparse.Namespace"], "x")
