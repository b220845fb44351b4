"""Every configuration gives the original's numbers on real photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import goldens
import numpy as np
import pytest
from pasting import encode_crop
from pycocotools import mask as coco_mask

from model.operations import reference
from model.operations.panoptic_reference import semantic_labels
from model.prediction.paste import BoxedMaps, PastedMasks, paste
from model.prediction.predictor import Predictor
from model.prediction.preprocess import prepare
from model.structures import Instances, PanopticSegmentation

CASES = [
    goldens.param(name, photo)
    for name in goldens.configurations()
    for photo in goldens.photos(name)
]
PANOPTIC_CASES = [case for case in CASES if case.values[0].startswith("Panoptic/")]

MAX_BOX_ERROR = 0.02  # pixels
MAX_SCORE_ERROR = 1e-4


def max_other_pixels(name: str) -> int:
    """Pixels of a photo's masks that differ between the original and itself (golden/README)."""
    return 200 if "R_101" in name else 15


def match(result: Instances, expected: dict[str, Any]) -> list[tuple[int, int]]:
    """Pair every expected detection with the nearest box of its class; each is used once."""
    pairs = []
    free = set(range(len(result)))
    for index, (box, label) in enumerate(zip(expected["boxes"], expected["classes"], strict=True)):
        candidates = [i for i in free if result.classes[i] == label]
        assert candidates, f"no detection of class {label} is left for box {box}"
        nearest = min(candidates, key=lambda i: float(np.abs(result.boxes_xyxy[i] - box).max()))
        free.remove(nearest)
        pairs.append((nearest, index))
    return pairs


def assert_same_instances(result: Instances, expected: dict[str, Any], max_pixels: int) -> None:
    assert len(result) == expected["n"]
    assert result.masks is not None
    other_pixels = 0
    for ours, theirs in match(result, expected):
        box_error = np.abs(result.boxes_xyxy[ours] - expected["boxes"][theirs]).max()
        assert box_error <= MAX_BOX_ERROR
        assert abs(result.scores[ours] - expected["scores"][theirs]) <= MAX_SCORE_ERROR
        differs = coco_mask.decode(result.masks[ours]) != coco_mask.decode(
            expected["masks"][theirs]
        )
        uncertain = expected["masks_uncertain"][theirs]
        if uncertain is not None:
            differs &= coco_mask.decode(uncertain) == 0
        other_pixels += int(differs.sum())
    assert other_pixels <= max_pixels


@pytest.mark.parametrize(("name", "photo"), CASES)
def test_instances_are_the_originals(name: str, photo: str, golden_folder: Path) -> None:
    predictor = goldens.predictor(name, golden_folder)
    (result,) = predictor.segment([goldens.image(photo)])
    expected = goldens.read(f"{name}/{photo}")
    assert (result.height, result.width) == (expected["height"], expected["width"])
    assert_same_instances(result, expected, max_other_pixels(name))


@pytest.mark.parametrize(("name", "photo"), PANOPTIC_CASES)
def test_partitions_are_the_originals(name: str, photo: str, golden_folder: Path) -> None:
    predictor = goldens.predictor(name, golden_folder)
    expected = goldens.read(f"{name}/{photo}")
    (result,) = predictor.panoptic([goldens.image(photo)])
    unsure = expected["sem_px_top2_margin_below_1e-3"]
    assert_same_partition(result, expected, goldens.labels(f"{name}/{photo}.panoptic"), unsure)


def assert_same_partition(
    result: PanopticSegmentation, expected: dict[str, Any], ids: np.ndarray, unsure_pixels: int
) -> None:
    """Hold a partition to the original's, but for pixels on the verge of another label."""
    rows = expected["segments_info"]
    assert [(s.id, s.is_thing, s.label) for s in result.segments] == [
        (row["id"], row["isthing"], row["category_id"]) for row in rows
    ]
    for segment, row in zip(result.segments, rows, strict=True):
        if segment.score is not None:
            assert abs(segment.score - row["score"]) <= MAX_SCORE_ERROR
        assert segment.area == (result.segment_ids == segment.id).sum()
    differs = result.segment_ids != ids
    for uncertain in filter(None, expected["masks_uncertain"]):
        differs &= coco_mask.decode(uncertain) == 0
    assert differs.sum() <= unsure_pixels


@pytest.mark.parametrize(("name", "photo"), PANOPTIC_CASES)
def test_semantic_labels_are_the_originals(name: str, photo: str, golden_folder: Path) -> None:
    predictor = goldens.predictor(name, golden_folder)
    batch = prepare([goldens.image(photo)], predictor.config.input, "cpu")
    logits = predictor.forward(batch).semantic_logits
    assert logits is not None
    labels = semantic_labels(logits[0], batch.resized_sizes[0], batch.output_sizes[0])
    differs = labels != goldens.labels(f"{name}/{photo}.sem_argmax")
    assert differs.sum() <= goldens.read(f"{name}/{photo}")["sem_px_top2_margin_below_1e-3"]


def test_a_picture_alone_and_in_a_batch_gives_the_same_result(golden_folder: Path) -> None:
    name = "RT_R_50_4x_bn-head_syncbn_shtw"
    goldens.require(name, "chelsea")
    predictor: Predictor = goldens.predictor(name, golden_folder)
    picture = goldens.image("chelsea")
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    company = [picture, mirrored, np.ascontiguousarray(picture[:200])]
    (alone,) = predictor.segment([picture])
    among = predictor.segment(company)[0]
    assert len(alone) == len(among)
    np.testing.assert_array_equal(alone.classes, among.classes)
    np.testing.assert_allclose(alone.boxes_xyxy, among.boxes_xyxy, atol=1e-3)
    np.testing.assert_allclose(alone.scores, among.scores, atol=1e-5)
    assert alone.areas is not None
    assert among.areas is not None
    # Where a box leaves the canvas the probability is exactly 0.5, a toss-up: see golden/README.
    ours = goldens.read(f"{name}/chelsea")
    uncertain = sum(ours["mask_px_within_1e-4_of_half"])
    assert np.abs(alone.areas - among.areas).sum() <= uncertain


@pytest.mark.parametrize(("name", "photo"), CASES)
def test_masks_have_the_references_bytes_and_pycocotools(
    name: str, photo: str, golden_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pasted: list[BoxedMaps] = []

    def keep(pictures: list[BoxedMaps]) -> list[PastedMasks]:
        pasted.extend(pictures)
        return paste(pictures)

    monkeypatch.setattr("model.prediction.readout.paste", keep)
    (result,) = goldens.predictor(name, golden_folder).segment([goldens.image(photo)])
    (given,) = pasted
    height, width = given.height, given.width
    crops = reference.paste(given.probabilities, given.boxes_xyxy, height, width, 0.5)
    assert result.masks is not None
    for mask, crop in zip(result.masks, crops, strict=True):
        assert mask == encode_crop(crop.mask, crop.top, crop.left, height, width)
        whole = np.zeros((height, width), dtype=np.uint8, order="F")
        whole[crop.window()] = crop.mask
        assert mask == coco_mask.encode(whole)
