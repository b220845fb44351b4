from __future__ import annotations

import base64
import io
import json
import zlib
from typing import Any, get_args

import numpy as np
import pytest
import supervision
from masks_of_pictures import HEIGHT, MASKS, WIDTH, native_image, rle_of
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from model.answers.dialects import cvat
from model.answers.dialects.choice import Dialect, join, masks_of, tell
from model.answers.dialects.coco import image_number
from model.answers.dialects.labelstudio_brush import brush
from model.answers.dialects.rows import name_of

MODEL = {"name": "R_50_3x", "weights": "sha256:0f3a9c2b", "categories": "coco"}
EMPTY = {"empty": np.zeros((HEIGHT, WIDTH), dtype=bool)}


def told(dialect: Dialect, masks: Any = "rle", image: dict[str, Any] | None = None) -> Any:
    """An image's part as a reader gets it: through JSON."""
    return json.loads(json.dumps(tell(image or native_image(MASKS), dialect, masks)))


def unpacked(data: bytes) -> np.ndarray:
    """The values that thi.ng's rle-pack holds, read bit by bit as its `decode` does."""
    bits = "".join(f"{octet:08b}" for octet in data)
    place = 0

    def read(number: int) -> int:
        nonlocal place
        place += number
        return int(bits[place - number : place], 2)

    values = np.full(read(32), 7, dtype=np.uint8)
    word = read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    i = 0
    while i < len(values):
        is_run = read(1)
        end = i + 1 + read(sizes[read(2)])
        assert is_run
        values[i:end] = read(word)
        i = end
    assert i == len(values)
    assert 0 < len(bits) - place <= 8
    assert "1" not in bits[place:]
    return values


def test_coco_reads_its_results() -> None:
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 139, "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 6 + i, "name": str(i)} for i in range(len(MASKS))],
        "annotations": [],
    }
    truth.createIndex()
    loaded = truth.loadRes(told("coco", image=native_image(MASKS, "000000000139.jpg")))
    for index, mask in enumerate(MASKS.values()):
        np.testing.assert_array_equal(loaded.annToMask(loaded.anns[index + 1]), mask)


@pytest.mark.parametrize(
    ("image_id", "number"),
    [("000000000139.jpg", 139), ("139", 139), ("b.png", "b.png"), (None, None), ("a/7.jpg", 7),
     ("²", "²"), ("9" * 30, "9" * 30), ("", "")],
)  # fmt: skip
def test_image_called_by_a_number_has_it_in_coco(image_id: str | None, number: Any) -> None:
    assert image_number(image_id) == number


def test_cocos_partition_is_its_annotation() -> None:
    segment = {"id": 3, "category_id": 191, "category": "pavement", "isthing": False,
               "bbox": [0, 0, 2, 2], "area": 4}  # fmt: skip
    image = {"id": "7.jpg", "width": 2, "height": 2, "segments": [segment], "png": "AAAA"}
    assert told("coco", "png", image) == {
        "image_id": 7, "file_name": "7.png", "png": "AAAA",
        "segments_info": [{"id": 3, "category_id": 191, "area": 4, "bbox": [0, 0, 2, 2],
                           "iscrowd": 0}],
    }  # fmt: skip


def test_supervision_reads_run_lengths_with_an_empty_mask_among_them() -> None:
    masks = MASKS | EMPTY
    image = told("roboflow", image=native_image(masks))
    detections = supervision.Detections.from_inference(image)
    assert detections.mask is not None
    np.testing.assert_array_equal(detections.mask, list(masks.values()))
    assert detections.class_id is not None
    assert detections.class_id.tolist() == list(range(6, 6 + len(masks)))
    boxes = [row["bbox"] for row in native_image(masks)["instances"]]
    np.testing.assert_allclose(detections.xyxy[:, :2], np.array(boxes)[:, :2])


def test_supervision_reads_outlines_of_all_that_have_pixels() -> None:
    solid = {name: MASKS[name] for name in ("disc", "pixel", "whole")}
    image = told("roboflow", "polygon", native_image(solid | EMPTY))
    assert len(image["predictions"]) == len(solid)
    detections = supervision.Detections.from_inference(image)
    assert detections.mask is not None
    for found, mask in zip(detections.mask, solid.values(), strict=True):
        # It paints the outline too, which is the side of the next pixel at the right and below.
        assert found[mask].all()
        grown = np.pad(mask, 1)
        near = grown | np.roll(grown, 1, 0) | np.roll(grown, 1, 1) | np.roll(grown, (1, 1), (0, 1))
        assert not (found & ~near[1:-1, 1:-1]).any()


def test_names_of_rows_are_the_same_for_the_same_answer_and_differ_in_it() -> None:
    image = native_image(MASKS)
    names = [name_of(image, index) for index in range(len(MASKS))]
    assert len(set(names)) == len(names)
    assert names == [name_of(native_image(MASKS), index) for index in range(len(MASKS))]
    assert names[0] != name_of(native_image(MASKS, "other.jpg"), 0)


@pytest.mark.parametrize("name", [*sorted(MASKS), "empty"])
def test_brush_unpacks_to_the_mask_in_four_channels(name: str) -> None:
    mask = (MASKS | EMPTY)[name]
    pixels = unpacked(brush(rle_of(mask))).reshape(HEIGHT, WIDTH, 4)
    np.testing.assert_array_equal(pixels, np.repeat(mask[..., None] * np.uint8(255), 4, axis=2))


def test_brush_splits_runs_that_are_too_long_for_their_field() -> None:
    for height, width in ((128, 128), (128, 129), (300, 700)):  # 65,536 bytes; a few more; many
        mask = np.zeros((height, width), dtype=bool)
        mask[5:, 3:] = True
        for each in (mask, ~mask, np.ones_like(mask), np.zeros_like(mask)):
            pixels = unpacked(brush(rle_of(each))).reshape(height, width, 4)
            np.testing.assert_array_equal(pixels[..., 3] == 255, each)


def test_label_studio_gets_a_region_for_each_mask_that_has_pixels() -> None:
    prediction = told("labelstudio", image=native_image(MASKS | EMPTY))
    regions = prediction["result"]
    assert [region["value"]["brushlabels"] for region in regions] == [
        [f"bus {index}"] for index in range(len(MASKS))
    ]
    assert len({region["id"] for region in regions}) == len(MASKS)
    assert regions[0]["original_width"] == WIDTH
    scores = [region["score"] for region in regions]
    assert prediction["score"] == pytest.approx(sum(scores) / len(scores), abs=1e-6)


def test_label_studios_polygons_are_in_percent() -> None:
    [region] = told("labelstudio", "polygon", native_image({"pixel": MASKS["pixel"]}))["result"]
    assert region["type"] == "polygonlabels"
    x, y = 100 / WIDTH, 100 / HEIGHT
    np.testing.assert_allclose(
        region["value"]["points"], [[4 * x, 7 * y], [5 * x, 7 * y], [5 * x, 8 * y], [4 * x, 8 * y]]
    )


def test_cvats_masks_are_pixels_of_their_boxes() -> None:
    shapes = told("cvat", image=native_image(MASKS | EMPTY))
    assert len(shapes) == len(MASKS)
    for shape, mask in zip(shapes, MASKS.values(), strict=True):
        *pixels, left, top, right, bottom = shape["mask"]
        found = np.zeros_like(mask)
        crop = np.array(pixels).reshape(bottom - top + 1, right - left + 1)
        found[top : bottom + 1, left : right + 1] = crop
        np.testing.assert_array_equal(found, mask)
        assert shape["type"] == "mask"
        assert len(shape["points"]) >= 8
    assert [shape["confidence"] for shape in shapes][:2] == [0.95, 0.9]


def test_masks_too_large_to_be_told_one_by_one_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cvat, "MAX_CROP_PIXELS", HEIGHT * WIDTH)
    whole = {"whole": MASKS["whole"]}
    assert len(told("cvat", image=native_image(whole))) == 1
    twice = native_image(whole | {"pixel": MASKS["pixel"]})
    with pytest.raises(cvat.TooManyPixelsError, match="more than 713 pixels"):
        told("cvat", image=twice)
    assert len(told("cvat", "polygon", twice)) == 2


def test_fiftyones_masks_are_cropped_to_their_boxes() -> None:
    answer = told("fiftyone", image=native_image(MASKS | EMPTY))
    *rows, empty = answer["detections"]
    for row, mask in zip(rows, MASKS.values(), strict=True):
        data = base64.b64decode(row["mask"]["$binary"]["base64"])
        crop = np.load(io.BytesIO(zlib.decompress(data)))
        x, y, w, h = np.array(row["bounding_box"]) * (WIDTH, HEIGHT, WIDTH, HEIGHT)
        found = np.zeros_like(mask)
        found[round(y) : round(y + h), round(x) : round(x + w)] = crop
        np.testing.assert_array_equal(found, mask)
    assert "mask" not in empty


@pytest.mark.parametrize("dialect", [name for name in get_args(Dialect) if name != "native"])
def test_every_way_of_every_dialect_tells_things_and_stuff(dialect: Dialect) -> None:
    thing, stuff = native_image({name: MASKS[name] for name in ("holed", "pixel")})["instances"]
    del stuff["score"]
    image = {"id": None, "width": WIDTH, "height": HEIGHT}
    for masks in masks_of(dialect, is_panoptic=True):
        segments = [{**row, "id": i, "isthing": not i} for i, row in enumerate((thing, stuff))]
        for segment in segments:
            if masks == "none":
                del segment["segmentation"]
        assert told(dialect, masks, {**image, "segments": segments})
    for masks in masks_of(dialect, is_panoptic=False):
        assert told(dialect, masks, {**image, "instances": [thing]})


def test_each_row_asks_whether_somebody_still_waits() -> None:
    def leave() -> None:
        raise TimeoutError

    for dialect in ("roboflow", "labelstudio", "cvat", "fiftyone"):
        with pytest.raises(TimeoutError):
            tell(native_image(MASKS), dialect, "rle", leave)


def test_answers_of_several_images_are_joined() -> None:
    parts = [b'[{"a":1},{"a":2}]', b"[]", b'[{"a":3}]']
    assert json.loads(join("coco", MODEL, parts, is_panoptic=False)) == [
        {"a": 1}, {"a": 2}, {"a": 3}
    ]  # fmt: skip
    assert json.loads(join("coco", MODEL, [b"[]"], is_panoptic=False)) == []
    assert json.loads(join("coco", MODEL, [b"{}", b"{}"], is_panoptic=True)) == {
        "annotations": [{}, {}]
    }
    assert json.loads(join("cvat", MODEL, parts, is_panoptic=False)) == [
        [{"a": 1}, {"a": 2}], [], [{"a": 3}]
    ]  # fmt: skip
    assert json.loads(join("cvat", MODEL, parts[:1], is_panoptic=False)) == [{"a": 1}, {"a": 2}]
    assert json.loads(join("labelstudio", MODEL, [b"{}"], is_panoptic=False)) == {
        "results": [{}], "model_version": "R_50_3x sha256:0f3a9c2b"
    }  # fmt: skip


def test_run_lengths_of_the_test_are_cocos_own() -> None:
    for mask in MASKS.values():
        assert rle_of(mask)["counts"] == coco_mask.encode(np.asfortranarray(mask, "u1"))["counts"]
