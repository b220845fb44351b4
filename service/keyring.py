"""The API keys that open the service."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from pathlib import Path

from service.configuration.settings import Settings

# What a `Keyring` keeps of keys.
Digests = tuple[bytes, ...]


class Keyring:
    """The keys that open the service. Only their digests are kept, salted for this process.

    Args:
        keys: from the settings.
        keys_file: further ones, one a line; empty lines and those that begin with # are skipped.
    Raises:
        ValueError, OSError: as `read`.
    """

    def __init__(self, keys: Iterable[str] = (), keys_file: Path | None = None) -> None:
        self._salt = secrets.token_bytes(32)
        self._given = tuple(keys)
        self._file = keys_file
        self.use(self.read())

    @property
    def is_on(self) -> bool:
        """Whether a key is asked for."""
        return bool(self._digests)

    def read(self) -> Digests:
        """Return the keys as they are now, the file read again; nothing is changed by that.

        Raises:
            ValueError: it holds no key, or a line that cannot be one.
            OSError: it cannot be read.
        """
        keys = [*self._given, *(_read_keys(self._file) if self._file is not None else ())]
        return tuple(self._digest(key) for key in keys)

    def use(self, keys: Digests) -> None:
        """Let those keys open the service from now on, and no others."""
        self._digests = keys

    def opens(self, candidate: str) -> bool:
        """Return whether that is a key, in a time that tells nothing of any."""
        digest = self._digest(candidate)
        num_equal = 0
        for known in self._digests:
            num_equal += hmac.compare_digest(digest, known)
        return num_equal > 0

    def _digest(self, key: str) -> bytes:
        return hmac.digest(self._salt, key.encode("utf-8", "surrogateescape"), hashlib.sha256)


def open_keyring(settings: Settings) -> Keyring:
    """Return the keys that the settings name. Raises ValueError and OSError as `Keyring`."""
    return Keyring((key.get_secret_value() for key in settings.keys), settings.keys_file)


def _read_keys(path: Path) -> list[str]:
    text = path.read_text("ascii", errors="replace")
    lines = (line.strip() for line in text.splitlines())
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise ValueError(f"{path} holds no key; write one a line")
    if any(not (key.isascii() and key.isprintable()) or " " in key for key in keys):
        raise ValueError(f"{path} holds a line that is no key; write visible ASCII without spaces")
    return keys
