"""What a client asks, as one HTTP request: options in the query, the picture as the raw body."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import httpx

from model.version import installed_version
from service.client.pictures import sent_picture

if TYPE_CHECKING:
    from service.client.pictures import Picture
    from service.client.tries import Tries

Task = Literal["segment", "panoptic"]
PictureType = Literal["image/jpeg", "image/png"]

DEADLINE_S = 60.0
NUM_AT_ONCE = 8
# Servers keep idle connections for 75 s unless told otherwise; a request must not meet their end.
_KEEP_ALIVE_S = 30.0
_JSON = "application/json"


class Kept(TypedDict, total=False):
    """What to keep of what the model finds; what is left out is as the server has it.

    model: a loaded model's name. score_threshold: 0 to 1. max_instances: the best so many.
    classes: names, or the data set's own ids as numbers. background: what shows where a picture is
    transparent, "white", "black" or "checker"; its alpha is dropped without.
    """

    model: str
    score_threshold: float
    max_instances: int
    classes: str | int | Iterable[str | int]
    background: Literal["white", "black", "checker"]


class SegmentOptions(Kept, total=False):
    """Options of `segment`. masks: "rle", "polygon" or "none"."""

    masks: Literal["rle", "polygon", "none"]


class PanopticOptions(Kept, total=False):
    """Options of `panoptic`. masks: "rle", "png" or "none"."""

    masks: Literal["rle", "png", "none"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request."""

    path: str
    method: str = "POST"
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def arguments(self, tries: Tries) -> dict[str, Any]:
        """Return the arguments of httpx for the next try."""
        timeout = tries.begin()
        # The server need not work for longer than somebody waits here.
        tracked = {"X-Request-Timeout": f"{timeout.read:.3f}", "X-Request-ID": tries.request_id}
        return {
            "method": self.method,
            "url": self.path,
            "params": self.params,
            "headers": {**self.headers, **tracked},
            "content": self.body,
            "timeout": timeout,
        }


LIST_MODELS = Question(method="GET", path="models", headers={"Accept": _JSON})
READY = Question(method="GET", path="readyz", headers={"Accept": _JSON})


def ask(task: Task, picture: Picture, options: Mapping[str, Any], accept: str = _JSON) -> Question:
    """Return the request about a picture.

    Raises:
        ValueError, OSError: it is no picture, or cannot be read.
    """
    body, content_type = sent_picture(picture), "application/octet-stream"
    given = {name: value for name, value in options.items() if value is not None}
    classes = given.pop("classes", None)
    params = {name: str(value) for name, value in given.items()}
    if classes is not None:
        wanted = [classes] if isinstance(classes, str | int) else list(classes)
        names = [one for one in wanted if isinstance(one, str) and "," not in one]
        if wanted and names == wanted:
            params["classes"] = ",".join(names)
        else:  # only JSON tells an id from a name, and has names with commas
            data = base64.b64encode(body).decode("ascii")
            body = json.dumps({"image": {"data": data}, "classes": wanted}).encode()
            content_type = _JSON
    headers = {"Accept": accept, "Content-Type": content_type}
    return Question(path=task, params=params, headers=headers, body=body)


def ask_drawing(
    task: Task, picture: Picture, options: Mapping[str, Any], media_type: PictureType
) -> Question:
    """Return the request for a drawing of a picture; raises as `ask`."""
    return ask(task, picture, {**options, "render": "overlay"}, accept=media_type)


def ask_cutout(
    task: Task, picture: Picture, number: int | None, crop: bool, options: Mapping[str, Any]
) -> Question:
    """Return the request for what is cut out of a picture; raises as `ask`."""
    name = "instance" if task == "segment" else "segment"
    what = {"render": "cutout", name: number, "crop": "true" if crop else None}
    return ask(task, picture, {**options, **what}, accept="image/png")


def http_arguments(url: str, api_key: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client of httpx.

    Args:
        url: of the server; it may have a path, that of a proxy.
        given: by the caller; these come before ours.
    """
    headers = {"User-Agent": f"blendmask-client/{installed_version()}"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    limits = httpx.Limits(max_connections=100, keepalive_expiry=_KEEP_ALIVE_S)
    usual = {"base_url": url.rstrip("/") + "/", "limits": limits}
    return {**usual, **given, "headers": {**headers, **given.get("headers", {})}}
