from __future__ import annotations

import numpy as np

from model.answers.name_tags import Tag, around_point, beside_box, font_size, write_tags

RED, GREEN = (255, 0, 0), (0, 255, 0)


def black(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), dtype=np.uint8)


def extent(image: np.ndarray, channel: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of what is drawn in a channel."""
    rows, columns = np.nonzero(image[:, :, channel] > 100)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_a_tag_sits_on_top_of_its_box() -> None:
    tag = Tag(texts=("cat",), colour=RED, spots=beside_box((50, 80, 150, 140)))
    left, _, _, bottom = extent(write_tags(black(200, 300), [tag]), 0)
    assert left == 50
    assert bottom == 80


def test_a_tag_stays_inside_the_picture() -> None:
    tag = Tag(texts=("cat",), colour=RED, spots=beside_box((280, 0, 300, 20)))
    left, top, right, bottom = extent(write_tags(black(200, 300), [tag]), 0)
    assert (top, right) == (0, 300)
    assert left > 200
    assert bottom < 40


def test_a_second_tag_makes_way_for_the_first() -> None:
    box = (50, 80, 150, 140)
    tags = [Tag(texts=("cat",), colour=c, spots=beside_box(box)) for c in (RED, GREEN)]
    image = write_tags(black(200, 300), tags)
    first, second = extent(image, 0), extent(image, 1)
    assert first[3] == 80
    assert second[1] >= first[3] or second[0] >= first[2]


def test_a_tag_without_a_free_spot_is_left_out() -> None:
    tags = [Tag(texts=("cat",), colour=c, spots=lambda _w, _h: [(9, 9)]) for c in (RED, GREEN)]
    image = write_tags(black(200, 300), tags)
    assert image[:, :, 0].any()
    np.testing.assert_array_equal(image, write_tags(black(200, 300), tags[:1]))


def test_a_text_too_long_for_the_picture_gives_way_to_a_shorter_one() -> None:
    spots = around_point(30, 20)
    long = Tag(texts=("a name of many letters", "cat"), colour=RED, spots=spots)
    short = Tag(texts=("cat",), colour=RED, spots=spots)
    np.testing.assert_array_equal(
        write_tags(black(40, 60), [long]), write_tags(black(40, 60), [short])
    )


def test_no_tag_is_written_where_none_fits() -> None:
    tag = Tag(texts=("cat",), colour=RED, spots=around_point(5, 5))
    assert not write_tags(black(12, 12), [tag]).any()


def test_tags_leave_most_of_a_small_picture_to_see() -> None:
    spots = [(0, 0), (0, 20), (0, 40), (0, 60), (45, 0), (45, 20), (45, 40), (45, 60)]
    tags = [Tag(texts=("cat",), colour=RED, spots=lambda _w, _h, s=s: [s]) for s in spots]
    image = write_tags(black(80, 90), tags)
    assert 0.05 < (image[:, :, 0] > 0).mean() <= 0.2


def test_the_font_grows_with_the_picture() -> None:
    assert font_size(3000, 4000) > 4 * font_size(480, 640) > 4 * font_size(20, 20)
