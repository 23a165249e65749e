"""Fixtures of the tests in this folder."""

from __future__ import annotations

from tests.serve.conftest import served

__all__ = ["served"]
