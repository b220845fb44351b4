"""Fetches the pictures that a request names by URL, from nowhere but the public internet.

A name is resolved once. Every address it has must be public, and the connection goes to one of
these very addresses; the certificate is still checked against the name. A redirect starts all of
that anew. Nothing of the server's own goes along: no cookies, no credentials, no proxy.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import h11

from service.configuration.settings import Settings
from service.engine import Picture
from service.errors import (
    ForbiddenUrlError,
    OptionError,
    ServiceError,
    TooLargeError,
    UrlFetchError,
)
from service.http.requests.upload_room import Hold
from service.http.urls.exchange import Exchange, Resolver, header_field, open_first
from service.http.urls.public_addresses import is_public
from service.http.urls.rules import Target, follow, parse_url
from service.wording import quoted

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# Of all requests together; those of one request that run at once are `MAX_AT_ONCE`.
MAX_FETCHES = 32
MAX_AT_ONCE = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def _system_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass
class Budget:
    """The bytes that all pictures of one request may bring, and what else counts them."""

    limit: int
    hold: Hold
    used: int = 0

    def take(self, num_bytes: int) -> None:
        """Count so many. Raises TooLargeError if they are too many."""
        self.used += num_bytes
        if self.used > self.limit:
            raise TooLargeError(
                f"the images of the request have more than {self.limit} bytes together; send fewer"
            )
        self.hold.take(num_bytes)


@dataclass(frozen=True, kw_only=True)
class UrlFetcher:
    """Fetches pictures.

    resolve: host and port -> IP addresses. is_public: whether an address may be connected to.
    tls: how certificates are checked.
    """

    allow_http: bool = False
    hosts: tuple[str, ...] = ()
    max_bytes: int = 32 * 2**20
    timeout_s: float = 5.0
    max_redirects: int = 3
    resolve: Resolve = field(default_factory=Resolver)
    is_public: Callable[[str], bool] = is_public
    tls: ssl.SSLContext = field(default_factory=_system_tls)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_FETCHES))

    async def fetch_all(self, urls: Sequence[str], budget: Budget) -> list[bytes | Exception]:
        """Return the bytes behind each URL; from the first that failed on, exceptions.

        What comes after a failure is given up.
        """
        at_once = asyncio.Semaphore(MAX_AT_ONCE)

        async def fetch(url: str) -> bytes:
            async with at_once, self.slots:
                return await self.fetch(url, budget)

        tasks = [asyncio.create_task(fetch(url)) for url in urls]
        try:
            for task in tasks:
                await asyncio.wait({task})
                if task.exception() is not None:
                    break
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        return [_ordinary(outcome) for outcome in outcomes]

    async def fetch(self, url: str, budget: Budget) -> bytes:
        """Return the bytes behind a URL.

        Raises:
            OptionError: it is no URL.
            ForbiddenUrlError: it leads where it must not.
            TooLargeError: there are too many bytes.
            UrlFetchError: there is nothing to be had, or not in time.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._follow(url, budget)
        except TimeoutError:
            raise UrlFetchError(
                f"its URL could not be fetched within {self.timeout_s:g} s"
            ) from None
        except OSError as error:
            raise UrlFetchError(f"its URL could not be fetched: {_reason(error)}") from None
        except (h11.RemoteProtocolError, h11.LocalProtocolError):
            raise UrlFetchError(
                "its URL could not be fetched: the answer breaks off, or is not HTTP"
            ) from None

    async def _follow(self, url: str, budget: Budget) -> bytes:
        target = self._parse(url)
        for _ in range(self.max_redirects + 1):
            async with self._connect(target) as exchange:
                response = await exchange.ask(target)
                if response.status_code not in _REDIRECTS:
                    return await self._read(exchange, response, budget)
                location = header_field(response, b"location").encode("latin-1")
            if not location:
                raise UrlFetchError("its URL redirects, but does not say where to")
            try:
                url = follow(url, location)
                target = self._parse(url)
            except (OptionError, ValueError):
                raise UrlFetchError("its URL redirects to what is no https:// URL") from None
        raise UrlFetchError(
            f"its URL redirects more than {self.max_redirects} times; send where it leads"
        )

    def _parse(self, url: str) -> Target:
        return parse_url(url, allow_http=self.allow_http, hosts=self.hosts)

    async def _read(self, exchange: Exchange, response: h11.Response, budget: Budget) -> bytes:
        if response.status_code != 200:
            raise UrlFetchError(
                f"its URL could not be fetched: the other side answered {response.status_code}"
            )
        encoding = header_field(response, b"content-encoding").lower()
        if encoding not in ("", "identity"):
            raise UrlFetchError(
                f"its URL could not be fetched: the answer is encoded as {quoted(encoding)}, "
                "which was not asked for"
            )
        declared = header_field(response, b"content-length")
        if declared and int(declared) > self.max_bytes:
            raise TooLargeError(f"its URL has {declared} bytes; at most {self.max_bytes} are read")
        chunks: list[bytes] = []
        num_bytes = 0
        async for chunk in exchange.body():
            num_bytes += len(chunk)
            if num_bytes > self.max_bytes:
                raise TooLargeError(f"its URL has more than {self.max_bytes} bytes")
            budget.take(len(chunk))
            chunks.append(chunk)
        return b"".join(chunks)

    @asynccontextmanager
    async def _connect(self, target: Target) -> AsyncIterator[Exchange]:
        addresses = await self.resolve(target.host, target.port)
        if not addresses or not all(self.is_public(address) for address in addresses):
            raise ForbiddenUrlError(
                f"its URL leads to {quoted(target.host)}, which is not on the public internet"
            )
        is_tls = target.scheme == "https"
        reader, writer = await open_first(
            addresses,
            target.port,
            tls=self.tls if is_tls else None,
            name=target.host if is_tls else None,
        )
        try:
            yield Exchange(reader, writer)
        finally:
            writer.transport.abort()


async def fetch_pictures(
    pictures: Sequence[Picture], urls: Mapping[int, str], fetcher: UrlFetcher, budget: Budget
) -> tuple[Picture, ...]:
    """Return the pictures, with the bytes of those that are given by URL.

    Args:
        urls: by the picture's place in the request.
        budget: of which what the other pictures have is taken already.
    Raises:
        ServiceError: names the first picture that cannot be had.
    """
    fetched = list(pictures)
    outcomes = await fetcher.fetch_all(list(urls.values()), budget)
    for index, outcome in zip(urls, outcomes, strict=True):
        if isinstance(outcome, ServiceError):
            raise outcome.about_image(index, pictures[index].id)
        if isinstance(outcome, Exception):
            raise outcome
        fetched[index] = replace(pictures[index], data=outcome)
    return tuple(fetched)


def open_fetcher(settings: Settings) -> UrlFetcher | None:
    """Return what fetches pictures under those settings; None if it is switched off."""
    if not settings.url_input:
        return None
    return UrlFetcher(
        allow_http=settings.url_allow_http,
        hosts=settings.url_hosts,
        max_bytes=settings.url_max_bytes,
        timeout_s=settings.url_timeout_s,
        max_redirects=settings.url_max_redirects,
    )


def _ordinary(outcome: bytes | BaseException) -> bytes | Exception:
    return outcome if isinstance(outcome, bytes | Exception) else UrlFetchError("given up")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "there is no valid certificate, or no TLS"
    return "there is no such host" if isinstance(error, socket.gaierror) else "no connection"
