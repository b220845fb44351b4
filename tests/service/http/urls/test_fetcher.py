from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.errors import (
    ForbiddenUrlError,
    OptionError,
    QueueFullError,
    TooLargeError,
    UrlFetchError,
)
from service.http.requests.upload_room import Hold, UploadRoom
from service.http.urls.fetcher import Budget, UrlFetcher
from service.http.urls.public_addresses import is_public

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

TLS = Path(__file__).with_name("tls")
CERTIFICATE, KEY = TLS / "pictures.test.pem", TLS / "pictures.test.key"
OK = b"HTTP/1.1 200 OK\r\n"


class Site:
    """A server on the loopback; it notes the heads of the requests that it gets.

    Args:
        answers: what it sends, by path; a function may send at its leisure.
    """

    def __init__(self, answers: dict[str, bytes | Handle]) -> None:
        self.answers = answers
        self.heads: list[str] = []
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            answer = self.answers[head.split()[1]]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def open_site(
    answers: dict[str, bytes | Handle], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Site]:
    site = Site(answers)
    server = await asyncio.start_server(site.handle, "127.0.0.1", 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()


async def on_loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def loopback_is_public(address: str) -> bool:
    return address == "127.0.0.1"


def fetcher(**changes: Any) -> UrlFetcher:
    members: dict[str, Any] = {
        "allow_http": True,
        "resolve": on_loopback,
        "is_public": loopback_is_public,
        "max_bytes": 1000,
        **changes,
    }
    return UrlFetcher(**members)


def budget(limit: int = 10_000, room: int = 10_000) -> Budget:
    return Budget(limit, Hold(UploadRoom(room)))


def get(
    answers: dict[str, bytes | Handle], path: str = "/a.jpg", **changes: Any
) -> tuple[bytes, list[str]]:
    """What one fetch brings, and the heads of the requests."""

    async def run() -> tuple[bytes, list[str]]:
        async with open_site(answers) as site:
            data = await fetcher(**changes).fetch(
                f"http://pictures.test:{site.port}{path}", budget()
            )
            return data, site.heads

    return asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        OK + b"\r\nhello",
        OK + b"Content-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    ],
)
def test_picture_is_fetched_however_it_is_framed(answer: bytes) -> None:
    assert get({"/a.jpg": answer})[0] == b"hello"


def test_request_brings_nothing_of_the_servers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    _, [head] = get({"/a.jpg?x=1": OK + b"\r\n"}, "/a.jpg?x=1")
    first, *fields = head.rstrip().split("\r\n")
    assert first == "GET /a.jpg?x=1 HTTP/1.1"
    assert {field.split(":")[0] for field in fields} == {
        "Host",
        "User-Agent",
        "Accept",
        "Accept-Encoding",
        "Connection",
    }
    assert "Accept: image/*" in fields
    assert "Accept-Encoding: identity" in fields


@pytest.mark.parametrize("status", [b"404 Not Found", b"500 No", b"204 Empty", b"206 Part"])
def test_other_answers_are_refused_naming_the_status(status: bytes) -> None:
    with pytest.raises(UrlFetchError, match=f"answered {status[:3].decode()}"):
        get({"/a.jpg": b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"})


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        OK + b"Content-Length: 5\r\n\r\nhel",
        OK + b"Content-Length: many\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
        OK + b"X: " + b"y" * 100_000,
    ],
)
def test_answer_that_is_broken_is_refused(answer: bytes) -> None:
    with pytest.raises(UrlFetchError, match="breaks off, or is not HTTP"):
        get({"/a.jpg": answer})


def test_compressed_answer_is_refused() -> None:
    body = gzip.compress(bytes(10_000_000))
    answer = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with pytest.raises(UrlFetchError, match="'gzip'"):
        get({"/a.jpg": answer})


def test_large_length_is_refused_before_anything_is_read() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 100000000000\r\n\r\n")
        await reader.read()

    with pytest.raises(TooLargeError, match="100000000000 bytes; at most 1000"):
        get({"/a.jpg": endless})


@pytest.mark.parametrize("start", [b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_endless_body_is_cut_off_at_the_limit(start: bytes) -> None:
    num_sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal num_sent
        writer.write(OK + start)
        while True:
            writer.write(b"64\r\n" + b"x" * 100 + b"\r\n")
            num_sent += 100
            await writer.drain()

    with pytest.raises(TooLargeError, match="more than 1000 bytes"):
        get({"/a.jpg": endless})
    assert num_sent < 50_000_000


def test_body_of_just_the_limit_passes() -> None:
    data, _ = get({"/a.jpg": OK + b"Content-Length: 1000\r\n\r\n" + bytes(1000)})
    assert len(data) == 1000


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200", OK + b"\r\n"])
def test_slow_server_is_given_up(first: bytes) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while first:
            await asyncio.sleep(0.02)
            writer.write(b" ")
        await reader.read()

    with pytest.raises(UrlFetchError, match=r"within 0\.2 s"):
        get({"/a.jpg": trickle}, timeout_s=0.2)


def test_slow_name_server_is_given_up() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(3600)
        return []

    with pytest.raises(UrlFetchError, match=r"within 0\.1 s"):
        get({}, timeout_s=0.1, resolve=resolve)


def test_nobody_listening_is_refused() -> None:
    async def run() -> None:
        async with open_site({}) as site:
            port = site.port
        await fetcher().fetch(f"http://pictures.test:{port}/", budget())

    with pytest.raises(UrlFetchError, match="no connection"):
        asyncio.run(run())


def test_second_address_is_tried_where_the_first_does_not_answer() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]

    def is_loopback(address: str) -> bool:
        return address.startswith("127.")

    data, _ = get({"/a.jpg": OK + b"\r\nhello"}, resolve=resolve, is_public=is_loopback)
    assert data == b"hello"


def test_host_with_any_private_address_is_refused_and_nothing_connects() -> None:
    async def run() -> list[str]:
        async with open_site({}) as site:
            for addresses in (["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:8.8.8.8"], []):

                async def resolve(
                    host: str, port: int, found: Sequence[str] = addresses
                ) -> Sequence[str]:
                    return found

                with pytest.raises(ForbiddenUrlError, match="not on the public internet"):
                    await fetcher(resolve=resolve, is_public=is_public).fetch(
                        f"http://pictures.test:{site.port}/", budget()
                    )
            return site.heads

    assert asyncio.run(run()) == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]", "localhost"]
)
def test_every_way_to_write_the_loopback_is_refused(host: str) -> None:
    url = f"https://{host}/"
    with pytest.raises((ForbiddenUrlError, UrlFetchError)) as caught:
        asyncio.run(UrlFetcher().fetch(url, budget()))
    assert isinstance(caught.value, ForbiddenUrlError) or "no such host" in caught.value.detail


def test_name_that_changes_its_address_is_asked_only_once() -> None:
    """DNS rebinding: first a public address, then the loopback."""
    answers = ["93.184.215.14", "127.0.0.1"]
    asked: list[str] = []
    connected: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return [answers[len(asked) - 1]]

    async def run() -> list[str]:
        async with open_site({"/": OK + b"\r\nsecret"}) as site:
            loop = asyncio.get_running_loop()
            connect = loop.create_connection

            async def note(protocol: Any, host: Any = None, *rest: Any, **more: Any) -> Any:
                connected.append(host)
                raise ConnectionRefusedError

            loop.create_connection = note  # type: ignore[method-assign]
            try:
                await fetcher(resolve=resolve, is_public=is_public).fetch(
                    f"http://pictures.test:{site.port}/", budget()
                )
            except UrlFetchError:
                return site.heads
            finally:
                loop.create_connection = connect  # type: ignore[method-assign]
        raise AssertionError("it was fetched")

    assert asyncio.run(run()) == []
    assert asked == ["pictures.test"]
    assert connected == ["93.184.215.14"]


def test_redirects_are_followed_and_each_is_resolved_anew() -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async def run() -> bytes:
        async with open_site({}) as site:
            site.answers = {
                "/a": b"HTTP/1.1 302 Found\r\nLocation: /b?c\r\nContent-Length: 0\r\n\r\n",
                "/b?c": b"HTTP/1.1 308 Moved\r\nLocation: http://other.test:%d/d\r\n\r\n"
                % site.port,
                "/d": OK + b"\r\nhello",
            }
            url = f"http://pictures.test:{site.port}/a"
            return await fetcher(resolve=resolve).fetch(url, budget())

    assert asyncio.run(run()) == b"hello"
    assert asked == ["pictures.test", "pictures.test", "other.test"]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/ü.jpg".encode(), "/%C3%BC.jpg"),
        (b"/\xfc.jpg", "/%FC.jpg"),
        (b"/a b.jpg", "/a%20b.jpg"),
        (b"/%C3%BC.jpg", "/%C3%BC.jpg"),
    ],
)
def test_redirect_with_raw_characters_is_followed(location: bytes, path: str) -> None:
    answers: dict[str, bytes | Handle] = {
        "/a.jpg": b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\n\r\n",
        path: OK + b"\r\nhello",
    }
    assert get(answers)[0] == b"hello"


def test_redirects_are_counted() -> None:
    answers: dict[str, bytes | Handle] = {
        "/a.jpg": b"HTTP/1.1 301 Moved\r\nLocation: /a.jpg\r\n\r\n"
    }
    with pytest.raises(UrlFetchError, match="more than 2 times"):
        get(answers, max_redirects=2)
    with pytest.raises(UrlFetchError, match="more than 0 times"):
        get(answers, max_redirects=0)


@pytest.mark.parametrize(
    ("location", "error"),
    [
        (b"http://10.0.0.1/", ForbiddenUrlError),
        (b"http://private.test/", ForbiddenUrlError),
        (b"//169.254.169.254/latest/meta-data", ForbiddenUrlError),
        ("//169.254.169.254/ü b".encode(), ForbiddenUrlError),
        (b"http://pictures.test @10.0.0.1/", UrlFetchError),
        (b"http://user:pw@pictures.test/", UrlFetchError),
        (b"file:///etc/passwd", UrlFetchError),
        (b"gopher://pictures.test/", UrlFetchError),
        (b"http://[::1/", UrlFetchError),
        (b"", UrlFetchError),
    ],
)
def test_redirect_to_elsewhere_is_refused(location: bytes, error: type[Exception]) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"] if host == "pictures.test" else ["10.0.0.1"]

    with pytest.raises(error):
        get({"/a.jpg": b"HTTP/1.1 302 F\r\nLocation: " + location + b"\r\n\r\n"}, resolve=resolve)


def test_redirect_from_https_to_http_needs_leave() -> None:
    with pytest.raises(ForbiddenUrlError, match="only https"):
        fetch_by_tls("pictures.test", b"HTTP/1.1 302 F\r\nLocation: http://pictures.test/\r\n\r\n")


def fetch_by_tls(host: str, answer: bytes, **changes: Any) -> bytes:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(CERTIFICATE, KEY)
    trusted = {"tls": ssl.create_default_context(cafile=str(CERTIFICATE)), **changes}

    async def run() -> bytes:
        async with open_site({"/": answer}, served) as site:
            url = f"https://{host}:{site.port}/"
            return await fetcher(allow_http=False, **trusted).fetch(url, budget())

    return asyncio.run(run())


def test_certificate_is_checked_against_the_name_not_the_address() -> None:
    assert fetch_by_tls("pictures.test", OK + b"\r\nhello") == b"hello"


def test_certificate_for_another_name_is_refused() -> None:
    with pytest.raises(UrlFetchError, match="certificate"):
        fetch_by_tls("other.test", OK + b"\r\nhello")


def test_certificate_that_nobody_signed_is_refused() -> None:
    with pytest.raises(UrlFetchError, match="certificate"):
        fetch_by_tls("pictures.test", OK + b"\r\nhello", tls=ssl.create_default_context())


def outcomes_of(
    answers: dict[str, bytes | Handle], paths: Sequence[str], limits: Budget
) -> list[bytes | Exception]:
    async def run() -> list[bytes | Exception]:
        async with open_site(answers) as site:
            urls = [f"http://pictures.test:{site.port}{path}" for path in paths]
            return await fetcher().fetch_all(urls, limits)

    return asyncio.run(run())


def test_several_are_fetched_at_once_but_only_four() -> None:
    now, most, num_come = 0, 0, 0
    together = asyncio.Event()

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most, num_come
        now += 1
        num_come += 1
        most = max(most, now)
        if now == 4 or num_come > 8:  # the last two are on their own
            together.set()
        await together.wait()
        await asyncio.sleep(0.05)  # in which a fifth would come
        now -= 1
        writer.write(OK + b"\r\n%d" % most)
        await writer.drain()

    outcomes = outcomes_of({"/": count}, ["/"] * 10, budget())
    assert most == 4
    assert all(isinstance(outcome, bytes) for outcome in outcomes)


def test_first_failure_by_place_comes_first_though_it_is_the_slowest() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 410 Gone\r\n\r\n")
        await writer.drain()

    answers: dict[str, bytes | Handle] = {
        "/good": OK + b"\r\nhello",
        "/slow": slow,
        "/bad": b"HTTP/1.1 404 Not Found\r\n\r\n",
    }
    good, slowest, *_ = outcomes_of(answers, ["/good", "/slow", "/bad"], budget())
    assert good == b"hello"
    assert "410" in str(slowest)


def test_pictures_of_a_request_share_a_limit() -> None:
    answers: dict[str, bytes | Handle] = {"/": OK + b"\r\n" + bytes(800)}
    outcomes = outcomes_of(answers, ["/", "/"], budget(limit=1500))
    assert any(isinstance(outcome, TooLargeError) for outcome in outcomes)


def test_requests_share_the_room_for_uploads() -> None:
    answers: dict[str, bytes | Handle] = {"/": OK + b"\r\n" + bytes(800)}
    [outcome] = outcomes_of(answers, ["/"], budget(room=500))
    assert isinstance(outcome, QueueFullError)


def test_what_is_no_url_is_refused_without_a_connection() -> None:
    with pytest.raises(OptionError):
        asyncio.run(fetcher().fetch("pictures.test/a.jpg", budget()))
