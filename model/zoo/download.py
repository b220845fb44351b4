"""Files from the web, held to a digest that the address itself states."""

from __future__ import annotations

import errno
import hashlib
import re
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tqdm import tqdm

from model.files import replacing, sha256_of
from model.zoo.digest_ledger import cache_directory
from model.zoo.errors import LOCAL_FILE_ADVICE, ZooError

_TIMEOUT_S = 10.0
_CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"sha256=([0-9a-fA-F]{64})")
_OWN_MACHINE = ("localhost", "127.0.0.1", "::1")


def download(url: str) -> Path:
    """Return the local path of `https://…#sha256=<hex>`, downloaded once and kept.

    Raises:
        ZooError: the address is not such a one, it cannot be fetched, or its bytes have another
            digest.
    """
    wanted = _stated_digest(url)
    _check_scheme(url)
    name = PurePosixPath(unquote(urlsplit(url).path)).name or "weights"
    target = cache_directory() / "downloads" / wanted / name
    if target.is_file() and sha256_of(target) == wanted:
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, durable=True) as partial:
            with partial.open("wb") as file:
                got = _stream(url, file, name)
            if got != wanted:
                raise ZooError(
                    f"what {_bare(url)} sent has the sha256 {got}; the address promises {wanted}"
                )
    except (OSError, HTTPException) as error:
        raise ZooError(
            f"{_bare(url)} cannot be fetched: {_reason(error)}; {LOCAL_FILE_ADVICE}"
        ) from None
    return target


class _CheckedRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        try:
            _check_scheme(newurl)
        except ZooError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _stated_digest(url: str) -> str:
    match = _DIGEST.fullmatch(urlsplit(url).fragment)
    if match is None:
        raise ZooError(
            f"{url} must end in #sha256= and the file's digest (64 hexadecimal digits), so that "
            "nothing else can be loaded in its place"
        )
    return match[1].lower()


def _check_scheme(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _OWN_MACHINE):
        return
    raise ZooError(f"{_bare(url)} is not an https address; https://…#sha256=… would be right")


def _stream(url: str, file: IO[bytes], name: str) -> str:
    """Write what the address sends and return its digest."""
    digest = hashlib.sha256()
    request = Request(_bare(url), headers={"User-Agent": "blendmask-server"})
    with build_opener(_CheckedRedirects).open(request, timeout=_TIMEOUT_S) as response:
        size = int(response.headers.get("Content-Length") or 0) or None
        received = 0
        with tqdm(total=size, unit="B", unit_scale=True, desc=name) as bar:
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                bar.update(len(chunk))
    if size is not None and received != size:
        raise ConnectionError(f"the connection ended after {received} of {size} bytes")
    return digest.hexdigest()


def _bare(url: str) -> str:
    """Return the address without the fragment, which no server is sent."""
    return url.partition("#")[0]


def _reason(error: OSError | HTTPException) -> str:
    if isinstance(error, HTTPError):
        error.close()
        return f"the server answered {error.code}"
    cause = getattr(error, "reason", error)
    if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
        return "the disk is full"
    return " ".join(str(cause).split()) or type(error).__name__
