from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pets import CAT, KnowingPredictor, edit, write_pets

from model import evaluate


@pytest.fixture
def places(tmp_path: Path) -> SimpleNamespace:
    return write_pets(tmp_path)


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> KnowingPredictor:
    fake = KnowingPredictor()
    monkeypatch.setattr(evaluate, "open_predictor", lambda args: (fake, "pets", "0f3a"))
    return fake


def run(places: SimpleNamespace, *options: Any, panoptic: Any = True) -> int:
    paths = ["--images", str(places.images), "--annotations", str(places.annotations)]
    if panoptic:
        paths += ["--panoptic", str(places.panoptic)]
        paths += ["--panoptic-folder", str(places.panoptic_folder)]
    return evaluate.main(["--weights", "any", *paths, *map(str, options)])


def test_the_table_has_aligned_columns_in_percent(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(places) == 0
    lines = capsys.readouterr().out.splitlines()
    # The cats have 1200 pixels: medium, and no other size.
    assert lines[:8] == [
        "         AP   AP50   AP75  APs    APm  APl    AR1   AR10  AR100  ARs    ARm  ARl",
        "box   100.0  100.0  100.0    -  100.0    -  100.0  100.0  100.0    -  100.0    -",
        "mask  100.0  100.0  100.0    -  100.0    -  100.0  100.0  100.0    -  100.0    -",
        "",
        "           PQ     SQ     RQ  classes",
        "all     100.0  100.0  100.0        2",
        "things  100.0  100.0  100.0        1",
        "stuff   100.0  100.0  100.0        1",
    ]
    assert lines[9].startswith("2 pictures, ")


def test_the_table_of_classes_is_printed_on_demand(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(places, "--classes-table") == 0
    lines = capsys.readouterr().out.splitlines()
    header = "id  class    objects  box AP  box AP50  mask AP  mask AP50     PQ     SQ     RQ"
    assert lines[0] == header
    assert lines[1].split() == ["3", "cat", "2", *["100.0"] * 7]
    assert lines[2].split() == ["5", "dog", "0", *["-"] * 7]
    assert lines[4].split() == ["11", "grass", *["-"] * 5, *["100.0"] * 3]


def test_the_report_names_the_weights(
    places: SimpleNamespace, predictor: KnowingPredictor, tmp_path: Path
) -> None:
    assert run(places, "--output", tmp_path / "report.json") == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["model"]["weights"] == "sha256:0f3a"
    assert report["model"]["name"] == "pets"
    assert report["task"] == "both"
    assert report["box"]["AP"] == pytest.approx(1.0)


def test_the_results_are_cocos_rows(
    places: SimpleNamespace, predictor: KnowingPredictor, tmp_path: Path
) -> None:
    assert run(places, "--task", "instance", "--results", tmp_path / "results.json") == 0
    first, _ = sorted(
        json.loads((tmp_path / "results.json").read_text()), key=lambda row: row["image_id"]
    )
    assert first["bbox"] == [0.0, 0.0, 30.0, 40.0]
    assert (first["image_id"], first["category_id"], first["score"]) == (1, CAT, 0.5)
    assert first["segmentation"]["size"] == [40, 60]


def test_without_a_panoptic_file_instances_are_measured(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(places, panoptic=False) == 0
    assert "PQ" not in capsys.readouterr().out


def test_a_model_without_semantic_head_is_measured_on_instances(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor.config = KnowingPredictor(semantic=False).config
    assert run(places) == 0
    assert "PQ" not in capsys.readouterr().out


def test_asking_for_what_the_model_cannot_do_is_exit_2(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor.config = KnowingPredictor(semantic=False).config
    assert run(places, "--task", "both") == 2
    assert "tiny has no semantic head" in capsys.readouterr().err


def test_a_missing_picture_is_named_and_exit_1(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    (places.images / "a.png").unlink()
    assert run(places) == 1
    out, err = capsys.readouterr()
    assert "a.png: cannot be read: No such file or directory" in err
    assert "note: 1 picture could not be read" in out


def test_skip_missing_names_it_but_is_no_failure(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    (places.images / "a.png").unlink()
    assert run(places, "--skip-missing") == 0
    assert "a.png" in capsys.readouterr().err


def test_categories_that_differ_are_exit_2_and_the_option_is_named(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(places.annotations, lambda d: d["categories"].pop())
    assert run(places, panoptic=False) == 2
    err = capsys.readouterr().err
    assert "only the model has 9 'hamster'" in err
    assert "--common-classes" in err
    assert run(places, "--common-classes", panoptic=False) == 0


def test_a_limit_reaches_the_evaluation(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(places, "--limit", 1) == 0
    assert "note: a subset: the first 1 of the file's 2 pictures" in capsys.readouterr().out


def test_an_output_in_no_folder_is_refused_before_any_work(
    places: SimpleNamespace,
    predictor: KnowingPredictor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(places, "--output", tmp_path / "nowhere" / "report.json") == 2
    assert predictor.batches == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--annotations", "a"], "--images"),
        (["--weights", "w", "--images", "x"], "--annotations or --panoptic is required"),
        (["--weights", "w", "--images", "x", "--panoptic", "p"], "go together"),
        (["--weights", "w", "--images", "x", "--annotations", "a", "--limit", "0"], "1 or more"),
        (
            [
                *("--weights", "w", "--images", "x", "--annotations", "a"),
                *("--task", "panoptic", "--results", "r"),
            ],
            "--results holds instances",
        ),
    ],
)
def test_bad_arguments_are_told_in_one_line(
    options: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        evaluate.main(options)
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_unknown_weights_are_exit_2(
    places: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ["--images", str(places.images), "--annotations", str(places.annotations)]
    assert evaluate.main(["--weights", "no-such-weights", *paths]) == 2
    assert "no-such-weights" in capsys.readouterr().err


def _set(**values: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for row in document["annotations"]:
            row.update(values)

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda document: document.update(annotations=[]), "no annotation of .* can be used"),
        (_set(iscrowd=1), "are crowds"),
    ],
)
def test_nothing_to_be_found_is_a_failure_with_its_cause(
    places: SimpleNamespace,
    predictor: KnowingPredictor,
    capsys: pytest.CaptureFixture[str],
    change: Any,
    why: str,
) -> None:
    edit(places.annotations, change)
    assert run(places, panoptic=False) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.search(f"there was nothing to be found.*{why}", said)


def test_annotations_of_other_classes_than_the_model_s_are_named(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    def of_an_own_class(document: Any) -> None:
        document["categories"].append({"id": 77, "name": "unicorn"})
        _set(category_id=77)(document)

    edit(places.annotations, of_an_own_class)
    assert run(places, "--common-classes", panoptic=False) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("are of the categories 77, and 3, 5, 9 are evaluated")


def test_annotations_beyond_the_limit_are_named(
    places: SimpleNamespace, predictor: KnowingPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(places.annotations, lambda document: document["annotations"].pop(0))
    assert run(places, "--limit", "1", panoptic=False) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("in pictures that were not measured")


def test_detections_are_written_of_a_file_that_only_lists_pictures(
    places: SimpleNamespace,
    predictor: KnowingPredictor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(places.annotations, lambda document: document.pop("annotations"))
    assert run(places, panoptic=False) == 2
    assert "it has no list 'annotations'" in capsys.readouterr().err
    assert run(places, "--results", tmp_path / "found.json", panoptic=False) == 0
    rows = json.loads((tmp_path / "found.json").read_bytes())
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(1, CAT), (2, CAT)]
