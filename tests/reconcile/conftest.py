"""Fixtures of the tests of runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollcall.sandbox.canvas.simulation import SimulationPlan
from tests.reconcile.institution import Institution, institution


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Institution]:
    """An institution whose rosters are as Canvas has it, with a deleted enrollment."""
    plan = SimulationPlan(courses=4, steps=60, seed=4, class_size=40)
    with institution(tmp_path, plan) as made:
        yield made
