from __future__ import annotations

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
        ("filename*=UTF-8''other; filename=plain", "plain"),
        ("filename*=utf-16''%00a", None),
        ("filename*=no-such-charset", None),
        ("x=\"; filename*=UTF-8''inside\"", None),
    ],
)
def test_extended_file_name_is_read_where_it_comes_alone(
    parameters: str, expected: str | None
) -> None:
    head = f"Content-Disposition: form-data; name=image; {parameters}"
    [part] = split_form(f"--xx\r\n{head}\r\n\r\n1\r\n--xx--".encode(), TYPE, 1)
    assert (part.file_name, part.data) == (expected, b"1")
