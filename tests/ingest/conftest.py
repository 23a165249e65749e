"""Queues of moto's SQS server, and ingest around them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollcall.sandbox.broker import EmbeddedBroker
from tests.ingest.hanging import HangingBroker
from tests.ingest.queues import aws, queue, sqs_server

__all__ = ["aws", "queue", "sqs_server"]


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
