"""The page does for a person what the answer says; a real browser, a real server.

Needs a Chromium; two of the tests are in `make test`, all in `make page-test`.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import tiny
from axe_playwright_python.sync_playwright import Axe
from browser import CHROMIUM, Watched, browse
from goldens import FOLDER
from PIL import Image
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from serving import Server, serve

from model.checkpoints import checkpoint

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]

PHOTO = FOLDER / "_images" / "chelsea.png"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the bundled model, one that does both tasks and one that does one."""
    folder = tmp_path_factory.mktemp("weights")
    models = ["--model", "small=small"]
    for name, semantic in (("both", True), ("instances", False)):
        predictor = tiny.tiny_predictor(semantic=semantic)
        checkpoint.save(
            folder / f"{name}.safetensors",
            checkpoint.Checkpoint(
                config=predictor.config,
                categories=replace(tiny.CATEGORIES, stuff=tiny.CATEGORIES.stuff * semantic),
                tensors=dict(predictor.model.state_dict()),
                sha256="",
                provenance={"source": "a test"},
            ),
        )
        models += ["--model", f"{name}={folder / name}.safetensors"]
    with serve(*models) as started:
        started.wait_until_ready()
        yield started


@pytest.fixture
def visit(server: Server) -> Iterator[Watched]:
    """The page, open; what it asked for and what went wrong is judged at the end."""
    with browse(server.url, viewport={"width": 1280, "height": 800}) as watched:
        yield watched
        assert watched.errors == []
        host = urlsplit(server.url).netloc
        elsewhere = [url for _, url in watched.requests if urlsplit(url).netloc not in (host, "")]
        assert elsewhere == []


def _answer(server: Server, task: str = "segment", **options: Any) -> dict[str, Any]:
    answer = httpx.post(
        f"{server.url}/{task}",
        content=PHOTO.read_bytes(),
        params=options,
        headers={"Content-Type": "image/png"},
        timeout=60,
    )
    image: dict[str, Any] = answer.raise_for_status().json()["images"][0]
    return image


def _union(image: dict[str, Any], threshold: float) -> np.ndarray:
    masks = [
        coco_masks.decode(instance["segmentation"])
        for instance in image["instances"]
        if instance["score"] >= threshold
    ]
    assert masks
    return np.maximum.reduce(masks).astype(bool)


def _canvas(watched: Watched) -> np.ndarray:
    """What the canvas shows: (height, width, 3)."""
    watched.settle()
    data = watched.page.evaluate("document.getElementById('canvas').toDataURL('image/png')")
    encoded = base64.b64decode(data.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")).astype(int)


def _pixels(path: Path, mode: str = "RGB") -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


def _hold(watched: Watched, *, hidden: bool) -> None:
    watched.page.focus("#canvas")
    (watched.page.keyboard.down if hidden else watched.page.keyboard.up)("h")


def _place(watched: Watched) -> tuple[float, float, float]:
    zoom, left, top = watched.page.evaluate(
        "(({zoom, left, top}) => [zoom, left, top])(window.blendmask.view)"
    )
    return zoom, left, top


def _masked_pixels_are(watched: Watched, expected: np.ndarray) -> None:
    """Hold the canvas to a mask of the picture, pixel by pixel, by hiding and showing masks."""
    shown = _canvas(watched)
    _hold(watched, hidden=True)
    plain = _canvas(watched)
    _hold(watched, hidden=False)
    differs = (shown != plain).any(axis=2)
    zoom, left, top = _place(watched)
    rows, columns = np.indices(differs.shape)
    x = np.floor((columns + 0.5 - np.floor(left + 0.5)) / zoom).astype(int)
    y = np.floor((rows + 0.5 - np.floor(top + 0.5)) / zoom).astype(int)
    height, width = expected.shape
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    wanted = np.zeros_like(differs)
    wanted[inside] = expected[y[inside], x[inside]]
    assert wanted.any()
    assert not wanted.all()
    assert (differs != wanted).sum() == 0


def _show_masks_alone(watched: Watched) -> None:
    watched.page.uncheck("#names")
    watched.slide("opacity", 1)


def test_dropped_photo_has_its_masks_on_the_right_pixels_at_every_zoom(
    server: Server, visit: Watched
) -> None:
    visit.drop(PHOTO, "image/png")
    visit.wait_for_objects()
    image = _answer(server, model="small", score_threshold=0.05)
    _show_masks_alone(visit)
    visit.slide("score", 0.3)
    expected = _union(image, 0.3)
    visit.page.evaluate(
        "(() => { const {view} = window.blendmask; view.zoomBy(1 / view.zoom); })()"
    )
    assert _place(visit)[0] == pytest.approx(1)
    _masked_pixels_are(visit, expected)
    visit.page.evaluate("window.blendmask.view.zoomBy(8)")
    # To an edge of the masks, the rest of the way by dragging.
    y, x = np.argwhere(expected[:, 1:] != expected[:, :-1])[0]
    visit.page.evaluate(
        """([x, y]) => {
          const {view} = window.blendmask;
          view.panBy(500 - (x * view.zoom + view.left), 300 - (y * view.zoom + view.top));
        }""",
        [int(x), int(y)],
    )
    visit.page.mouse.move(400, 400)
    visit.page.mouse.down()
    visit.page.mouse.move(337, 441, steps=5)
    visit.page.mouse.up()
    visit.page.mouse.move(1, 1)  # what is pointed at has an outline besides
    assert _place(visit)[0] == pytest.approx(8)
    _masked_pixels_are(visit, expected)


def test_score_slider_and_classes_need_no_request(server: Server, visit: Watched) -> None:
    visit.choose(PHOTO)
    before = list(visit.requests)
    image = _answer(server, model="small", score_threshold=0.05)
    for threshold in (0.1, 0.3, 0.6):
        visit.slide("score", threshold)
        wanted = sum(instance["score"] >= threshold for instance in image["instances"])
        assert visit.page.locator("#list li:visible").count() == wanted
    visit.slide("score", 0.1)
    first = image["instances"][0]["category"]
    visit.page.click("#classes-box summary")
    visit.page.uncheck(f"#classes label:text-is('{first}') input")
    others = [i for i in image["instances"] if i["score"] >= 0.1 and i["category"] != first]
    assert visit.page.locator("#list li:visible").count() == len(others)
    assert visit.requests == before


@pytest.mark.page
def test_pointer_finds_the_smallest_mask_and_the_list_shows_it(
    server: Server, visit: Watched
) -> None:
    visit.choose(PHOTO)
    visit.slide("score", 0.3)
    instances = [
        (index, coco_masks.decode(instance["segmentation"]), instance["area"])
        for index, instance in enumerate(_answer(server, score_threshold=0.05)["instances"])
        if instance["score"] >= 0.3
    ]
    zoom, left, top = _place(visit)
    box = visit.page.locator("#canvas").bounding_box()
    assert box is not None
    covered = np.argwhere(np.maximum.reduce([m for _, m, _ in instances]))
    for y, x in covered[:: len(covered) // 8]:
        wanted = min((area, -index) for index, m, area in instances if m[y, x])
        visit.page.mouse.move(box["x"] + left + (x + 0.5) * zoom, box["y"] + top + (y + 0.5) * zoom)
        visit.settle()
        hovered = visit.page.evaluate("window.blendmask.view.hovered?.area")
        assert hovered == wanted[0]
        assert visit.page.locator("#list button.hovered").count() == 1


@pytest.mark.page
def test_keys_walk_through_the_objects_and_let_go(visit: Watched) -> None:
    visit.choose(PHOTO)
    visit.page.focus("#canvas")
    pressed = "#list button[aria-pressed=true]"
    visit.page.keyboard.press("ArrowDown")
    first = visit.page.locator(pressed).text_content()
    visit.page.keyboard.press("ArrowDown")
    assert visit.page.locator(pressed).count() == 1
    visit.page.keyboard.press("ArrowUp")
    assert visit.page.locator(pressed).text_content() == first
    zoom = _place(visit)[0]
    visit.page.keyboard.press("+")
    assert _place(visit)[0] > zoom
    left = _place(visit)[1]
    visit.page.keyboard.press("Shift+ArrowRight")
    assert _place(visit)[1] < left
    visit.page.keyboard.press("0")
    assert _place(visit)[0] == pytest.approx(zoom)
    visit.page.keyboard.press("Escape")
    assert visit.page.locator(pressed).count() == 0


def test_panoptic_is_offered_where_the_model_can_and_its_png_is_the_servers(
    server: Server, visit: Watched
) -> None:
    visit.page.select_option("#model", "instances")
    assert visit.page.is_disabled("input[value=panoptic]")
    visit.page.select_option("#model", "both")
    visit.page.check("input[value=panoptic]")
    visit.choose(PHOTO)
    visit.slide("score", 0)
    with visit.page.expect_download() as download:
        visit.page.click("[data-take=panoptic]")
    ours = _pixels(download.value.path())
    told = _answer(server, "panoptic", model="both", masks="png")
    theirs = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["png"]))).convert("RGB"))
    assert np.array_equal(ours, theirs)


@pytest.mark.page
def test_downloads_are_what_is_shown(server: Server, visit: Watched, tmp_path: Path) -> None:
    visit.choose(PHOTO)
    visit.slide("score", 0.4)
    image = _answer(server, score_threshold=0.05)
    wanted = [instance for instance in image["instances"] if instance["score"] >= 0.4]
    with visit.page.expect_download() as native:
        visit.page.click("[data-take=json]")
    assert json.loads(native.value.path().read_text())["images"][0]["instances"] == wanted
    with visit.page.expect_download() as coco:
        visit.page.click("[data-take=coco]")
    truth = tmp_path / "truth.json"
    categories = [{"id": i, "name": str(i)} for i in range(1, 91)]
    images = [{"id": 1, "width": image["width"], "height": image["height"]}]
    truth.write_text(json.dumps({"images": images, "annotations": [], "categories": categories}))
    loaded = COCO(str(truth)).loadRes(str(coco.value.path()))
    masks = [loaded.annToMask(one) for one in loaded.loadAnns(loaded.getAnnIds())]
    assert len(masks) == len(wanted)
    for ours, instance in zip(masks, wanted, strict=True):
        assert np.array_equal(ours, coco_masks.decode(instance["segmentation"]))
    with visit.page.expect_download() as overlay:
        visit.page.click("[data-take=overlay]")
    with Image.open(overlay.value.path()) as drawn:
        assert drawn.size == (image["width"], image["height"])


@pytest.mark.page
def test_cutout_is_the_object_and_nothing_else(server: Server, visit: Watched) -> None:
    visit.choose(PHOTO)
    visit.page.focus("#canvas")
    visit.page.keyboard.press("ArrowDown")
    instance = _answer(server, score_threshold=0.05)["instances"][0]
    bits = coco_masks.decode(instance["segmentation"]).astype(bool)
    rows, columns = bits.any(axis=1).nonzero()[0], bits.any(axis=0).nonzero()[0]
    tight = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    with visit.page.expect_download() as download:
        visit.page.click("[data-take=cutout]")
    cutout = _pixels(download.value.path(), "RGBA")
    assert np.array_equal(cutout[..., 3] > 0, bits[tight])
    photo = _pixels(PHOTO)[tight]
    assert np.array_equal(cutout[..., :3][bits[tight]], photo[bits[tight]])


@pytest.mark.page
def test_full_server_is_asked_again_when_it_said(visit: Watched) -> None:
    refusals = []

    def refuse_once(route: Any) -> None:
        if refusals:
            route.continue_()
            return
        refusals.append(route.request.url)
        problem = {"type": "about:blank", "title": "Too many", "status": 429, "detail": "full"}
        route.fulfill(
            status=429,
            headers={"Retry-After": "1", "Content-Type": "application/problem+json"},
            body=json.dumps(problem),
        )

    visit.page.route("**/segment?*", refuse_once)
    visit.choose(PHOTO)
    assert len(refusals) == 1
    assert len(visit.asked()) == 2


@pytest.mark.page
def test_refusal_is_told_where_the_picture_would_be(visit: Watched, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"this is no picture")
    visit.page.set_input_files("#files", broken)
    visit.page.wait_for_selector("#trouble:visible")
    told = visit.page.locator("#trouble").text_content() or ""
    assert "image" in told
    visit.choose(PHOTO)
    assert visit.page.is_hidden("#trouble")


@pytest.mark.page
def test_page_outlives_a_restart_of_the_server() -> None:
    with serve() as first:
        first.wait_until_ready()
        port = str(urlsplit(first.url).port)
        with browse(first.url) as visit:
            visit.choose(PHOTO)
            first.terminate()
            visit.page.set_input_files("#files", FOLDER / "_images" / "astronaut.png")
            visit.wait_until(
                "document.getElementById('work-text').textContent.includes('trying again')"
            )
            with serve("--port", port) as second:
                second.wait_until_ready()
                visit.wait_until("window.blendmask.view.scene?.width === 512")
            assert visit.errors == []


@pytest.mark.page
def test_key_is_asked_for_and_kept_for_the_tab() -> None:
    with serve("--keys", "open-sesame-open-sesame") as locked:
        locked.wait_until_ready()
        with browse(locked.url, is_open=False) as visit:
            visit.page.wait_for_selector("#key-dialog[open]")
            visit.page.fill("#key", "open-sesame-open-sesame")
            visit.page.click("#key-dialog button[value=ok]")
            visit.choose(PHOTO)
            visit.page.reload()
            visit.wait_until_open()
            assert visit.page.evaluate("localStorage.length") == 0
            assert visit.page.evaluate("document.cookie") == ""


@pytest.mark.page
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_nothing_keeps_anybody_out(server: Server, scheme: str, size: tuple[int, int]) -> None:
    axe = Axe()
    viewport = {"width": size[0], "height": size[1]}
    with browse(server.url, viewport=viewport, color_scheme=scheme) as visit:
        found = [axe.run(visit.page)]
        visit.choose(PHOTO)
        for summary in visit.page.locator("summary").all():
            summary.click()
        found.append(axe.run(visit.page))
        for result in found:
            assert result.violations_count == 0, result.generate_report()


def test_page_can_be_turned_off() -> None:
    with serve("--no-page") as without:
        without.wait_until_listening()
        assert httpx.get(without.url).status_code == 404


def test_files_of_the_page_are_kept_and_the_page_is_asked_for_anew(server: Server) -> None:
    page = httpx.get(server.url)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-cache"
    same = httpx.get(server.url, headers={"If-None-Match": page.headers["etag"]})
    assert same.status_code == 304
    script = page.text.split('src="')[1].split('"')[0]
    kept = httpx.get(f"{server.url}/{script}")
    assert "immutable" in kept.headers["cache-control"]
    other_edition = script.replace(script.split("/")[1], "0" * 16)
    assert httpx.get(f"{server.url}/{other_edition}").status_code == 404
    outside = httpx.get(f"{server.url}/{script.rsplit('/', 1)[0]}/..%2f..%2fapp.py")
    assert outside.status_code == 404
