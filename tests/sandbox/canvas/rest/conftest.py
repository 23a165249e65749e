"""Fixtures of the tests of the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollcall.sandbox.canvas.simulation import SimulationPlan
from tests.sandbox.canvas.rest.institution import Institution, serving


@pytest.fixture(scope="module")
def old() -> Iterator[Institution]:
    """An institution in which everything has happened. Its rows and switches do not change."""
    with serving(SimulationPlan(courses=8, steps=2_000, seed=7)) as institution:
        # Canvas's client library always asks for 100 rows
        institution.server.faults.max_per_page = 7
        yield institution


@pytest.fixture
def institution() -> Iterator[Institution]:
    """An institution that a test may change."""
    with serving(SimulationPlan(courses=3, steps=0, seed=3, class_size=30)) as institution:
        yield institution
