"""Fixtures of the tests in this folder."""

from __future__ import annotations

from tests.forks import forks

__all__ = ["forks"]
