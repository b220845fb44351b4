from __future__ import annotations

from pathlib import Path
from typing import Any

import goldens
import pytest
import tiny

from model.adelaidet.config_files import read_config, with_overrides
from model.adelaidet.mapping import options_of, to_model_config
from model.adelaidet.options import defaults
from model.config import ModelConfig
from model.presets import PRESETS, preset


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(tmp_path: Path, options: dict[str, Any], *overrides: str) -> ModelConfig:
    return read_config(write(tmp_path / "mine.yaml", goldens.as_yaml(options)), overrides)


@pytest.mark.parametrize("name", goldens.configurations())
def test_the_original_s_complete_configuration_is_the_preset(tmp_path: Path, name: str) -> None:
    # The switch of another network came into AdelaiDet's dumps later.
    options = {**goldens.read(f"{name}/manifest")["cfg"], "MODEL.FCPOSE_ON": False}
    path = write(tmp_path / f"{name}.yaml", goldens.as_yaml(options))
    assert read_config(path) == preset(name)


@pytest.mark.parametrize("name", PRESETS)
def test_options_of_a_configuration_lead_back_to_it(name: str) -> None:
    assert to_model_config(options_of(preset(name)), name) == preset(name)


def test_defaults_are_those_of_the_base_configuration() -> None:
    assert to_model_config(defaults(), "R_50_1x") == preset("R_50_1x")


def test_file_that_says_nothing_is_the_base_configuration(tmp_path: Path) -> None:
    assert read(tmp_path, {"SOLVER.MAX_ITER": 270000}).name == "mine"
    assert read_config(write(tmp_path / "R_50_3x.yaml", "SEED: 1\n")) == preset("R_50_3x")


def test_dump_of_a_training_is_called_as_its_folder(tmp_path: Path) -> None:
    assert read_config(write(tmp_path / "street" / "config.yaml", "SEED: 1\n")).name == "street"


def test_bases_are_followed_and_overridden(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "MODEL: {FCOS: {NMS_TH: 0.5, NUM_CLASSES: 3}}\n")
    write(tmp_path / "deep" / "middle.yaml", "_BASE_: ../base.yaml\nMODEL: {FCOS: {NMS_TH: 0.4}}\n")
    path = write(tmp_path / "leaf.yaml", "_BASE_: deep/middle.yaml\nINPUT: {MIN_SIZE_TEST: 600}\n")
    config = read_config(path, ["INPUT.MIN_SIZE_TEST", "512"])
    assert config.fcos.num_classes == 3
    assert config.detection.nms_threshold == 0.4
    assert config.input.short_side == 512


def test_released_base_is_built_in_where_the_file_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "R_50_1x.yaml", '_BASE_: "Base-BlendMask.yaml"\n')
    assert read_config(path) == preset("R_50_1x")
    write(tmp_path / "Base-BlendMask.yaml", "MODEL: {FCOS: {NMS_TH: 0.3}}\n")
    assert read_config(path).detection.nms_threshold == 0.3


def test_other_missing_base_asks_for_its_copy(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", "_BASE_: Base-550.yaml\n")
    with pytest.raises(ValueError, match=r"there is no file .*Base-550\.yaml; copy it there"):
        read_config(path)


def test_bases_in_a_circle_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "_BASE_: b.yaml\n")
    write(tmp_path / "b.yaml", "_BASE_: a.yaml\n")
    with pytest.raises(ValueError, match=r"circle: a\.yaml -> b\.yaml -> a\.yaml"):
        read_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "holds a list; options would be right"),
        ("a: [", "is no plain YAML"),
        ("a: !!python/object/apply:os.mkdir [x]", "is no plain YAML"),
    ],
)
def test_files_that_are_no_options_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_config(write(tmp_path / "mine.yaml", text))
    assert "\n" not in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*none\.yaml"):
        read_config(tmp_path / "none.yaml")


def test_texts_that_spell_python_are_read_as_detectron2_reads_them(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        {
            "INPUT.MIN_SIZE_TRAIN": "(640, 672)",
            "MODEL.PIXEL_MEAN": "(1, 2, 3)",
            "MODEL.FCOS.NMS_TH": "0.5",
            "MODEL.RESNETS.STRIDE_IN_1X1": "False",
        },
    )
    assert config.input.pixel_mean == (1.0, 2.0, 3.0)
    assert config.detection.nms_threshold == 0.5
    assert config.backbone.stride_in_1x1 is False


@pytest.mark.parametrize(
    ("key", "value", "member", "expected"),
    [
        ("INPUT.MIN_SIZE_TEST", 0, "input.short_side", 0),
        ("INPUT.FORMAT", "RGB", "input.channels", "rgb"),
        ("MODEL.PIXEL_STD", [58.4, 57.1, 57.4], "input.pixel_std", (58.4, 57.1, 57.4)),
        ("MODEL.RESNETS.DEPTH", 101, "backbone.depth", 101),
        ("MODEL.RESNETS.NORM", "BN", "backbone.norm", "bn"),
        ("MODEL.FPN.FUSE_TYPE", "avg", "fpn.fuse", "avg"),
        ("MODEL.FCOS.NORM", "NaiveGN", "fcos.norm", "gn"),
        ("MODEL.FCOS.NORM", "none", "fcos.norm", "none"),
        ("MODEL.FCOS.USE_SCALE", True, "fcos.use_scale", True),
        ("MODEL.FCOS.INFERENCE_TH_TEST", 0.3, "detection.candidate_threshold", 0.3),
        ("MODEL.FCOS.THRESH_WITH_CTR", False, "detection.threshold_with_centerness", False),
        ("MODEL.FCOS.NMS_TH", -1, "detection.nms_threshold", 0.0),
        ("MODEL.FCOS.PRE_NMS_TOPK_TEST", 0, "detection.max_candidates_per_level", 2**31 - 1),
        ("MODEL.FCOS.POST_NMS_TOPK_TEST", -1, "detection.max_instances", None),
        ("MODEL.BLENDMASK.TOP_INTERP", "nearest", "blender.attention_interpolation", "nearest"),
        ("MODEL.BLENDMASK.POOLER_TYPE", "ROIAlign", "blender.aligned", False),
        ("MODEL.BLENDMASK.POOLER_SAMPLING_RATIO", 2, "blender.sampling_ratio", 2),
        ("MODEL.BLENDMASK.BOTTOM_RESOLUTION", 28, "blender.mask_size", 28),
        ("MODEL.BASIS_MODULE.LOSS_ON", False, "basis.auxiliary_classes", None),
        ("MODEL.BASIS_MODULE.NORM", "FrozenBN", "basis.norm", "frozen_bn"),
    ],
)
def test_option_becomes_its_member(
    tmp_path: Path, key: str, value: Any, member: str, expected: Any
) -> None:
    config = read(tmp_path, {key: value})
    part, _, name = member.partition(".")
    assert getattr(getattr(config, part), name) == expected
    assert getattr(getattr(preset("R_50_1x"), part), name) != expected or "GN" in str(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"MODEL.META_ARCHITECTURE": "CondInst"}, "META_ARCHITECTURE is 'CondInst'; only 'BlendM"),
        ({"MODEL.RESNETS.NUM_GROUPS": 32}, "NUM_GROUPS is 32; only 1 is supported"),
        ({"MODEL.RESNETS.WIDTH_PER_GROUP": 8}, "WIDTH_PER_GROUP is 8; only 64"),
        ({"MODEL.RESNETS.RES5_DILATION": 2}, "RES5_DILATION is 2; only 1"),
        ({"MODEL.RESNETS.DEPTH": 152}, "DEPTH is 152; only 50 or 101"),
        ({"MODEL.RESNETS.NORM": "GN"}, "NORM is 'GN'; only 'FrozenBN' or"),
        (
            {"MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, False, True, True]},
            r"DEFORM_ON_PER_STAGE is \[False, False, True, True\]; only",
        ),
        (
            {"MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, True, True, True]},
            "DEFORM_MODULATED is False; only True",
        ),
        ({"MODEL.FPN.NORM": "GN"}, "FPN.NORM is 'GN'; only ''"),
        ({"MODEL.FPN.OUT_CHANNELS": 100}, "OUT_CHANNELS is 100; it must be a multiple of 32"),
        ({"MODEL.FCOS.USE_DEFORMABLE": True}, "USE_DEFORMABLE is True; only False"),
        ({"MODEL.FCOS.BOX_QUALITY": "iou"}, "BOX_QUALITY is 'iou'; only 'ctrness'"),
        ({"MODEL.FCOS.YIELD_PROPOSAL": True}, "YIELD_PROPOSAL is True; only False"),
        ({"MODEL.FCOS.TOP_LEVELS": 3}, "TOP_LEVELS is 3; only 0 or 1 or 2"),
        ({"MODEL.FCOS.TOP_LEVELS": 1}, r"FCOS.IN_FEATURES is .*'p7'\]; with .* only \['p3'"),
        ({"MODEL.FCOS.FPN_STRIDES": [4, 8, 16, 32, 64]}, r"FPN_STRIDES is \[4, .*only \[8, 16"),
        ({"MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"]}, "FPN.IN_FEATURES is .*False"),
        ({"MODEL.RESNETS.OUT_FEATURES": ["res4", "res5"]}, "OUT_FEATURES .* needs res3 too"),
        ({"MODEL.PANOPTIC_FPN.COMBINE.ENABLED": True}, "FPN.IN_FEATURES is .*ENABLED True only"),
        ({"MODEL.BACKBONE.NAME": "build_vovnet"}, "NAME is 'build_vovnet'; only 'build_fcos_res"),
        ({"MODEL.BACKBONE.ANTI_ALIAS": True}, "ANTI_ALIAS is True; only False"),
        ({"MODEL.FCPOSE_ON": True}, "FCPOSE_ON is True; only False"),
        ({"MODEL.MOBILENET": True}, "MOBILENET is True; only False"),
        ({"MODEL.BOXINST.ENABLED": True}, "BOXINST.ENABLED is True; only False"),
        ({"MODEL.BASIS_MODULE.COMMON_STRIDE": 4}, "COMMON_STRIDE is 4; only 8"),
        ({"MODEL.BLENDMASK.POOLER_SCALES": [0.5]}, r"POOLER_SCALES is \[0.5\]; only \[0.25\]"),
        ({"INPUT.FORMAT": "L"}, "FORMAT is 'L'; only 'BGR' or 'RGB'"),
        ({"MODEL.PIXEL_MEAN": [1.0]}, r"PIXEL_MEAN is \[1.0\]; it must be three numbers"),
        ({"MODEL.FCOS.NUM_CLASSES": 0}, "num_classes is 0; it must be 1 or more"),
        ({"MODEL.FCOS.NUM_CLASSES": 2.5}, "NUM_CLASSES is 2.5; it must be a whole number"),
        ({"MODEL.FCOS.NUM_CLASSES": True}, "NUM_CLASSES is True; it must be a whole number"),
        ({"MODEL.FCOS.NMS_TH": "high"}, "NMS_TH is 'high'; it must be a number"),
        ({"MODEL.FCOS.USE_SCALE": 1}, "USE_SCALE is 1; it must be True or False"),
        ({"MODEL.FCOS.NMS_THR": 0.5}, "option MODEL.FCOS.NMS_THR; did you mean MODEL.FCOS.NMS_TH"),
        ({"MODEL.FCOS.NMS_TH.X": 0.5}, "unknown option MODEL.FCOS.NMS_TH.X; did you mean"),
        ({"MODELS.WEIGHTS": "x"}, "unknown option MODELS.WEIGHTS; did you mean MODEL.WEIGHTS"),
    ],
)
def test_options_that_cannot_be_followed_are_refused_by_name(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, options)
    assert "mine.yaml: " in str(caught.value)


def test_options_of_parts_that_are_not_there_do_not_matter(tmp_path: Path) -> None:
    read(tmp_path, {"MODEL.SEM_SEG_HEAD.COMMON_STRIDE": 8, "MODEL.DLA.CONV_BODY": "DLA60"})
    dla = goldens.read("DLA_34_syncbn_4x/manifest")["cfg"]
    assert read(tmp_path, {**dla, "MODEL.RESNETS.DEPTH": 152}).backbone.kind == "dla34"
    with pytest.raises(ValueError, match="CONV_BODY is 'DLA60'; only 'DLA34'"):
        read(tmp_path, {**dla, "MODEL.DLA.CONV_BODY": "DLA60"})


def test_unread_options_are_logged_once_by_section(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"SOLVER.BASE_LR": 0.1, "SOLVER.STEPS": [1], "MODEL.FCOS.POS_RADIUS": 2.0, "SEED": 3}
    with caplog.at_level("INFO"):
        read(tmp_path, options)
    assert caplog.messages == [
        "options that prediction does not read: MODEL.FCOS.POS_RADIUS, SEED, SOLVER.*"
    ]


def test_options_that_training_reads_are_not_called_unread(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"SOLVER.BASE_LR": 0.1, "MODEL.FCOS.POS_RADIUS": 2.0, "OUTPUT_DIR": "x"}
    path = write(tmp_path / "mine.yaml", goldens.as_yaml(options))
    with caplog.at_level("INFO"):
        read_config(path, for_training=True)
    assert caplog.messages == ["options that training does not read: OUTPUT_DIR"]


def test_tuples_of_older_dumps_are_read(tmp_path: Path) -> None:
    text = "MODEL: {PIXEL_MEAN: !!python/tuple [1.0, 2.0, 3.0]}\n"
    assert read_config(write(tmp_path / "mine.yaml", text)).input.pixel_mean == (1.0, 2.0, 3.0)


def test_override_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'MODEL\.FCOS\.NMS_TH' has no value after it"):
        with_overrides(preset("R_50_1x"), ["MODEL.FCOS.NMS_TH"])


def test_overrides_change_a_preset_and_nothing_else() -> None:
    changed = with_overrides(preset("Panoptic/R_101_dcni3_5x"), ["INPUT.MAX_SIZE_TEST", "1000"])
    assert changed.input.max_side == 1000
    restored = with_overrides(changed, ["INPUT.MAX_SIZE_TEST", "1333"])
    assert restored == preset("Panoptic/R_101_dcni3_5x")


def test_backbone_that_adelaidet_lacks_takes_no_overrides() -> None:
    config = tiny.tiny_config()
    assert with_overrides(config, []) == config
    with pytest.raises(ValueError, match="cannot describe a mobilenet_v2 backbone"):
        with_overrides(config, ["MODEL.FCOS.NMS_TH", "0.5"])
