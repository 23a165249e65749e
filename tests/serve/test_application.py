"""Errors of the application as responses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollcall.serve.api import queries
from tests.processes import wait_until
from tests.serve.client import fetch
from tests.serve.served import serving
from tests.serve.wire import PATH, PEOPLE


def test_a_replica_that_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The API responds with 503. The path of the file is in the log only."""
    with serving(tmp_path, PEOPLE) as served:
        assert fetch(served.url, PATH).status == 200
        path = served.context.settings.replica_file
        path.rename(path.with_name("away"))
        for _ in range(5):
            answer = fetch(served.url, PATH)
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert str(tmp_path) not in answer.body.decode()
        assert any(str(path) in record.getMessage() for record in caplog.records)
        path.write_bytes(b"this is no database, but it is as long as a page of one" * 100)
        assert fetch(served.url, PATH).status == 503
        path.with_name("away").replace(path)
        assert fetch(served.url, PATH).status == 200


def test_an_unexpected_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The response has the form of all errors. The reason is in the log only."""

    def broken(*_: Any) -> bool:
        raise RuntimeError("unexpected")

    with serving(tmp_path, PEOPLE) as served, monkeypatch.context() as patched:
        patched.setattr(queries, "exists", broken)
        answer = fetch(served.url, PATH)
        assert answer.status == 500
        assert "log" in answer.message
        assert "unexpected" not in answer.message
        wait_until(
            lambda: any("unexpected" in str(record.exc_info) for record in caplog.records),
            what="the reason in the log",
        )
