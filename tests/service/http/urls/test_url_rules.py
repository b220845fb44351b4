from __future__ import annotations

import pytest

from service.errors import ForbiddenUrlError, OptionError
from service.http.urls.rules import Target, follow, parse_url


def target(url: str, *, allow_http: bool = False, hosts: tuple[str, ...] = ()) -> Target:
    return parse_url(url, allow_http=allow_http, hosts=hosts)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/a.jpg", ("example.org", 443, "/a.jpg", "example.org")),
        ("HTTPS://Example.ORG.", ("example.org", 443, "/", "example.org")),
        ("https://example.org:443/", ("example.org", 443, "/", "example.org")),
        ("https://example.org:8443?q=1", ("example.org", 8443, "/?q=1", "example.org:8443")),
        ("https://example.org/ü%20c", ("example.org", 443, "/%C3%BC%20c", "example.org")),
        ("https://example.org/a#part", ("example.org", 443, "/a", "example.org")),
        ("https://bücher.example/", ("xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example")),
        ("https://[2001:DB8::1]:80/", ("2001:db8::1", 80, "/", "[2001:db8::1]:80")),
    ],
)
def test_url_is_taken_apart(url: str, expected: tuple[str, int, str, str]) -> None:
    found = target(url)
    assert (found.host, found.port, found.path, found.authority) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.jpg",
        "//example.org/a",
        "https://",
        "https:///a",
        "ftp://example.org/a",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https://example.org:0/",
        "https://example.org:65536/",
        "https://example.org:x/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://a..b/",
        "https://exa mple.org/",
        "https://example.org/a b",
        "https://example.org/a\r\nX-Evil: 1",
        "https://example.org\\@evil.example/",
        "https://exam%70le.org/",
        "https://" + "a" * 64 + ".org/",
        "https://example.org/" + "a" * 8192,
        "https://user@example.org/",
        "https://user:secret@example.org/",
        "https://:@example.org/",
    ],
)
def test_url_that_is_none_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(OptionError) as caught:
        target(url)
    assert "secret" not in caught.value.detail


def test_plain_http_needs_leave() -> None:
    with pytest.raises(ForbiddenUrlError, match="only https"):
        target("http://example.org/")
    assert target("http://example.org/", allow_http=True).port == 80


@pytest.mark.parametrize(
    ("host", "is_covered"),
    [
        ("example.org", True),
        ("EXAMPLE.org", True),
        ("www.example.org", False),
        ("a.pictures.example", True),
        ("b.a.pictures.example", True),
        ("pictures.example", False),
        ("evilpictures.example", False),
        ("example.org.evil.example", False),
    ],
)
def test_only_hosts_of_the_list_are_allowed(host: str, is_covered: bool) -> None:
    hosts = ("Example.org", "*.pictures.example")
    if is_covered:
        assert target(f"https://{host}/", hosts=hosts).host == host.lower()
    else:
        with pytest.raises(ForbiddenUrlError, match=host):
            target(f"https://{host}/", hosts=hosts)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (b"/a.jpg", "/a.jpg"),
        (b"b.jpg?x=1", "/in/b.jpg?x=1"),
        ("/ü.jpg?ö=ä".encode(), "/%C3%BC.jpg?%C3%B6=%C3%A4"),
        ("/ü.jpg".encode("latin-1"), "/%FC.jpg"),
        (b"/%C3%BC%20c.jpg", "/%C3%BC%20c.jpg"),
        (b"/a b.jpg?c d", "/a%20b.jpg?c%20d"),
        (b"  /a b\t.jpg ", "/a%20b.jpg"),
        (b'/"<a>`{|}^', "/%22%3Ca%3E%60%7B%7C%7D%5E"),
        (b"/100%", "/100%"),
        (b"/a b.jpg#part", "/a%20b.jpg"),
    ],
)
def test_redirect_is_read_as_browsers_do(location: bytes, path: str) -> None:
    found = target(follow("https://example.org/in/a.jpg", location))
    assert (found.host, found.path) == ("example.org", path)


def test_redirect_may_name_its_host_in_utf_8() -> None:
    found = target(follow("https://example.org/", "https://bücher.example/ü".encode()))
    assert (found.host, found.path) == ("xn--bcher-kva.example", "/%C3%BC")


@pytest.mark.parametrize(
    "location",
    [
        b"https://exa mple.org/",
        b"https://example.org @evil.example/",
        b"https://user name@example.org/",
        b"https://b\xfccher.example/",
        "https://evil.example／@example.org/".encode(),
        b"https://example.org\\@evil.example/",
        b"https://example.org:8 0/",
        b"java\tscript:alert(1)",
        b"/" + b"a b" * 2000,
    ],
)
def test_redirect_that_leads_nowhere_is_refused(location: bytes) -> None:
    with pytest.raises((OptionError, ValueError)):
        target(follow("https://example.org/", location))


@pytest.mark.parametrize("location", [b"https://evil.example/a b", "//evil.example/ü".encode()])
def test_redirect_is_held_to_the_list_of_hosts(location: bytes) -> None:
    with pytest.raises(ForbiddenUrlError, match="not allowed here"):
        target(follow("https://example.org/", location), hosts=("example.org",))
