"""Reads of the replica."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from rollcall.reconcile.facts import Entity
from rollcall.reconcile.rows import MOST_IDS, RosterRows
from rollcall.sandbox.canvas.simulation import SimulationPlan
from tests.reconcile.institution import institution


@pytest.mark.parametrize("number", [0, 1, MOST_IDS, MOST_IDS + 1, 40_000])
def test_any_number_of_ids_is_read(tmp_path: Path, number: int) -> None:
    """SQLite takes 32,766 values in one question."""
    with institution(tmp_path, SimulationPlan(courses=2, steps=0)) as school:
        known = {row["user_id"] for row in school.rows("users").values()}
        memberships = school.rows("memberships").values()
        unknown = [str(10**18 + each) for each in range(number)]
        with closing(RosterRows(school.store.path)) as rows:
            assert rows.by_id(Entity.USER, [*known, *unknown]).keys() == known
            for group in {row["group_id"] for row in memberships}:
                ids = {
                    row["group_membership_id"] for row in memberships if row["group_id"] == group
                }
                assert rows.by_id(Entity.MEMBERSHIP, [*unknown, *ids], group).keys() == ids
