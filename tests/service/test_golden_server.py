"""A started server, a real socket and a real photo: the original's numbers come back."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import goldens
import httpx
import numpy as np
import pytest
import supervision as sv
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from serving import Server, serve

from model.coco_categories import COCO_PANOPTIC

INSTANCE_CONFIG = "550_R_50_dcni3_5x"
PANOPTIC_CONFIG = "Panoptic/R_50_1x"
PHOTO = "chelsea"


def start(name: str, folder: Path) -> Iterator[Server]:
    goldens.require(name, PHOTO)
    weights = goldens.write_original_checkpoint(name, folder / f"{name.replace('/', '_')}.pth")
    with serve("--weights", str(weights)) as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="module")
def server(golden_folder: Path) -> Iterator[Server]:
    yield from start(INSTANCE_CONFIG, golden_folder)


@pytest.fixture(scope="module")
def panoptic_server(golden_folder: Path) -> Iterator[Server]:
    yield from start(PANOPTIC_CONFIG, golden_folder)


def photo() -> bytes:
    (path,) = (goldens.FOLDER / "_images").glob(f"{PHOTO}.*")
    return path.read_bytes()


def post(server: Server, path: str, **request: Any) -> dict[str, Any]:
    answer = httpx.post(server.url + path, timeout=120, **request)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.fixture(scope="module")
def answer(server: Server) -> dict[str, Any]:
    return post(server, "/segment?score_threshold=0", content=photo())


def test_instances_over_http_are_the_originals(answer: dict[str, Any]) -> None:
    expected = goldens.read(f"{INSTANCE_CONFIG}/{PHOTO}")
    (image,) = answer["images"]
    assert (image["width"], image["height"]) == (expected["width"], expected["height"])
    found = image["instances"]
    assert len(found) == expected["n"]
    assert [i["score"] for i in found] == sorted((i["score"] for i in found), reverse=True)
    ids = [COCO_PANOPTIC.things[label].id for label in expected["classes"]]
    for number, (x1, y1, x2, y2) in enumerate(expected["boxes"]):
        box = (x1, y1, x2 - x1, y2 - y1)
        of_class = [i for i in found if i["category_id"] == ids[number]]
        ours = min(of_class, key=lambda i: float(np.abs(np.subtract(i["bbox"], box)).max()))
        assert np.abs(np.subtract(ours["bbox"], box)).max() <= 0.02
        assert abs(ours["score"] - expected["scores"][number]) <= 1e-4
        mask = coco_mask.decode(ours["segmentation"])
        assert int(mask.sum()) == ours["area"]
        differs = mask != coco_mask.decode(expected["masks"][number])
        if expected["masks_uncertain"][number] is not None:
            differs &= coco_mask.decode(expected["masks_uncertain"][number]) == 0
        assert differs.sum() <= 15


def test_every_form_of_body_gives_the_same_answer(server: Server, answer: dict[str, Any]) -> None:
    path = "/segment?score_threshold=0"
    form = post(server, path, files={"image": ("cat.png", photo(), "image/png")})
    data = base64.b64encode(photo()).decode()
    both = {"images": [{"data": data, "id": "a"}, {"data": f"data:image/png;base64,{data}"}]}
    json_form = post(server, path, json=both)
    expected = answer["images"][0]["instances"]
    assert form["images"][0]["id"] == "cat.png"
    assert form["images"][0]["instances"] == expected
    assert [image["id"] for image in json_form["images"]] == ["a", None]
    assert [image["instances"] for image in json_form["images"]] == [expected, expected]


def test_default_threshold_cuts_the_list(server: Server, answer: dict[str, Any]) -> None:
    everything = answer["images"][0]["instances"]
    (image,) = post(server, "/segment", content=photo())["images"]
    assert image["instances"] == [i for i in everything if i["score"] >= 0.3]


def test_coco_tools_load_the_answer(answer: dict[str, Any]) -> None:
    (image,) = answer["images"]
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": 7, "width": image["width"], "height": image["height"]}],
        "categories": [{"id": c.id, "name": c.name} for c in COCO_PANOPTIC.things],
        "annotations": [],
    }
    truth.createIndex()
    loaded = truth.loadRes([{**i, "image_id": 7} for i in image["instances"]])
    assert len(loaded.getAnnIds(imgIds=[7])) == len(image["instances"])
    # loadRes numbers the results from 1, and puts the box's area in place of the mask's.
    for number, instance in enumerate(image["instances"], start=1):
        assert loaded.annToMask(loaded.anns[number]).sum() == instance["area"]


def test_supervision_reads_the_answer(answer: dict[str, Any]) -> None:
    found = answer["images"][0]["instances"]
    xywh = np.array([i["bbox"] for i in found], dtype=np.float64)
    detections = sv.Detections(
        xyxy=np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]]),
        mask=np.stack([coco_mask.decode(i["segmentation"]).astype(bool) for i in found]),
        confidence=np.array([i["score"] for i in found]),
        class_id=np.array([i["category_id"] for i in found]),
    )
    np.testing.assert_array_equal(detections.mask.sum(axis=(1, 2)), [i["area"] for i in found])
    picture = goldens.image(PHOTO)
    annotated = sv.MaskAnnotator().annotate(picture[..., ::-1].copy(), detections)
    assert (annotated != picture[..., ::-1]).any()


def test_partition_over_http_is_the_originals(panoptic_server: Server) -> None:
    expected = goldens.read(f"{PANOPTIC_CONFIG}/{PHOTO}")
    (with_rle,) = post(panoptic_server, "/panoptic", content=photo())["images"]
    (with_png,) = post(panoptic_server, "/panoptic?masks=png", content=photo())["images"]
    categories = [
        COCO_PANOPTIC.of(row["category_id"], row["isthing"]).id for row in expected["segments_info"]
    ]
    assert [s["category_id"] for s in with_rle["segments"]] == categories
    assert all("segmentation" not in s for s in with_png["segments"])
    colours = np.asarray(Image.open(io.BytesIO(base64.b64decode(with_png["png"])))).astype(int)
    ids = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
    rebuilt = np.zeros_like(ids)
    for segment in with_rle["segments"]:
        rebuilt[coco_mask.decode(segment["segmentation"]).astype(bool)] = segment["id"]
    np.testing.assert_array_equal(rebuilt, ids)
    differs = ids != goldens.labels(f"{PANOPTIC_CONFIG}/{PHOTO}.panoptic")
    for uncertain in filter(None, expected["masks_uncertain"]):
        differs &= coco_mask.decode(uncertain) == 0
    assert differs.sum() <= expected["sem_px_top2_margin_below_1e-3"]


def test_panoptic_of_an_instance_model_is_refused(server: Server) -> None:
    answer = httpx.post(f"{server.url}/panoptic", content=photo(), timeout=60)
    assert answer.status_code == 422
    assert "cannot do /panoptic" in answer.json()["detail"]
