"""The Kafka of a command: the configured cluster, or the embedded broker."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rollcall.errors import BrokerUnavailableError
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.settings import Settings, load_settings

log = logging.getLogger(__name__)


def embedded_broker(*, port: int = 0) -> EmbeddedBroker:
    """The embedded broker with its state in ``ROLLCALL_DATA``."""
    return EmbeddedBroker(load_settings().data / "kafka", port=port)


def bootstrap_servers(settings: Settings) -> str:
    """Bootstrap servers: ``ROLLCALL_KAFKA``, else those of the embedded broker.

    Raises:
        BrokerUnavailableError: no cluster is set, and the embedded broker does not run.
    """
    if settings.kafka is not None:
        return settings.kafka
    status = embedded_broker().status()
    if not status.running or status.bootstrap is None:
        raise BrokerUnavailableError(
            "no Kafka: set ROLLCALL_KAFKA to your cluster's bootstrap servers, or run 'rollcall "
            "broker start'"
        )
    return status.bootstrap


@contextmanager
def broker_if_needed(settings: Settings) -> Iterator[str]:
    """Bootstrap servers of the configured cluster, else of the embedded broker. Starts and stops
    the broker unless it already runs.
    """
    if settings.kafka is not None:
        yield settings.kafka
        return
    broker = embedded_broker()
    broker.ensure_libraries(announce=lambda line: log.info("%s", line))
    started = broker.start()
    log.info(
        "broker %s",
        "started" if started else "already running",
        extra={"bootstrap": broker.bootstrap},
    )
    try:
        yield broker.bootstrap
    finally:
        if started:
            broker.stop()
            log.info("broker stopped")
