"""The tools' own readers on answers of ours; run by the interpreter that has their packages.

`python readers.py URL PHOTO`: URL of a server with labelling_tools on.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import fiftyone
import numpy as np
from cvat_cli._internal.common import FunctionLoader
from cvat_sdk.auto_annotation import DetectionFunctionContext
from cvat_sdk.masks import decode_mask, encode_mask
from label_studio_sdk.converter.brush import decode_rle, encode_rle
from label_studio_sdk.label_interface import LabelInterface
from masks_of_pictures import HEIGHT, MASKS, WIDTH, native_image, rle_of
from PIL import Image

from model.answers.dialects.choice import tell
from model.answers.dialects.labelstudio_brush import brush

ROOT = Path(__file__).parents[2]
INTERFACE = """<View><Image name="photo" value="$photo"/>
<BrushLabels name="what" toName="photo"><Label value="Bus" predicted_values="bus"/></BrushLabels>
</View>"""


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    head = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=head)) as answer:
        return json.load(answer)


def label_studio_reads_brushes() -> None:
    prediction = tell(native_image(MASKS), "labelstudio", "rle")
    assert isinstance(prediction, dict)
    for region, mask in zip(prediction["result"], MASKS.values(), strict=True):
        pixels = decode_rle(region["value"]["rle"]).reshape(HEIGHT, WIDTH, 4)
        np.testing.assert_array_equal(pixels[:, :, 3] == 255, mask)


def brush_is_label_studios_own() -> None:
    mask = MASKS["noise"]
    pixels = np.repeat(mask.ravel() * np.uint8(255), 4)
    assert bytes(encode_rle(pixels)) == brush(rle_of(mask))


def fiftyone_reads_masks() -> None:
    told = json.dumps(tell(native_image(MASKS), "fiftyone", "rle"))
    for detection, mask in zip(
        fiftyone.Detections.from_json(told).detections, MASKS.values(), strict=True
    ):
        x, y, w, h = np.array(detection.bounding_box) * (WIDTH, HEIGHT, WIDTH, HEIGHT)
        found = np.zeros_like(mask)
        found[round(y) : round(y + h), round(x) : round(x + w)] = detection.mask
        np.testing.assert_array_equal(found, mask)


def cvats_masks_are_its_own() -> None:
    for shape, mask in zip(tell(native_image(MASKS), "cvat", "rle"), MASKS.values(), strict=True):
        assert isinstance(shape, dict)
        *pixels, left, top, right, bottom = shape["mask"]
        crop = np.array(pixels, dtype=bool).reshape(bottom + 1 - top, right + 1 - left)
        bitmap = np.zeros_like(mask)
        bitmap[top : bottom + 1, left : right + 1] = crop
        told = encode_mask(bitmap, (left, top, right + 1, bottom + 1))
        np.testing.assert_array_equal(
            decode_mask(told, image_width=WIDTH, image_height=HEIGHT), mask
        )


def label_studio_takes_the_backends_predictions(url: str, photo: Path) -> None:
    assert ask(f"{url}/labelstudio/health")["status"] == "UP"
    assert ask(f"{url}/labelstudio/setup", {"project": "1", "schema": INTERFACE})["model_version"]
    data = {"photo": base64.b64encode(photo.read_bytes()).decode()}
    body = {"tasks": [{"id": 1, "data": data}], "label_config": INTERFACE, "params": {}}
    [prediction] = ask(f"{url}/labelstudio/predict", body)["results"]
    assert prediction["result"]
    assert LabelInterface(INTERFACE).validate_prediction(prediction, return_errors=True) == []


class Context(DetectionFunctionContext):
    frame_name = "photo.png"
    conf_threshold = 0.25
    conv_mask_to_poly = False


def cvats_command_line_loads_the_function(url: str, photo: Path) -> None:
    parameters = {"url": url}
    function = FunctionLoader(None, ROOT / "scripts" / "cvat_function.py", parameters).load()
    assert any(label.name == "bus" for label in function.spec.labels)
    with Image.open(photo) as image:
        width, height = image.size
        [shape] = function.detect(Context(), image)
        assert shape.type.value == "mask"
        found = decode_mask(shape.points, image_width=width, image_height=height)
        context = Context()
        context.conv_mask_to_poly = True
        [polygon] = function.detect(context, image)
    assert found[:, 0].all()  # what the server of the tests finds: the first column
    assert found.sum() == height
    assert polygon.points == [0, 0, 1, 0, 1, height, 0, height]


def main(url: str, photo: Path) -> None:
    label_studio_reads_brushes()
    brush_is_label_studios_own()
    fiftyone_reads_masks()
    cvats_masks_are_its_own()
    label_studio_takes_the_backends_predictions(url, photo)
    cvats_command_line_loads_the_function(url, photo)
    print("all readers agree")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
