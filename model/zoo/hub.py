"""Files of the Hugging Face hub, through its own client and cache."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from huggingface_hub import (
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from model.zoo.errors import LOCAL_FILE_ADVICE, ZooError

logger = logging.getLogger(__name__)

# A hub that cannot be reached must be noticed within seconds.
_ANSWER_TIMEOUT_S = 5.0
_YES = ("1", "true", "yes", "on")


def fetch(repository: str, file_name: str) -> Path:
    """Return the local path of a hub file's newest version, downloaded if need be.

    `HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_HUB_CACHE` and `HF_HOME` are read at the call. A file
    that is in the cache is used when the hub does not answer.

    Raises:
        ZooError: it can be had neither from the hub nor from the cache.
    """
    endpoint = os.environ.get("HF_ENDPOINT") or None
    cache = _cache_directory()
    name = f"{repository}:{file_name}"
    try:
        cached = try_to_load_from_cache(repository, file_name, cache_dir=cache)
        found = Path(cached) if isinstance(cached, str) else None
    except ValueError as error:
        raise ZooError(f"{name} is no file of the hub: {_one_line(error)}") from None
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in _YES:
        if found is None:
            raise ZooError(
                f"{name} is not in the cache and HF_HUB_OFFLINE forbids fetching it; "
                f"{LOCAL_FILE_ADVICE}"
            )
        return found
    # The client's errors come from several libraries, which differ between its versions.
    try:
        url = hf_hub_url(repository, file_name, endpoint=endpoint)
        get_hf_file_metadata(url, timeout=_ANSWER_TIMEOUT_S)
    except Exception as error:
        if found is None:
            raise ZooError(_sentence(name, error)) from None
        logger.warning("the hub did not give %s; the copy in the cache is used", name)
        return found
    try:
        return Path(
            hf_hub_download(
                repository,
                file_name,
                endpoint=endpoint,
                cache_dir=cache,
                etag_timeout=_ANSWER_TIMEOUT_S,
            )
        )
    except Exception as error:
        raise ZooError(_sentence(name, error)) from None


def _cache_directory() -> str | None:
    """Return where the client keeps its files; None leaves it to the client."""
    if os.environ.get("HF_HUB_CACHE"):
        return os.environ["HF_HUB_CACHE"]
    home = os.environ.get("HF_HOME")
    return str(Path(home) / "hub") if home else None


def _sentence(name: str, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, GatedRepoError) or status == 403:
        reason = "the hub asks for access rights (set HF_TOKEN)"
    elif isinstance(error, RepositoryNotFoundError) or status == 401:
        reason = "the hub knows no such public repository"
    elif status == 404:
        reason = "the hub has no such file"
    elif status is not None:
        reason = f"the hub answered {status}"
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        reason = "the disk is full"
    else:
        reason = f"the hub does not answer ({type(error).__name__}: {_one_line(error)})"
    return f"{name} cannot be fetched: {reason}; {LOCAL_FILE_ADVICE}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
