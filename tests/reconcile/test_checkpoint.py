"""The file of a run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rollcall.reconcile import checkpoint as module
from rollcall.reconcile.checkpoint import Checkpoint, CheckpointError, CourseResult
from rollcall.reconcile.summary import Summary


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was noted before it is there afterwards."""
    connected = module._connected
    limits: list[sqlite3.Connection] = []

    def limited(path: Path) -> sqlite3.Connection:
        limits.append(connected(path))
        return limits[-1]

    monkeypatch.setattr(module, "_connected", limited)
    file = tmp_path / "run.sqlite"
    with closing(Checkpoint(file, scope="all", run="1", is_resumed=False)) as run:
        run.note("7", CourseResult(sections=["1"]), (), Summary())
        limits[-1].execute("PRAGMA max_page_count = 1")
        many = CourseResult(sections=map(str, range(100_000)))
        with pytest.raises(CheckpointError, match=r"run\.sqlite' cannot be written .*--resume"):
            run.note("8", many, (), Summary())
    with closing(Checkpoint(file, scope="all", run="2", is_resumed=True)) as run:
        assert (run.run, run.is_read("7"), run.is_read("8")) == ("1", True, False)
