from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from service_fakes import FakeEngine, app_of, assert_problem, call, picture

from service.configuration.settings import Settings
from service.errors import ForbiddenUrlError, UrlFetchError
from service.http import routes
from service.http.urls.fetcher import Budget, open_fetcher

PICTURE = picture()
BASE64 = base64.b64encode(PICTURE).decode()


class FakeFetcher:
    """Has some pictures; takes from the budget what they weigh."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch_all(self, urls: Sequence[str], budget: Budget) -> list[bytes | Exception]:
        self.asked.extend(urls)
        return [self._fetch(url, budget) for url in urls]

    def _fetch(self, url: str, budget: Budget) -> bytes | Exception:
        if "private" in url:
            return ForbiddenUrlError("its URL leads to 'private'")
        if "missing" in url:
            return UrlFetchError("its URL could not be fetched")
        data = b"no picture" if "text" in url else picture(20, 10)
        try:
            budget.take(len(data))
        except Exception as error:
            return error
        return data


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch) -> FakeFetcher:
    fake = FakeFetcher()
    monkeypatch.setattr(routes, "open_fetcher", lambda settings: fake)
    return fake


def post(engine: FakeEngine, images: Sequence[Any], query: str = "", **settings: Any) -> Any:
    app = app_of(engine, **settings)
    return call(app, "POST", f"/segment{query}", json={"images": images})


def test_pictures_by_url_and_by_value_keep_their_order(fetcher: FakeFetcher) -> None:
    engine = FakeEngine()
    images = [{"url": "https://a.test/1", "id": "one"}, BASE64, {"url": "https://a.test/2"}]
    answer = post(engine, images)

    assert answer.status_code == 200
    assert "fetch;dur=" in answer.headers["server-timing"]
    first, second, third = engine.jobs[0].pictures
    assert [one.id for one in (first, second, third)] == ["one", None, None]
    assert [(one.width, one.height) for one in (first, second, third)] == [
        (20, 10),
        (8, 6),
        (20, 10),
    ]
    assert fetcher.asked == ["https://a.test/1", "https://a.test/2"]


@pytest.mark.parametrize(
    ("url", "status"),
    [("https://private/", 403), ("https://missing/", 400), ("https://text/", 400)],
)
def test_url_that_brings_no_picture_is_named(fetcher: FakeFetcher, url: str, status: int) -> None:
    engine = FakeEngine()
    answer = post(engine, [BASE64, {"url": url, "id": "u"}])
    problem = assert_problem(answer, status, "image 1 ('u')")
    assert problem["image"] == {"index": 1, "id": "u"}
    assert engine.jobs == []


@pytest.mark.parametrize(
    ("image", "mention"),
    [
        ({"url": "https://a.test/", "data": BASE64}, "both"),
        ({"url": 3}, "must be a string"),
        ({"url": None}, "no 'data'"),
    ],
)
def test_url_that_cannot_be_meant_is_422(fetcher: FakeFetcher, image: Any, mention: str) -> None:
    assert_problem(post(FakeEngine(), [image]), 422, "image 0", mention)


@pytest.mark.parametrize(
    ("num_images", "query", "status"),
    [(3, "", 413), (1, "?masks=all", 422), (1, "?model=none", 404), (1, "?classes=unicorn", 422)],
)
def test_nothing_is_fetched_for_a_request_that_is_refused_anyway(
    fetcher: FakeFetcher, num_images: int, query: str, status: int
) -> None:
    images = [{"url": "https://a.test/"}] * num_images
    assert_problem(post(FakeEngine(), images, query, max_images=2), status)
    assert fetcher.asked == []


def test_pictures_by_url_count_into_the_bytes_of_the_request(fetcher: FakeFetcher) -> None:
    limit = 2 * len(picture(20, 10)) - 1
    images = [{"url": "https://a.test/"}] * 2
    answer = post(FakeEngine(), images, max_body_bytes=limit)
    assert_problem(answer, 413, "image 1", f"more than {limit} bytes together")


def test_settings_decide_whether_and_how_pictures_are_fetched() -> None:
    assert open_fetcher(Settings()) is None
    settings = Settings(
        url_input=True, url_hosts=("a.test",), url_max_redirects=1, url_max_bytes=5, url_timeout_s=2
    )
    fetcher = open_fetcher(settings)
    assert fetcher is not None
    assert fetcher.hosts == ("a.test",)
    assert (fetcher.max_redirects, fetcher.max_bytes, fetcher.timeout_s) == (1, 5, 2)
    assert not fetcher.allow_http
