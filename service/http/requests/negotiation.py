"""What a caller's header fields ask for: JSON or a picture, and how long he waits."""

from __future__ import annotations

import math
from typing import Literal

from service.errors import OptionError
from service.wording import quoted

JPEG, PNG, JSON = "image/jpeg", "image/png", "application/json"


Render = Literal["json", "overlay", "cutout"]
PICTURE_RENDERS: tuple[Render, ...] = ("overlay", "cutout")


def picture_type(render: Render | None, accept: str | None) -> str | None:
    """Return the media type of the picture to answer with, or None for JSON.

    An explicit `render` decides; else it is a drawing if `Accept` rules JSON out and takes
    JPEG or PNG. PNG is drawn only where it is preferred; a cutout is always PNG, for which alone
    knows transparency.
    """
    if render == "cutout":
        return PNG
    qualities = _parse_accept(accept or "*/*")
    png, jpeg = _quality(PNG, qualities), _quality(JPEG, qualities)
    drawn = PNG if png > jpeg else JPEG
    if render is not None:
        return drawn if render == "overlay" else None
    wants_picture = _quality(JSON, qualities) == 0 and max(png, jpeg) > 0
    return drawn if wants_picture else None


def time_allowed_s(requested: str | None, limit_s: float) -> float:
    """Return the seconds a request may take: the server's limit, or the caller's if shorter.

    Raises:
        OptionError: `requested` is not a positive number.
    """
    if requested is None:
        return limit_s
    try:
        seconds = float(requested)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise OptionError(
            f"X-Request-Timeout is {quoted(requested)}; it must be a number of seconds above 0"
        )
    return min(seconds, limit_s)


def _parse_accept(accept: str) -> dict[str, float]:
    """Return quality by media range; a quality that cannot be read counts as 1."""
    qualities: dict[str, float] = {}
    for entry in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 1.0
        qualities[media_range] = quality
    return qualities


def _quality(media_type: str, qualities: dict[str, float]) -> float:
    major = media_type.partition("/")[0]
    for media_range in (media_type, f"{major}/*", "*/*"):
        if media_range in qualities:
            return qualities[media_range]
    return 0.0
