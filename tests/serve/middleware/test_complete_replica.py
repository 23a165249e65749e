"""Requests while the replica is being built."""

from __future__ import annotations

from pathlib import Path

from tests.serve.asking import ask
from tests.serve.served import serving
from tests.serve.wire import PATH


def test_a_replica_that_is_not_complete(tmp_path: Path) -> None:
    """The API refuses requests, except those that need no rows."""
    with serving(tmp_path, None) as served:
        answer = ask(served.url, PATH)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "/readyz" in answer.message
        assert ask(served.url, PATH, "POST").status == 405
        assert ask(served.url, "/openapi.json").status == 200
