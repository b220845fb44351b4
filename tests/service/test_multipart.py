from __future__ import annotations

import pytest

from service.errors import MalformedError, TooLargeError
from service.http.multipart import MAX_PARTS, Part, split_form

TYPE = "multipart/form-data; boundary=xx"


def test_part_keeps_its_bytes_as_they_are() -> None:
    data = b"\r\n\r\n--x\r\n--y\x00\xff\r\n"
    body = (
        b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a b.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + data + b"\r\n--xx--\r\n"
    )
    assert split_form(body, TYPE) == [Part(name="image", file_name="a b.jpg", data=data)]


def test_preamble_and_epilogue_are_no_parts() -> None:
    body = b"hello\r\n--xx\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--xx--\r\nbye"
    assert split_form(body, TYPE) == [Part(name="a", file_name=None, data=b"1")]


def test_boundary_may_be_quoted() -> None:
    body = b'--x y\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n--x y--'
    assert split_form(body, 'multipart/form-data; boundary="x y"') == [
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
        split_form(body, TYPE)


def test_form_without_a_boundary_is_malformed() -> None:
    with pytest.raises(MalformedError, match="boundary"):
        split_form(b"--xx--", "multipart/form-data")


def test_form_of_too_many_parts_is_too_large() -> None:
    with pytest.raises(TooLargeError, match=str(MAX_PARTS)):
        split_form(b"--xx" + b"\r\n--xx" * (MAX_PARTS + 1) + b"--", TYPE)
