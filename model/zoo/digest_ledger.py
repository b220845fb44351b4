"""Remembers what was fetched under which name, so that a change under the same name shows."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from model.files import write_file
from model.zoo.errors import ZooError

logger = logging.getLogger(__name__)


def cache_directory() -> Path:
    """Return the folder for digests and downloads: `BLENDMASK_CACHE`, else the user's cache."""
    own = os.environ.get("BLENDMASK_CACHE")
    if own:
        return Path(own).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "blendmask"


def check_digest(name: str, sha256: str) -> None:
    """Record the digest of a file fetched under that name, or compare it with the recorded one.

    Raises:
        ZooError: the file has changed since it was first fetched.
    """
    ledger = cache_directory() / "digests.json"
    known = _read(ledger)
    if name not in known:
        _write(ledger, {**known, name: sha256})
    elif known[name] != sha256:
        raise ZooError(
            f"{name} has changed since it was first fetched: its sha256 was {known[name]} and is "
            f"now {sha256}; to accept the new file, delete its line in {ledger}"
        )


def _read(ledger: Path) -> dict[str, str]:
    try:
        content = json.loads(ledger.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise ZooError(f"{ledger} cannot be read ({error}); repair or delete it") from None
    if not isinstance(content, dict):
        raise ZooError(f"{ledger} is not a table of digests; repair or delete it")
    return {str(name): str(digest) for name, digest in content.items()}


def _write(ledger: Path, digests: dict[str, str]) -> None:
    text = json.dumps(digests, indent=1, sort_keys=True) + "\n"
    try:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        write_file(ledger, text.encode(), durable=True)
    except OSError as error:
        # A read-only cache must not stop a server whose weights are there.
        logger.warning("the digest could not be recorded in %s: %s", ledger, error)
