from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from model.answers.drawing import encode_picture, inmost_point, overlay_instances, overlay_panoptic
from model.answers.name_tags import Tag
from model.answers.palette import ink_on, stuff_colour, thing_colour
from model.categories import Categories, Category
from model.coco_categories import COCO, COCO_PANOPTIC
from model.structures import Instances, PanopticSegmentation, Segment

PERSON, CAT = 0, 15


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, dtype=np.uint8)


def make_instances(
    height: int,
    width: int,
    *rows: tuple[int, float, tuple[int, int, int, int]],
    with_masks: bool = True,
) -> Instances:
    """Return instances that fill their boxes (x0, y0, x1, y1)."""
    masks = []
    for _, _, (x0, y0, x1, y1) in rows:
        mask = np.zeros((height, width), dtype=np.uint8, order="F")
        mask[y0:y1, x0:x1] = 1
        masks.append(coco.encode(mask))
    return Instances(
        height=height,
        width=width,
        boxes_xyxy=np.array([row[2] for row in rows], dtype=np.float32).reshape(-1, 4),
        scores=np.array([row[1] for row in rows], dtype=np.float32),
        classes=np.array([row[0] for row in rows], dtype=np.int64),
        masks=masks if with_masks else None,
        areas=np.array([int(coco.area(mask)) for mask in masks]) if with_masks else None,
    )


def make_segment(segment_ids: np.ndarray, segment_id: int, label: int, is_thing: bool) -> Segment:
    rows, columns = np.nonzero(segment_ids == segment_id)
    top, left = int(rows.min()), int(columns.min())
    return Segment(
        id=segment_id,
        label=label,
        is_thing=is_thing,
        score=0.5 if is_thing else None,
        area=len(rows),
        bbox_xywh=(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1),
        mask=None,
    )


def distance(pixel: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float(np.linalg.norm(pixel.astype(float) - colour))


def test_a_picture_without_objects_is_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    np.testing.assert_array_equal(overlay_instances(image, make_instances(30, 40), COCO), image)
    void = PanopticSegmentation(segment_ids=np.zeros((30, 40), np.int32), segments=[])
    np.testing.assert_array_equal(overlay_panoptic(image, void, COCO_PANOPTIC), image)


def test_the_given_picture_is_never_written_to() -> None:
    image = grey(200, 300)
    overlay_instances(image, make_instances(200, 300, (CAT, 0.9, (50, 80, 200, 180))), COCO)
    np.testing.assert_array_equal(image, grey(200, 300))


def test_the_inside_of_a_mask_takes_its_colour_and_the_outside_stays() -> None:
    instances = make_instances(200, 300, (CAT, 0.9, (50, 80, 200, 180)))
    drawn = overlay_instances(grey(200, 300), instances, COCO)
    assert drawn.shape == (200, 300, 3)
    assert drawn.dtype == np.uint8
    inside, colour = drawn[130, 120], thing_colour(CAT)
    expected = np.round(0.6 * 128 + 0.4 * np.array(colour))
    np.testing.assert_allclose(inside, expected, atol=1)
    np.testing.assert_array_equal(drawn[195:, :], grey(5, 300))
    np.testing.assert_array_equal(drawn[:, 210:], grey(200, 90))


def test_the_contour_has_the_full_colour_at_the_edge_of_the_mask() -> None:
    instances = make_instances(200, 300, (CAT, 0.9, (50, 80, 200, 180)))
    drawn = overlay_instances(grey(200, 300), instances, COCO)
    assert distance(drawn[130, 50], thing_colour(CAT)) < 40
    assert distance(drawn[130, 56], thing_colour(CAT)) > 40


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_small_object_is_drawn_over_a_large_one(order: Any) -> None:
    rows = [(PERSON, 0.9, (10, 50, 290, 290)), (CAT, 0.5, (120, 150, 180, 210))]
    instances = make_instances(300, 300, *(rows[i] for i in order))
    edge = overlay_instances(grey(300, 300), instances, COCO)[195, 120]
    assert distance(edge, thing_colour(CAT)) < distance(edge, thing_colour(PERSON))


def test_instances_without_masks_have_boxes() -> None:
    instances = make_instances(200, 300, (CAT, 0.9, (50, 80, 200, 180)), with_masks=False)
    drawn = overlay_instances(grey(200, 300), instances, COCO)
    assert distance(drawn[130, 50], thing_colour(CAT)) < 5
    np.testing.assert_array_equal(drawn[130, 120], (128, 128, 128))


def test_an_empty_mask_and_a_box_at_the_border_are_drawn() -> None:
    instances = make_instances(40, 60, (CAT, 0.9, (5, 5, 5, 5)), (CAT, 0.8, (0, 0, 60, 40)))
    assert overlay_instances(grey(40, 60), instances, COCO).shape == (40, 60, 3)


@pytest.mark.parametrize("side", [1, 2, 9])
def test_a_picture_too_small_for_a_name_is_drawn_without(side: int) -> None:
    instances = make_instances(side, side, (CAT, 0.9, (0, 0, side, side)))
    assert overlay_instances(grey(side, side), instances, COCO).shape == (side, side, 3)


def test_a_result_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(20, 30, 3\).*\(40, 60, 3\)"):
        overlay_instances(grey(20, 30), make_instances(40, 60), COCO)


def test_segments_are_coloured_and_void_stays_bare() -> None:
    segment_ids = np.zeros((300, 300), dtype=np.int32)
    segment_ids[:100] = 7
    segment_ids[200:, :150] = 2
    result = PanopticSegmentation(
        segment_ids=segment_ids,
        segments=[
            make_segment(segment_ids, 2, CAT, is_thing=True),
            make_segment(segment_ids, 7, 3, is_thing=False),
        ],
    )
    drawn = overlay_panoptic(grey(300, 300), result, COCO_PANOPTIC)
    for pixel, colour in ((drawn[20, 20], stuff_colour(2)), (drawn[290, 10], thing_colour(CAT))):
        np.testing.assert_allclose(pixel, 0.55 * 128 + 0.45 * np.array(colour), atol=1)
    np.testing.assert_array_equal(drawn[110:190], grey(80, 300))
    assert drawn[100, 150].min() > 170  # the border between a segment and void is light


def test_two_things_of_a_category_differ_in_colour() -> None:
    segment_ids = np.repeat(np.int32([1, 2]), 150)[None].repeat(200, axis=0)
    segments = [make_segment(segment_ids, i, CAT, is_thing=True) for i in (1, 2)]
    result = PanopticSegmentation(segment_ids=segment_ids, segments=segments)
    drawn = overlay_panoptic(grey(200, 300), result, COCO_PANOPTIC)
    assert distance(drawn[10, 10], tuple(drawn[10, 290])) > 10


def test_a_name_goes_to_a_point_inside_its_segment() -> None:
    segment_ids = np.zeros((400, 600), dtype=np.int32)
    segment_ids[50:350, 100:500] = 1
    segment_ids[80:330, 130:400] = 0  # a frame, broad at its right side only
    x, y = inmost_point(segment_ids, make_segment(segment_ids, 1, CAT, is_thing=True))
    assert 400 < x < 500
    assert segment_ids[int(y), int(x)] == 1


def test_png_keeps_every_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    data = encode_picture(image, "image/png")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), image)


def test_jpeg_is_a_jpeg_of_the_same_size() -> None:
    picture = Image.open(io.BytesIO(encode_picture(grey(30, 40), "image/jpeg")))
    assert (picture.format, picture.size) == ("JPEG", (40, 30))


def test_another_media_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'image/gif'.*image/jpeg or image/png"):
        encode_picture(grey(3, 4), "image/gif")


def test_colours_of_neighbouring_categories_lie_far_apart() -> None:
    colours = [thing_colour(index) for index in range(80)]
    assert all(0 <= channel <= 255 for colour in colours for channel in colour)
    assert len(set(colours)) == 80
    for index in range(78):
        for other in (index + 1, index + 2):
            assert distance(np.array(colours[index]), colours[other]) > 60


def test_ink_is_readable_on_every_colour() -> None:
    assert ink_on((250, 240, 120)) == (16, 16, 16)
    assert ink_on((40, 30, 120)) == (255, 255, 255)


def tags_of(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[Sequence[str]]:
    """The texts to choose from for instances of classes of these names, all of a score of 0.5."""
    seen: list[Tag] = []

    def keep(image: np.ndarray, tags: Sequence[Tag]) -> np.ndarray:
        seen.extend(tags)
        return image

    monkeypatch.setattr("model.answers.drawing.write_tags", keep)
    things = tuple(Category(id=7 + number, name=name) for number, name in enumerate(names))
    rows = [(number, 0.5, (2, 2, 20, 20)) for number in range(len(names))]
    overlay_instances(
        grey(40, 60), make_instances(40, 60, *rows), Categories(name="mine", things=things)
    )
    return [tag.texts for tag in seen]


def test_name_with_a_percent_sign_is_drawn_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tags_of(monkeypatch, "100% cotton") == [("100% cotton 50 %", "100% cotton")]


def test_name_that_no_font_can_write_gives_way_to_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.answers.drawing.can_write", lambda name: name.isascii())
    texts = tags_of(monkeypatch, "bus", "人")
    assert [longest for longest, _ in texts] == ["bus 50 %", "class 8 50 %"]
