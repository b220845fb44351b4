"""The version of the installed distribution."""

from __future__ import annotations

from importlib import metadata

DISTRIBUTION = "blendmask-server"


def installed_version() -> str:
    """Return the version, or "0+unknown" in a checkout that nobody installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "0+unknown"
