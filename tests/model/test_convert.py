from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch

from model.checkpoints import checkpoint
from model.checkpoints.checkpoint import Checkpoint
from model.convert import halved, main
from model.network.blendmask import BlendMask
from model.presets import PRESETS, preset


def tiny_checkpoint() -> Checkpoint:
    config = tiny.tiny_config(semantic=True)
    return Checkpoint(
        config=config,
        categories=tiny.CATEGORIES,
        tensors=dict(BlendMask(config).state_dict()),
        sha256="",
        provenance={"source": "a test", "licence": "ours"},
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny_checkpoint())
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AdelaiDet's file of a small released network with three classes, all zero."""
    path = tmp_path_factory.mktemp("original") / "model_final.pth"
    config = preset("RT_R_50_4x_syncbn_shtw")
    with torch.device("meta"):
        state = BlendMask(config).state_dict()
    tensors = {
        name.replace("fcos_head.", "proposal_generator.fcos_head."): torch.zeros_like(
            tensor, device="cpu", dtype=torch.float16
        )
        for name, tensor in state.items()
    }
    for name in ("weight", "bias"):
        key = f"proposal_generator.fcos_head.cls_logits.{name}"
        tensors[key] = tensors[key][:3].clone()
    torch.save({"model": tensors}, path)
    return path


def test_original_file_becomes_ours_and_says_what_it_is(
    original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "mine.safetensors"
    assert main([str(original), str(output)]) == 0
    printed = capsys.readouterr().out
    assert "RT_R_50_4x_syncbn_shtw" in printed
    assert "3 things, 0 kinds of stuff (numbered)" in printed
    assert "non-commercial" in printed
    made, read = checkpoint.load(output), checkpoint.load(original)
    assert made.config == read.config
    assert made.config.fcos.num_classes == 3
    assert made.provenance["source_sha256"] == read.sha256
    assert made.sha256 in printed
    assert "the numbers of classes too" in made.provenance["configuration"]


def test_overrides_go_into_the_written_configuration(original: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    pairs = ["--override", "MODEL.FCOS.NMS_TH", "0.5", "--override", "INPUT.MIN_SIZE_TEST", "320"]
    assert main([str(original), str(output), *pairs]) == 0
    config = checkpoint.load(output).config
    assert (config.detection.nms_threshold, config.input.short_side) == (0.5, 320)


def test_half_rounds_kernels_and_keeps_the_rest() -> None:
    full = tiny_checkpoint()
    half = halved(full)
    assert half.tensors["top_layer.weight"].dtype == torch.float16
    assert half.tensors["top_layer.bias"].dtype == torch.float32
    for name, tensor in half.tensors.items():
        assert torch.equal(tensor, full.tensors[name].to(tensor.dtype))
    assert full.tensors["top_layer.weight"].dtype == torch.float32
    assert half.provenance["precision"] == "kernels rounded to float16"


def test_half_refuses_values_that_would_overflow() -> None:
    made = tiny_checkpoint()
    made.tensors["top_layer.weight"] = made.tensors["top_layer.weight"].clone()
    made.tensors["top_layer.weight"][0, 0, 0, 0] = 1e6
    with pytest.raises(ValueError, match=r"top_layer\.weight has values too large for float16"):
        halved(made)


def test_half_file_is_smaller_and_reads_back(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "half.safetensors"
    assert main([str(source), str(output), "--half"]) == 0
    assert output.stat().st_size < 0.6 * source.stat().st_size
    assert checkpoint.load(output).tensors["top_layer.weight"].dtype == torch.float16


def test_existing_output_is_kept_without_force(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "there.safetensors"
    output.write_bytes(b"precious")
    assert main([str(source), str(output)]) == 2
    assert output.read_bytes() == b"precious"
    assert "--force replaces it" in capsys.readouterr().err
    assert main([str(source), str(output), "--force"]) == 0
    assert checkpoint.load(output).config.name == "tiny"


def test_source_is_never_the_output(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = source.read_bytes()
    assert main([str(source), str(source), "--force"]) == 2
    assert source.read_bytes() == before
    assert "is the source itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.pth"], "there is no file none.pth"),
        (["Panoptic/R_50_3x"], "no weights are published"),
        (["tiny.safetensors", "--config", "R_50_1x"], "do not fit the configuration R_50_1x"),
        (["tiny.safetensors", "--categories", "none.json"], "none.json"),
    ],
)
def test_error_is_one_line_and_code_2(
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(source.parent)
    assert main([arguments[0], "out.safetensors", *arguments[1:]]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert not Path("out.safetensors").exists()


def test_output_in_no_folder_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["none.pth", str(tmp_path / "none" / "out.safetensors")]) == 2
    assert "in a folder that exists" in capsys.readouterr().err


def test_network_is_chosen_where_a_file_holds_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, path, output = tiny_checkpoint(), tmp_path / "mine.pth", tmp_path / "out.safetensors"
    latest = {name: torch.zeros_like(tensor) for name, tensor in own.tensors.items()}
    torch.save({"model": latest, "model_ema": own.tensors}, path)
    monkeypatch.setitem(PRESETS, "tiny", own.config)
    given = [str(path), str(output), "--config", "tiny"]
    assert main(given) == 2
    assert "--member model_ema takes that one" in capsys.readouterr().err
    assert main([*given, "--member", "model_ema"]) == 0
    tensors = checkpoint.load(output).tensors
    assert torch.equal(tensors["top_layer.weight"], own.tensors["top_layer.weight"])
