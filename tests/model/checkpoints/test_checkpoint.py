from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from model.categories import Categories
from model.checkpoints import checkpoint
from model.checkpoints.checkpoint import Checkpoint
from model.checkpoints.fit import expected_shapes
from model.config import ModelConfig
from model.files import sha256_of
from model.network.blendmask import BlendMask
from model.presets import preset

TINY = tiny.tiny_config(semantic=True)


def tiny_checkpoint(config: ModelConfig = TINY) -> Checkpoint:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tensors = BlendMask(config).state_dict()
    stuff = tiny.CATEGORIES.stuff if config.is_panoptic else ()
    return Checkpoint(
        config=config,
        categories=replace(tiny.CATEGORIES, stuff=stuff),
        tensors=dict(tensors),
        sha256="",
        provenance={"source": "a test"},
    )


def original_names(tensors: dict[str, Any]) -> dict[str, Any]:
    """As AdelaiDet would call them."""
    ours = (("fcos_head.", "proposal_generator.fcos_head."), ("semantic_head.", "panoptic_module."))
    renamed = {}
    for name, tensor in tensors.items():
        for prefix, original in ours:
            if name.startswith(prefix):
                name = original + name.removeprefix(prefix)
        renamed[name] = tensor
    return renamed


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    assert one.config == other.config
    assert one.categories == other.categories
    assert one.provenance == other.provenance
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert tensor.dtype == other.tensors[name].dtype, name
        assert torch.equal(tensor, other.tensors[name]), name


def test_saved_checkpoint_comes_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    saved = tiny_checkpoint()
    checkpoint.save(path, saved)
    loaded = checkpoint.load(path)
    assert_same(loaded, saved)
    assert loaded.sha256 == sha256_of(path)
    again = tmp_path / "again.safetensors"
    checkpoint.save(again, loaded)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_in_the_file_and_becomes_float32_in_the_network(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    path = tmp_path / "tiny.safetensors"
    saved = tiny_checkpoint()
    halved = {n: t.to(dtype) if t.is_floating_point() else t for n, t in saved.tensors.items()}
    checkpoint.save(path, replace(saved, tensors=halved))
    loaded = checkpoint.load(path)
    assert loaded.tensors["top_layer.weight"].dtype == dtype
    model = checkpoint.build_model(loaded)
    assert model.top_layer.weight.dtype == torch.float32
    assert torch.equal(model.top_layer.weight, halved["top_layer.weight"].float())


def test_built_network_predicts_and_does_not_train(tmp_path: Path) -> None:
    model = checkpoint.build_model(tiny_checkpoint())
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state, "optimizer": {"state": {}}, "iteration": 89999},
        lambda state: state,
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"model": {name: tensor.numpy() for name, tensor in state.items()}},
        lambda state: {n.replace("ctrness", "centerness"): t for n, t in state.items()},
    ],
    ids=["training", "bare", "distributed", "numpy", "centerness"],
)
def test_original_files_of_every_shape_give_the_same_network(
    tmp_path: Path, wrap: Callable[[dict[str, Any]], Any]
) -> None:
    path = tmp_path / "model_final.pth"
    wanted = tiny_checkpoint()
    torch.save(wrap(original_names(wanted.tensors)), path)
    loaded = checkpoint.load(path, config=TINY, categories=tiny.CATEGORIES)
    assert_same(replace(loaded, provenance=wanted.provenance), wanted)
    assert loaded.provenance["source"] == "model_final.pth"
    assert loaded.provenance["source_sha256"] == loaded.sha256 == sha256_of(path)
    assert "non-commercial" in loaded.provenance["licence"]


def test_safetensors_of_another_program_are_read_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "converted.safetensors"
    wanted = tiny_checkpoint()
    save_file(original_names(wanted.tensors), path)
    loaded = checkpoint.load(path, config=TINY, categories=tiny.CATEGORIES)
    assert_same(replace(loaded, provenance=wanted.provenance), wanted)


@pytest.fixture(scope="module")
def released_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tensors of a released network, all zero."""
    path = tmp_path_factory.mktemp("released") / "550_R_50_3x.pth"
    shapes = expected_shapes(preset("550_R_50_3x"))
    tensors = {name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}
    torch.save({"model": original_names(tensors)}, path)
    return path


def test_configuration_and_categories_follow_from_the_tensors(released_file: Path) -> None:
    loaded = checkpoint.load(released_file)
    assert loaded.config == preset("550_R_50_3x")
    assert loaded.categories.name == "coco"
    assert loaded.provenance["configuration"] == "550_R_50_3x, inferred from the tensors"


def test_wrong_configuration_is_refused_before_anything_is_built(released_file: Path) -> None:
    with pytest.raises(ValueError, match=r"550_R_50_3x\.pth: the weights do not fit .* R_50_3x: "):
        checkpoint.load(released_file, config=preset("R_50_3x"))


def test_bare_backbone_is_refused_as_such(tmp_path: Path) -> None:
    path = tmp_path / "dla34.pth"
    torch.save({"base_layer.0.weight": torch.ones(1), "fc.weight": torch.ones(1)}, path)
    with pytest.raises(ValueError, match="is an ImageNet backbone only"):
        checkpoint.load(path)


def test_training_head_may_be_absent(tmp_path: Path) -> None:
    path = tmp_path / "tiny.pth"
    tensors = tiny_checkpoint().tensors
    torch.save({n: t for n, t in tensors.items() if ".seg_head." not in n}, path)
    loaded = checkpoint.load(path, config=TINY, categories=tiny.CATEGORIES)
    model = checkpoint.build_model(loaded)
    state = model.state_dict()
    assert any(".seg_head." in name for name in state)
    assert all(tensor.isfinite().all() for tensor in state.values())
    checkpoint.save(tmp_path / "tiny.safetensors", loaded)
    assert_same(checkpoint.load(tmp_path / "tiny.safetensors"), loaded)


def test_training_head_that_the_configuration_lacks_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tiny.pth"
    torch.save(tiny_checkpoint().tensors, path)
    config = replace(TINY, basis=replace(TINY.basis, auxiliary_classes=None))
    with caplog.at_level("INFO"):
        loaded = checkpoint.load(path, config=config, categories=tiny.CATEGORIES)
    assert loaded.tensors.keys() == expected_shapes(config).keys()
    assert "left out 14 tensors that only training reads" in caplog.text


def test_given_categories_replace_the_file_s_own(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny_checkpoint())
    named = Categories.numbered(3, 2)
    assert checkpoint.load(path, categories=named).categories == named


def test_categories_of_another_number_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny_checkpoint())
    with pytest.raises(ValueError, match=r"are 4 things and 0 kinds of stuff; .* tells 3 and 2"):
        checkpoint.load(path, categories=Categories.numbered(4))


def test_unknown_numbers_of_classes_get_numbered_categories(tmp_path: Path) -> None:
    path = tmp_path / "tiny.pth"
    torch.save(tiny_checkpoint().tensors, path)
    categories = checkpoint.load(path, config=TINY).categories
    assert [c.name for c in categories.things] == ["class 1", "class 2", "class 3"]
    assert len(categories.stuff) == 2


def _with_header(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = json.loads(file.metadata()["blendmask"])
    save_file(tensors, path, metadata={"blendmask": json.dumps(change(header))})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: {**header, "format_version": 2}, "is of format 2; .* reads up to 1"),
        (lambda header: {"format_version": 1}, "has a damaged header .*categories"),
        (lambda header: [], "has a damaged header"),
        (
            lambda header: {**header, "config": {**header["config"], "fcoss": {}}},
            "unknown configuration member 'fcoss'; did you mean 'fcos'",
        ),
    ],
)
def test_headers_that_cannot_be_understood_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny_checkpoint())
    _with_header(path, change)
    with pytest.raises(ValueError, match=message):
        checkpoint.load(path)


def test_truncated_safetensors_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny_checkpoint())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="truncated or damaged"):
        checkpoint.load(path)


def test_tensors_of_another_network_are_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    with pytest.raises(ValueError, match="do not fit the configuration"):
        checkpoint.save(path, replace(tiny_checkpoint(), config=tiny.tiny_config()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path, value: float) -> None:
    path = tmp_path / "tiny.pth"
    spoilt = tiny_checkpoint()
    spoilt.tensors["top_layer.bias"][3:5] = value
    torch.save(spoilt.tensors, path)
    complaint = r"2 of \d+ values of the tensor top_layer\.bias are NaN or infinite"
    with pytest.raises(ValueError, match=rf"tiny\.pth: {complaint}"):
        checkpoint.load(path, config=TINY)
    with pytest.raises(ValueError, match=complaint):
        checkpoint.save(tmp_path / "tiny.safetensors", spoilt)
    assert not (tmp_path / "tiny.safetensors").exists()


def test_failed_save_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny_checkpoint())
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(ValueError, match="cannot be written: No space left on device"):
        checkpoint.save(path, tiny_checkpoint())
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.safetensors"]
    assert path.read_bytes() == before


def test_weights_do_not_take_the_place_of_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="cannot be written: weights need a file of their own"):
        checkpoint.save(path, tiny_checkpoint())
    assert path.is_fifo()


def test_saving_into_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        checkpoint.save(tmp_path / "none" / "tiny.safetensors", tiny_checkpoint())


def test_saved_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    path, other = tmp_path / "tiny.safetensors", tmp_path / "other"
    checkpoint.save(path, tiny_checkpoint())
    other.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_loaded_tensors_are_contiguous_and_their_own(tmp_path: Path) -> None:
    path = tmp_path / "tiny.pth"
    tensors = tiny_checkpoint().tensors
    sharing = torch.zeros(2, *tensors["top_layer.bias"].shape)
    state = {**tensors, "top_layer.bias": sharing[1]}
    torch.save(state, path)
    loaded = checkpoint.load(path, config=TINY)
    assert np.shares_memory(loaded.tensors["top_layer.bias"].numpy(), sharing.numpy()) is False
    assert all(tensor.is_contiguous() for tensor in loaded.tensors.values())
    assert loaded.tensors["top_layer.bias"].untyped_storage().nbytes() == 4 * sharing[1].numel()
