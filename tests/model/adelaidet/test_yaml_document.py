"""YAML that would lose an option, run something or take for ever is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.adelaidet.config_files import read_config, read_settings

_LAUGHS = "\n".join(
    [
        "a0: &a0 {x: 1}",
        *(
            f"a{i}: &a{i} {{{', '.join(f'k{j}: *a{i - 1}' for j in range(9))}}}"
            for i in range(1, 12)
        ),
    ]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SOLVER: {MAX_ITER: 3}\nSOLVER: {BASE_LR: 0.1}\n", "SOLVER stands there twice"),
        ("SOLVER:\n  MAX_ITER: 3\n  MAX_ITER: 4\n", "MAX_ITER stands there twice"),
        (_LAUGHS, "more than 100,000 values once its aliases are followed"),
        ("SOLVER: &a\n  X: *a\n", "more than 100,000 values"),
        ("SOLVER: {STEPS: " + "[" * 3000 + "]" * 3000 + "}", "nested too deeply"),
        ("_BASE_:\nSOLVER: {MAX_ITER: 3}\n", "_BASE_ is None; the name of a file"),
        ("_BASE_: 5\n", "_BASE_ is 5; the name of a file"),
        ("SOLVER: !!python/object/apply:os.getcwd []\n", "is no plain YAML"),
    ],
    ids=["section twice", "twice", "laughs", "circle", "deep", "no base", "number", "object"],
)
def test_documents_that_will_not_do_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_settings(path)


def test_anchors_and_merges_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "SOLVER:\n  <<: &usual {BASE_LR: 0.02, GAMMA: 0.1}\n  GAMMA: 0.5\nTEST: {<<: *usual}\n"
    )
    assert read_settings(path) == {
        "SOLVER.BASE_LR": 0.02,
        "SOLVER.GAMMA": 0.5,
        "TEST.BASE_LR": 0.02,
        "TEST.GAMMA": 0.1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SOLVER:\n", "SOLVER is a section; options in it would be right"),
        ("MODEL: {FCOS: 5}\n", "MODEL.FCOS is a section"),
        ("model: {fcos: {nms_th: 0.5}}\n", "did you mean MODEL.FCOS.NMS_TH?"),
        ("solver: {base_lr: 0.1}\n", "did you mean SOLVER.BASE_LR?"),
    ],
)
def test_a_section_and_small_letters_are_called_that(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        read_config(path, for_training=True)
