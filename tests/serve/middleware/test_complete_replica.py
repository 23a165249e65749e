"""Requests while the replica is being built."""

from __future__ import annotations

from pathlib import Path

from tests.serve.client import fetch
from tests.serve.served import serving
from tests.serve.wire import PATH


def test_a_replica_that_is_not_complete(tmp_path: Path) -> None:
    """The API refuses requests, except those that need no rows."""
    with serving(tmp_path, None) as served:
        answer = fetch(served.url, PATH)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "/readyz" in answer.message
        assert fetch(served.url, PATH, "POST").status == 405
        assert fetch(served.url, "/openapi.json").status == 200
