"""A BlendMask server as an auto-annotation function of CVAT's.

    cvat-cli task auto-annotate 137 --function-file cvat_function.py \\
        -p url=str:http://127.0.0.1:8000 --allow-unmatched-labels

It needs cvat-cli alone. Parameters: `url`; `model`, a loaded model's name (the first that the
server has); `api_key`; `timeout_s`.
"""

from __future__ import annotations

import io
import json
import urllib.request
from typing import Any
from urllib.parse import urlencode

import cvat_sdk.auto_annotation as cvataa
import numpy as np
from cvat_sdk.masks import encode_mask
from PIL import Image


class ServerFunction:
    """Finds what a server's model finds.

    Args:
        url: of the server.
        model: one of its models; None: the first.
        api_key: where the server asks for one.
        timeout_s: for one answer.
    """

    def __init__(self, url: str, model: str | None, api_key: str | None, timeout_s: float) -> None:
        self._url = url.rstrip("/")
        self._key = {"X-API-Key": api_key} if api_key else {}
        self._timeout_s = timeout_s
        models = self._ask("/models")["models"]
        names = [one["name"] for one in models]
        if model is not None and model not in names:
            raise ValueError(f"the server has no model {model!r}; it has {', '.join(names)}")
        chosen = models[0 if model is None else names.index(model)]
        self._model = chosen["name"]
        self._ids = {one["name"]: one["id"] for one in chosen["categories"]["things"]}
        self.spec = cvataa.DetectionFunctionSpec(
            labels=[
                cvataa.label_spec(name, number, type="any") for name, number in self._ids.items()
            ]
        )

    def detect(self, context: cvataa.DetectionFunctionContext, image: Image.Image) -> list[Any]:
        """Return an image's masks, or polygons where CVAT asks for those."""
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "PNG", compress_level=1)
        options = {"model": self._model, "format": "cvat"}
        if context.conf_threshold is not None:
            options["score_threshold"] = str(context.conf_threshold)
        if context.conv_mask_to_poly:
            options["masks"] = "polygon"
        shapes = self._ask(f"/segment?{urlencode(options)}", buffer.getvalue())
        return [self._shape(shape, image.width, image.height) for shape in shapes]

    def _shape(self, shape: dict[str, Any], width: int, height: int) -> Any:
        label = self._ids[shape["label"]]
        if shape["type"] == "polygon":
            return cvataa.polygon(label, shape["points"])
        *pixels, left, top, right, bottom = shape["mask"]
        box = (left, top, right + 1, bottom + 1)
        bitmap = np.zeros((height, width), dtype=bool)
        crop = np.array(pixels, dtype=bool).reshape(bottom + 1 - top, right + 1 - left)
        bitmap[top : bottom + 1, left : right + 1] = crop
        return cvataa.mask(label, encode_mask(bitmap, box))

    def _ask(self, path: str, image: bytes | None = None) -> Any:
        head = {"Content-Type": "image/png", "Accept": "application/json", **self._key}
        request = urllib.request.Request(self._url + path, data=image, headers=head)
        with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:
            return json.load(answer)


def create(
    url: str = "http://127.0.0.1:8000",
    model: str | None = None,
    api_key: str | None = None,
    timeout_s: float = 60,
) -> ServerFunction:
    """Return the function, as CVAT's command line asks for it."""
    return ServerFunction(url, model, api_key, timeout_s)
