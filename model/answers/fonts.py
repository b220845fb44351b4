"""Which font writes which characters: the bundled one, else the first on the machine that can."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

BUNDLED = Path(__file__).parent / "bundled_font" / "DejaVuSans.ttf"
# Where fontconfig looks, too.
FOLDERS = ("~/.local/share/fonts", "~/.fonts", "/usr/local/share/fonts", "/usr/share/fonts")
_ENDINGS = (".ttf", ".otf", ".ttc")
# Fonts of these styles come last; the last resort draws boxes on purpose.
_STYLES = ("bold", "italic", "oblique", "mono", "serif", "condensed", "thin", "light", "black")
_BOXES = "lastresort"
_NO_CHARACTER = "\U0010fffe"  # no font has it, so it shows the box that stands for what is missing
_PROBE_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class Run:
    """Part of a text, and the font that writes it."""

    text: str
    font: ImageFont.FreeTypeFont


def tidy(text: str) -> str:
    """Return the text on one line, composed, without characters that only control others."""
    shown = "".join(c for c in unicodedata.normalize("NFC", text) if not _only_controls(c))
    return " ".join(shown.split())


def can_write(text: str) -> bool:
    """Say whether there are characters in the text, and a font for each of them."""
    shown = tidy(text)
    return shown != "" and all(_font_of(character) is not None for character in shown)


def runs_of(text: str, size: int) -> list[Run]:
    """Return the text in parts that one font each can write; what none can, the bundled one does.

    Args:
        size: of the fonts, in pixels.
    """
    parts: list[tuple[Path, str]] = []
    for character in tidy(text):
        path = _font_of(character) or BUNDLED
        if parts and (path == parts[-1][0] or _goes_on(parts[-1][0], character)):
            parts[-1] = (parts[-1][0], parts[-1][1] + character)
        elif parts and path == BUNDLED and parts[-1][1].endswith(" "):
            # A script that runs from right to left would put its last space on the left.
            parts[-1] = (parts[-1][0], parts[-1][1][:-1])
            parts.append((path, " " + character))
        else:
            parts.append((path, character))
    return [Run(text=part, font=font_at(path, size)) for path, part in parts]


def length_of(runs: list[Run]) -> float:
    """Return the width of a text, in pixels."""
    return sum(run.font.getlength(run.text) for run in runs)


@lru_cache(maxsize=64)
def font_at(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """Return the font in a file at a size in pixels. OSError if it cannot be read."""
    return ImageFont.truetype(path, size)


def _only_controls(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf") and not character.isspace()


def _goes_on(path: Path, character: str) -> bool:
    """Say whether a character stays with the font of those before it, if that can write it."""
    is_mark = unicodedata.category(character).startswith("M")
    return (is_mark or character == " ") and _has(path, character)


@lru_cache(maxsize=4096)
def _font_of(character: str) -> Path | None:
    if _has(BUNDLED, character):
        return BUNDLED
    return next((path for path in _installed() if _has(path, character)), None)


def _has(path: Path, character: str) -> bool:
    try:
        font = _probe(path)
        drawn = _dots(font, character)
        if character == " ":
            return not any(drawn[1])
        return any(drawn[1]) and drawn != _dots(font, _NO_CHARACTER)
    except (OSError, ValueError):  # not a font after all, or one of pictures; a lone surrogate
        return False


def _dots(font: ImageFont.FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)


@lru_cache(maxsize=64)
def _probe(path: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, _PROBE_SIZE, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=1)
def _installed() -> tuple[Path, ...]:
    """Return the machine's fonts, plain ones first."""
    return tuple(sorted(_find_fonts(), key=lambda path: (_is_styled(path), path.name, path)))


def _find_fonts() -> Iterator[Path]:
    for top in FOLDERS:
        for folder, _, names in os.walk(Path(top).expanduser()):
            for name in names:
                if name.lower().endswith(_ENDINGS) and _BOXES not in name.lower():
                    yield Path(folder, name)


def _is_styled(path: Path) -> bool:
    name = path.stem.lower().replace("sansserif", "").replace("sans-serif", "")
    return any(style in name for style in _STYLES)
