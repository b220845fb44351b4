from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from service.errors import MalformedError, TooLargeError
from service.http.requests.multipart import MAX_PART_HEAD_BYTES, Part, split_form

TYPE = "multipart/form-data; boundary=xx"


def test_part_keeps_its_bytes_as_they_are() -> None:
    data = b"\r\n\r\n--x\r\n--y\x00\xff\r\n"
    body = (
        b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a b.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + data + b"\r\n--xx--\r\n"
    )
    assert split_form(body, TYPE, 1) == [Part(name="image", file_name="a b.jpg", data=data)]


def test_preamble_and_epilogue_are_no_parts() -> None:
    body = b"hello\r\n--xx\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--xx--\r\nbye"
    assert split_form(body, TYPE, 1) == [Part(name="a", file_name=None, data=b"1")]


def test_boundary_may_be_quoted() -> None:
    body = b'--x y\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n--x y--'
    assert split_form(body, 'multipart/form-data; boundary="x y"', 1) == [
        Part(name="a", file_name=None, data=b"")
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"abc",
        b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\ncut off',
        b"--xx\r\n\r\nno header\r\n--xx--",
        b"--xx\r\nContent-Type: image/jpeg\r\n\r\nno name\r\n--xx--",
        b"--xx\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--xx--",
        b"--xxx\r\nContent-Disposition: form-data; name=a\r\n\r\nother boundary\r\n--xxx--",
    ],
)
def test_form_that_breaks_its_rules_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        split_form(body, TYPE, 9)


def test_form_without_a_boundary_is_malformed() -> None:
    with pytest.raises(MalformedError, match="boundary"):
        split_form(b"--xx--", "multipart/form-data", 9)


def test_form_of_too_many_parts_is_too_large_whatever_is_in_them() -> None:
    body = b"--xx" + b"\r\n--xx" * 4 + b"--"
    with pytest.raises(TooLargeError, match="4 parts; send at most 3"):
        split_form(body, TYPE, 3)
    with pytest.raises(MalformedError):
        split_form(body, TYPE, 4)


def test_head_of_a_part_without_end_is_malformed() -> None:
    head = b"Content-Disposition: form-data; name=a; x=" + b"x" * MAX_PART_HEAD_BYTES
    with pytest.raises(MalformedError, match=str(MAX_PART_HEAD_BYTES)):
        split_form(b"--xx\r\n" + head + b"\r\n\r\n\r\n--xx--", TYPE, 1)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("filename*=UTF-8''%C3%BC%20b.png", "ü b.png"),
        ("filename*=iso-8859-1'de'%FC.png", "ü.png"),
        ("Filename* = utf-8''a%2Cb", "a,b"),
        ("filename*=UTF-8''other; filename=plain", "other"),
        ("filename=\"=?utf-8?B?w7w=?=\"; filename*=utf-8''%C3%BC", "ü"),
        ("filename*=utf-16''%00a", None),
        ("filename*=utf-16''%00a; filename=plain", "plain"),
        ("filename*=no-such-charset", None),
        ("x=\"; filename*=UTF-8''inside\"", None),
        # Looked for from every quote, the missing end of 16 KB of these took two seconds.
        ('x="' + r"\"" * 8000 + "; filename*=UTF-8''inside", None),
    ],
)
def test_extended_file_name_is_read_before_the_plain_one(
    parameters: str, expected: str | None
) -> None:
    head = f"Content-Disposition: form-data; name=image; {parameters}"
    [part] = split_form(f"--xx\r\n{head}\r\n\r\n1\r\n--xx--".encode(), TYPE, 1)
    assert (part.file_name, part.data) == (expected, b"1")


NAMES = (
    'a"b.jpg', "100%.jpg", "100%25.jpg", "my%20photo.jpg", "Fußgänger 人.jpg", "a;b.jpg",
    "it's.jpg", "a\nb.jpg", "a\\b.jpg", "plain.jpg",
)  # fmt: skip


def file_name_in(disposition_and_more: bytes) -> str | None:
    [part] = split_form(b"--xx\r\n" + disposition_and_more + b"\r\n\r\n1\r\n--xx--", TYPE, 1)
    return part.file_name


@pytest.mark.parametrize("name", NAMES)
def test_httpx_file_names_come_out_as_they_were(name: str) -> None:
    request = httpx.Request("POST", "http://host", files={"image": (name, b"1")})
    [part] = split_form(request.read(), request.headers["Content-Type"], 1)
    assert part.file_name == name


@pytest.mark.parametrize("name", NAMES)
def test_browsers_file_names_come_out_as_they_were(name: str) -> None:
    # https://html.spec.whatwg.org/#multipart-form-data: these three characters and no others.
    escaped = name.replace("\n", "%0A").replace("\r", "%0D").replace('"', "%22")
    head = (
        f'Content-Disposition: form-data; name="image"; filename="{escaped}"\r\nContent-Type: a/b'
    )
    assert file_name_in(head.encode()) == name


@pytest.mark.parametrize("name", NAMES)
def test_aiohttps_file_names_come_out_as_they_were(name: str) -> None:
    head = (
        "Content-Type: image/jpeg\r\n"
        f'Content-Disposition: form-data; name="image"; filename="{quote(name, safe="")}"'
    )
    assert file_name_in(head.encode()) == name


def test_curls_file_name_with_a_quotation_mark_comes_out_as_it_was() -> None:
    head = b'Content-Disposition: form-data; name="image"; filename="a\\"b.jpg"'
    assert file_name_in(head) == 'a"b.jpg'
