"""Queues of moto's SQS server, and ingest around them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.canvas.queue import CREDENTIALS
from tests.ingest.hanging import HangingBroker
from tests.ingest.queues import Queues, moto_server


@pytest.fixture(scope="session")
def sqs_server() -> Iterator[str]:
    """URL of an SQS server."""
    with moto_server() as url:
        yield url


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, and no other settings of AWS."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory, jars: Path) -> Iterator[EmbeddedBroker]:
    """A broker that the tests of a module may stop."""
    folder = tmp_path_factory.mktemp("broker") / "kafka"
    with EmbeddedBroker(folder, jars=jars, heap="512m") as broker:
        yield broker


@pytest.fixture
def hanging(own_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingBroker]:
    """A broker that can hang."""
    monkeypatch.setattr("rollcall.ingest.sink.SLOW_SECONDS", 1.0)
    broker = HangingBroker(own_broker)
    yield broker
    broker.resume()


@pytest.fixture
def queue(sqs_server: str) -> Queues:
    """A new queue."""
    return Queues(sqs_server, f"canvas-live-events-{uuid.uuid4().hex[:8]}")
