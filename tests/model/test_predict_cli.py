from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from model import predict
from model.coco_categories import COCO_PANOPTIC
from model.config import DetectionConfig
from model.prediction.options import PredictOptions
from model.structures import Instances, PanopticSegmentation, Segment

BUS = 5  # the network's class; COCO's id is 6


class FakePredictor:
    """Finds one bus in the left half of every picture, and remembers what it was asked."""

    def __init__(self, is_panoptic: bool = False) -> None:
        self.config = SimpleNamespace(
            name="Fake/R_50_1x",
            is_panoptic=is_panoptic,
            detection=DetectionConfig(score_threshold=0.35),
        )
        self.categories = COCO_PANOPTIC
        self.device = SimpleNamespace(type="cpu")
        self.batches: list[list[tuple[int, ...]]] = []
        self.options: PredictOptions | None = None

    def _left_half(self, image: np.ndarray) -> np.ndarray:
        mask = np.zeros(image.shape[:2], dtype=np.uint8, order="F")
        mask[:, : image.shape[1] // 2] = 1
        return mask

    def segment(
        self, images: Sequence[np.ndarray], options: PredictOptions, *, batch_size: int
    ) -> list[Instances]:
        assert batch_size >= max(1, len(images))  # so it is never taken apart
        self.batches.append([image.shape for image in images])
        self.options = options
        return [
            Instances(
                height=image.shape[0],
                width=image.shape[1],
                boxes_xyxy=np.array([[0, 0, image.shape[1] // 2, image.shape[0]]], np.float32),
                scores=np.array([0.5], np.float32),
                classes=np.array([BUS]),
                masks=[coco.encode(self._left_half(image))] if options.masks else None,
                areas=np.array([self._left_half(image).sum()]) if options.masks else None,
            )
            for image in images
        ]

    def panoptic(
        self, images: Sequence[np.ndarray], options: PredictOptions, *, batch_size: int
    ) -> list[PanopticSegmentation]:
        assert batch_size >= max(1, len(images))  # so it is never taken apart
        self.batches.append([image.shape for image in images])
        self.options = options
        results = []
        for image in images:
            mask = self._left_half(image)
            segment = Segment(
                id=1,
                label=BUS,
                is_thing=True,
                score=0.5,
                area=int(mask.sum()),
                bbox_xywh=(0, 0, image.shape[1] // 2, image.shape[0]),
                mask=coco.encode(mask) if options.masks else None,
            )
            results.append(
                PanopticSegmentation(segment_ids=mask.astype(np.int32), segments=[segment])
            )
        return results


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> FakePredictor:
    fake = FakePredictor()
    monkeypatch.setattr(predict, "open_predictor", lambda args: (fake, fake.config.name, "0f3a"))
    return fake


@pytest.fixture
def panoptic_predictor(predictor: FakePredictor) -> FakePredictor:
    predictor.config.is_panoptic = True
    return predictor


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., str]:
    """Make a picture of that name and size, and return its path as text."""

    def make(name: str, width: int = 40, height: int = 20) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height), (90, 90, 90)).save(path)
        return str(path)

    return make


def run(*arguments: object) -> int:
    return predict.main([str(argument) for argument in arguments])


def test_the_answer_goes_to_standard_output_with_paths_as_given(
    predictor: FakePredictor, picture: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [picture("b.png"), picture("a.jpg", 30, 10)]
    assert run(*names) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == {
        "name": "Fake/R_50_1x",
        "weights": "sha256:0f3a",
        "categories": "coco",
    }
    assert [(i["id"], i["width"], i["height"]) for i in answer["images"]] == [
        (names[0], 40, 20),
        (names[1], 30, 10),
    ]
    row = answer["images"][0]["instances"][0]
    assert (row["category"], row["area"], set(row["segmentation"])) == (
        "bus",
        400,
        {"size", "counts"},
    )


def test_the_answer_goes_to_a_file_and_the_summary_to_standard_error(
    predictor: FakePredictor,
    picture: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.json"
    assert run(picture("a.png"), "--output", output) == 0
    assert len(json.loads(output.read_text())["images"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "1 picture, 1 instance\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "out.json"]


def test_a_folder_gives_its_pictures_in_order_and_nothing_else(
    predictor: FakePredictor,
    picture: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("c.png", "a.JPG", "b.webp", "inner/d.png", ".hidden.png"):
        picture(name)
    (tmp_path / "notes.txt").write_text("no picture")
    assert run(tmp_path) == 0
    images = json.loads(capsys.readouterr().out)["images"]
    assert [i["id"] for i in images] == [str(tmp_path / n) for n in ("a.JPG", "b.webp", "c.png")]


def test_recursive_reaches_the_folders_inside(
    predictor: FakePredictor,
    picture: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture("c.png")
    picture("inner/d.png")
    assert run(tmp_path, "--recursive") == 0
    images = json.loads(capsys.readouterr().out)["images"]
    assert [i["id"] for i in images] == [str(tmp_path / n) for n in ("c.png", "inner/d.png")]


def test_a_bad_picture_is_named_and_the_rest_is_done(
    predictor: FakePredictor,
    picture: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    missing = tmp_path / "missing.png"
    good = [picture("a.png"), picture("z.png")]
    assert run(good[0], bad, missing, good[1]) == 1
    captured = capsys.readouterr()
    assert [i["id"] for i in json.loads(captured.out)["images"]] == good
    lines = captured.err.splitlines()
    assert lines[0].startswith(f"{bad}: ")
    assert lines[1] == f"{missing}: cannot be read: No such file or directory"
    assert lines[2] == "2 pictures, 2 instances, 2 failed"


def test_pictures_go_to_the_predictor_in_batches(
    predictor: FakePredictor, picture: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [picture(f"{i}.png", 10 + i, 8) for i in range(5)]
    assert run(*names, "--batch-size", 2) == 0
    assert [[shape[1] for shape in batch] for batch in predictor.batches] == [
        [10, 11],
        [12, 13],
        [14],
    ]


def test_options_reach_the_predictor(
    predictor: FakePredictor, picture: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(picture("a.png"), "--score-threshold", 0.7, "--classes", "person, Car,6",
        "--max-instances", 3, "--masks", "none")  # fmt: skip
    options = predictor.options
    assert options.score_threshold == 0.7
    assert options.category_ids == {1, 3, 6}
    assert options.max_instances == 3
    assert not options.masks


def test_defaults_are_the_models_own_and_else_those_of_the_server(
    predictor: FakePredictor, picture: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(picture("a.png"))
    assert predictor.options.score_threshold == 0.35
    assert predictor.options.category_ids is None
    assert predictor.options.max_instances is None
    assert predictor.options.masks


def test_a_panoptic_model_answers_segments(
    panoptic_predictor: FakePredictor,
    picture: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(picture("a.png"), "--masks", "png") == 0
    captured = capsys.readouterr()
    image = json.loads(captured.out)["images"][0]
    assert [segment["category"] for segment in image["segments"]] == ["bus"]
    assert "png" in image
    assert panoptic_predictor.options.score_threshold == 0.35
    assert not panoptic_predictor.options.masks
    assert captured.err == "1 picture, 1 segment\n"


def test_a_panoptic_model_answers_instances_when_asked(
    panoptic_predictor: FakePredictor,
    picture: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(picture("a.png"), "--task", "instance") == 0
    assert "instances" in json.loads(capsys.readouterr().out)["images"][0]


def test_polygons_are_given_when_asked(
    predictor: FakePredictor, picture: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(picture("a.png"), "--masks", "polygon")
    row = json.loads(capsys.readouterr().out)["images"][0]["instances"][0]
    assert (row["segmentation"], row["holes"]) == ([[0, 0, 20, 0, 20, 20, 0, 20]], [])


def test_answer_can_be_in_another_tools_shape(
    predictor: FakePredictor, picture: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(picture("000000000139.png"), picture("b.png"), "--format", "coco") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["image_id"] for row in rows] == [139, picture("b.png")]
    assert run(picture("b.png"), "--format", "cvat", "--masks", "polygon") == 0
    [shape] = json.loads(capsys.readouterr().out)
    assert (shape["type"], shape["points"]) == ("polygon", [0, 0, 20, 0, 20, 20, 0, 20])
    assert predictor.options.masks


def test_partition_in_cocos_shape_has_its_png(
    panoptic_predictor: FakePredictor,
    picture: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(picture("a.png"), "--format", "coco") == 0
    [annotation] = json.loads(capsys.readouterr().out)["annotations"]
    assert (annotation["file_name"], "png" in annotation) == ("a.png", True)
    assert run(picture("a.png"), "--format", "coco", "--masks", "rle") == 2
    assert "task panoptic as coco gives one of png, none" in capsys.readouterr().err


def test_an_overlay_of_one_picture_is_one_file(
    predictor: FakePredictor,
    picture: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    overlay = tmp_path / "new" / "out.jpg"
    assert run(picture("a.png", 120, 90), "--overlay", overlay, "--masks", "none") == 0
    drawn = Image.open(overlay)
    assert (drawn.format, drawn.size) == ("JPEG", (120, 90))
    red, _, blue = drawn.getpixel((30, 60))
    assert abs(red - blue) > 20  # the mask is drawn although the answer has none
    row = json.loads(capsys.readouterr().out)["images"][0]["instances"][0]
    assert "segmentation" not in row


def test_overlays_of_several_pictures_are_a_folder(
    panoptic_predictor: FakePredictor,
    picture: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [picture("a.png"), picture("b.webp"), picture("one/c.jpg"), picture("two/c.jpg")]
    assert run(*names, "--overlay", tmp_path / "out") == 0
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["a.png", "b.webp.png", "c-2.jpg", "c.jpg"]


def test_overlays_of_a_folder_keep_its_shape(
    predictor: FakePredictor,
    picture: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture("in/a.png")
    picture("in/deep/a.png")
    assert run(tmp_path / "in", "--recursive", "--overlay", tmp_path / "out") == 0
    made = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png"))
    assert made == ["a.png", "deep/a.png"]


def test_an_overlay_never_replaces_a_picture(
    predictor: FakePredictor,
    picture: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = picture("a.png")
    before = (tmp_path / "a.png").read_bytes()
    assert run(name, "--overlay", name) == 2
    assert run(tmp_path, "--overlay", tmp_path) == 2
    assert (tmp_path / "a.png").read_bytes() == before
    assert "would replace the picture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--masks", "png"], "--masks png: task instance as native gives one of rle, polygon"),
        (["--format", "coco", "--masks", "polygon"], "as coco gives one of rle, none"),
        (["--task", "panoptic"], "no semantic head"),
        (["--classes", "cra"], "unknown class 'cra'; near matches"),
        (["--output", "nowhere/out.json"], "--output nowhere/out.json"),
    ],
)
def test_a_contradiction_is_one_line_and_code_2(
    predictor: FakePredictor,
    picture: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    arguments: Any,
    message: str,
) -> None:
    assert run(picture("a.png"), *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--score-threshold", "1.5"],
        ["--score-threshold", "nan"],
        ["--max-instances", "0"],
        ["--batch-size", "two"],
        ["--task", "semantic"],
        ["--unknown"],
    ],
)
def test_a_bad_argument_is_one_line_and_code_2(
    picture: Callable[..., str], capsys: pytest.CaptureFixture[str], arguments: Any
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(picture("a.png"), *arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert arguments[0] in error


def test_one_overlay_file_for_several_pictures_is_refused(
    predictor: FakePredictor,
    picture: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(picture("a.png"), picture("b.png"), "--overlay", tmp_path / "out.png") == 2
    assert "give a folder" in capsys.readouterr().err


def test_a_folder_without_pictures_is_refused(
    predictor: FakePredictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 2
    assert "folder without pictures" in capsys.readouterr().err


def test_nothing_is_loaded_when_no_picture_exists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predict, "open_predictor", lambda args: pytest.fail("was opened"))
    assert run(tmp_path / "missing.png") == 2
    assert "no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("no such model"), OSError("no network")])
def test_weights_that_cannot_be_had_are_one_line_and_code_2(
    monkeypatch: pytest.MonkeyPatch,
    picture: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    error: Any,
) -> None:
    def refuse(args: object) -> None:
        raise error

    monkeypatch.setattr(predict, "open_predictor", refuse)
    assert run(picture("a.png")) == 2
    assert capsys.readouterr().err == f"python -m model.predict: {error}\n"


def test_an_interruption_ends_with_code_130_and_leaves_no_output(
    predictor: FakePredictor,
    picture: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(images: object, options: object, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(predictor, "segment", interrupt)
    output = tmp_path / "out.json"
    assert run(picture("a.png"), "--output", output) == 130
    assert not output.exists()


def test_an_unknown_device_is_refused_before_weights_are_read(
    picture: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(picture("a.png"), "--device", "toaster", "--weights", "missing.pth") == 2
    assert "device toaster: give auto, cpu, cuda or cuda:1" in capsys.readouterr().err
