"""Version of Rollcall."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("rollcall")
    except PackageNotFoundError:
        return "unknown"
