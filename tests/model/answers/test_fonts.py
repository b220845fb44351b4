"""Every name can be read in a drawing, whatever its script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from model.answers import fonts
from model.answers.fonts import BUNDLED, can_write, length_of, runs_of, tidy
from model.answers.name_tags import Tag, around_point, write_tags

EUROPE = (
    "Fußgänger",
    "Çöp kovası",
    "Żółć",
    "Œuvre naïve",
    "Λεωφορείο",
    "ὁ ἄνθρωπος",
    "Грузовик",
    "Љубав",
    "Đường phố",
    "€ 5 – № 7",
)


def square(height: int) -> Any:
    """Return the outline of a square that stands on the line; none of no height."""
    pen = TTGlyphPen(None)
    if height:
        pen.moveTo((0, 0))
        for corner in [(0, height), (900, height), (900, 0)]:
            pen.lineTo(corner)
        pen.closePath()
    return pen.glyph()


def make_font(path: Path, characters: str, *, shows_boxes: bool = False) -> None:
    """Write a font that shows a square for these characters and maybe a flat one for others."""
    glyphs = {
        ".notdef": square(300 if shows_boxes else 0),
        "square": square(700),
        "space": square(0),
    }
    names = {ord(one): "space" if one == " " else "square" for one in characters}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(names)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


def forget() -> None:
    for cached in (fonts._font_of, fonts._installed, fonts._probe, fonts.font_at):
        cached.cache_clear()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of all fonts that the machine has."""
    monkeypatch.setattr(fonts, "FOLDERS", (str(tmp_path),))
    forget()
    yield tmp_path
    forget()


@pytest.mark.parametrize("name", EUROPE)
def test_bundled_font_writes_latin_greek_and_cyrillic(name: str, installed: Path) -> None:
    assert can_write(name)
    assert [run.font.path for run in runs_of(name, 20)] == [BUNDLED]


@pytest.mark.parametrize("character", "ßäçıżœΛὁГЉđ€№")
def test_bundled_letters_are_no_boxes(character: str, installed: Path) -> None:
    (run,) = runs_of(character, 40)
    letter, box = run.font.getmask(character), run.font.getmask("\U0010fffe")
    assert (letter.size, bytes(letter)) != (box.size, bytes(box))


@pytest.mark.parametrize("name", ["人", "Bus 人", "\ud800", "", "\u200b", " "])
def test_name_that_no_font_has_is_not_claimed(name: str, installed: Path) -> None:
    assert not can_write(name)


def test_installed_font_writes_what_the_bundled_one_cannot(installed: Path) -> None:
    make_font(installed / "Squares.ttf", "人車a")
    assert can_write("Bus 人車 a")
    runs = runs_of("Bus 人車 a", 20)
    assert [(run.text, Path(str(run.font.path)).name) for run in runs] == [
        ("Bus ", "DejaVuSans.ttf"),
        ("人車", "Squares.ttf"),
        (" a", "DejaVuSans.ttf"),
    ]
    assert length_of(runs) == sum(run.font.getlength(run.text) for run in runs)
    assert runs[1].font.getlength("人車") == 40


def test_words_of_one_script_stay_in_one_part(installed: Path) -> None:
    # Those that run from right to left would be out of order otherwise.
    make_font(installed / "Squares.ttf", "人 車")
    assert [run.text for run in runs_of("人 車", 20)] == ["人 車"]


def test_plain_font_goes_before_a_styled_one(installed: Path) -> None:
    (installed / "sub").mkdir()
    make_font(installed / "A-Bold.ttf", "人")
    make_font(installed / "sub" / "Z.ttf", "人")
    (run,) = runs_of("人", 20)
    assert Path(str(run.font.path)).name == "Z.ttf"


def test_file_that_is_no_font_is_passed_over(installed: Path) -> None:
    (installed / "A.ttf").write_bytes(b"nothing of the kind")
    make_font(installed / "B.ttf", "人")
    assert can_write("人")


def test_fonts_of_boxes_for_everything_are_not_asked(installed: Path) -> None:
    make_font(installed / "LastResort.otf", "人")
    assert not can_write("人")


def test_space_is_never_written_by_a_font_that_shows_a_box_for_it(installed: Path) -> None:
    make_font(installed / "Squares.ttf", "人", shows_boxes=True)
    assert [run.text for run in runs_of("人 a", 20)] == ["人", " a"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("two\nlines\t here ", "two lines here"), ("a\u0308", "ä"), ("no\u200b\x07thing", "nothing")],
)
def test_name_is_written_on_one_line(name: str, shown: str) -> None:
    assert tidy(name) == shown


def tag_of(text: str) -> np.ndarray:
    picture = np.zeros((80, 300, 3), dtype=np.uint8)
    tag = Tag(texts=(text,), colour=(0, 0, 99), spots=around_point(150, 40))
    return write_tags(picture, [tag])


def test_tag_is_as_wide_as_the_fonts_that_write_it(installed: Path) -> None:
    make_font(installed / "Squares.ttf", "人")
    narrow, wide = (np.flatnonzero(tag_of(text).any(axis=(0, 2))) for text in ("Bus", "Bus人人"))
    assert abs(len(wide) - len(narrow) - 20) <= 1  # two squares of the font's size, 10 pixels


def test_letters_of_several_fonts_stand_on_one_line(installed: Path) -> None:
    make_font(installed / "Squares.ttf", "人")
    lowest = [np.flatnonzero((tag_of(text)[:, :, 0] > 128).any(axis=1))[-1] for text in "H人"]
    assert lowest[0] == lowest[1]


def test_name_of_several_lines_does_not_break_the_drawing() -> None:
    np.testing.assert_array_equal(tag_of("two\nlines"), tag_of("two lines"))
