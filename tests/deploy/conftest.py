"""Fixtures of the tests of the deployment: the wheel, an installation of it, and a queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.installed import Installation, build_wheel
from tests.ingest.queues import aws, queue, sqs_server

__all__ = ["aws", "queue", "sqs_server"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A virtual environment with the wheel."""
    return Installation(tmp_path_factory.mktemp("installed") / "rollcall", wheel)
