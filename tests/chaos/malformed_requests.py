"""Requests that are wrong: in their first line, their head, their length, their body."""

from __future__ import annotations

import json
import random
from collections.abc import Callable


def malformed_request(number: int) -> tuple[str, bytes]:
    """Return what is wrong with a request, and its bytes; always the same for one number."""
    draw = random.Random(number)
    make = draw.choice(_MALFORMED)
    return make.__name__.strip("_"), make(draw)


def head(start: str, body: bytes, *fields: str) -> bytes:
    lines = (f"{start} HTTP/1.1", "Host: server", f"Content-Length: {len(body)}", *fields)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def _post(body: bytes, media_type: str, path: str = "/segment") -> bytes:
    return head(f"POST {path}", body, f"Content-Type: {media_type}") + body


def _noise(draw: random.Random) -> bytes:
    return draw.randbytes(draw.choice((1, 10, 1000, 100_000)))


def _bad_request_line(draw: random.Random) -> bytes:
    line = draw.choice(
        ("GET", "POST /segment", "POST /segment HTTP/9.9", "\x00 / HTTP/1.1", "POST  / HTTP/1.1 x")
    )
    return line.encode() + b"\r\n\r\n"


def _bad_length(draw: random.Random) -> bytes:
    length = draw.choice(("-1", "x", "1e3", "99999999999999999999", "5, 6", "", "33554433"))
    return f"POST /segment HTTP/1.1\r\nHost: s\r\nContent-Length: {length}\r\n\r\nabc".encode()


def _bad_chunks(draw: random.Random) -> bytes:
    body = draw.choice(
        (b"zz\r\nabc", b"5\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"ffffffffffffffff\r\n")
    )
    return b"POST /segment HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n" + body


def _two_lengths(draw: random.Random) -> bytes:
    fields = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"
    return b"POST /segment HTTP/1.1\r\nHost: s\r\n" + fields + b"\r\n3\r\nabc\r\n0\r\n\r\n"


def _bad_fields(draw: random.Random) -> bytes:
    field = draw.choice(
        (b"no colon", b": no name", b"X-\x00: y", b"X-Long: " + b"y" * 100_000, b"\xff\xfe: \x80")
    )
    return b"POST /segment HTTP/1.1\r\nHost: s\r\n" + field + b"\r\n\r\n"


def _too_short(draw: random.Random) -> bytes:
    return b"POST /segment HTTP/1.1\r\nHost: s\r\nContent-Length: 1000\r\n\r\nabc"


def _bad_route(draw: random.Random) -> bytes:
    path = draw.choice(("/", "/segmnt", "/../etc/passwd", "/%00", "/segment/", "*", "/models/%ff"))
    return head(f"{draw.choice(('GET', 'PUT', 'POST', 'BREW'))} {path}", b"")


def _bad_options(draw: random.Random) -> bytes:
    query = draw.choice(
        (
            "score_threshold=2",
            "score_threshold=nan",
            "max_instances=0",
            "max_instances=99999999999999999999",
            "clases=cat",
            "classes=unicorn",
            "masks=all",
            "model=%00",
            "masks=rle&masks=none",
            "render=hologram",
            "%ff=%fe",
            "x" * 5000,
        )
    )
    return _post(b"\xff\xd8\xff", "image/jpeg", f"/segment?{query}")


def _bad_json(draw: random.Random) -> bytes:
    text = draw.choice(
        (
            b"",
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"images": 1}',
            b'{"images": []}',
            b'{"images": [{}]}',
            b'{"images": [{"data": "****"}]}',
            b'{"images": [{"data": "aGVsbG8="}]}',
            b'{"images": [{"url": "http://127.0.0.1/"}]}',
            b'{"images": [{"data": "", "id": 5}]}',
            b'{"image": {"data": "\\ud800"}}',
            json.dumps({"images": [{"data": "aGk="}] * 100}).encode(),
        )
    )
    return _post(text, "application/json")


def _bad_multipart(draw: random.Random) -> bytes:
    body, media_type = draw.choice(
        (
            (b"", "multipart/form-data"),
            (b"abc", "multipart/form-data; boundary=b"),
            (b"--b\r\n\r\nabc", "multipart/form-data; boundary=b"),
            (b"--b--\r\n", "multipart/form-data; boundary=b"),
            (b"--b\r\nContent-Disposition: x\r\n\r\n1\r\n--b--", "multipart/form-data; boundary=b"),
            (draw.randbytes(2000), "multipart/form-data; boundary=b"),
            (b"--b\r\n" + b"A: b\r\n" * 5000, "multipart/form-data; boundary=b"),
        )
    )
    return _post(body, media_type)


def _bad_picture(draw: random.Random) -> bytes:
    body = draw.choice((b"", b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", draw.randbytes(500)))
    return _post(body, draw.choice(("image/jpeg", "text/plain", "image/gif", "", "a/b/c")))


_MALFORMED: tuple[Callable[[random.Random], bytes], ...] = (
    _noise,
    _bad_request_line,
    _bad_length,
    _bad_chunks,
    _two_lengths,
    _bad_fields,
    _too_short,
    _bad_route,
    _bad_options,
    _bad_json,
    _bad_multipart,
    _bad_picture,
)
