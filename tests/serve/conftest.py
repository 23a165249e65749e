"""Fixtures of the tests in this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.forks import forks
from tests.serve.served import Served, serving
from tests.serve.wire import PEOPLE

__all__ = ["forks"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A course, served without tokens."""
    with serving(tmp_path_factory.mktemp("serve"), PEOPLE) as served:
        yield served
