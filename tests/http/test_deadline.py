"""Time for a response."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rollcall.serve.api import queries
from tests.processes import wait_until
from tests.serve.client import fetch
from tests.serve.served import serving
from tests.serve.wire import PATH, PEOPLE


def test_a_request_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cancelled, and so is its query."""
    ended = threading.Event()

    def endless(db: sqlite3.Connection, *_: Any) -> bool:
        try:
            db.create_function("pause", 0, lambda: time.sleep(0.0005))  # keeps the core free
            return bool(
                db.execute(
                    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT "
                    "count(pause()) FROM n"
                ).fetchone()
            )
        except sqlite3.OperationalError:
            ended.set()
            raise

    with serving(tmp_path, PEOPLE, request_seconds=2) as served:
        with monkeypatch.context() as patched:
            patched.setattr(queries, "exists", endless)
            answer = fetch(served.url, PATH)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "2 s" in answer.message
        wait_until(ended.is_set, what="the end of the query")
        for _ in range(5):
            assert fetch(served.url, PATH).status == 200
