"""Which Kafka a command works with: the configured cluster, or the embedded broker."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rollcall.errors import BrokerUnavailableError
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.settings import Settings, load_settings

log = logging.getLogger(__name__)


def settings_broker(*, port: int = 0) -> EmbeddedBroker:
    """The embedded broker whose state is in ``ROLLCALL_DATA``."""
    return EmbeddedBroker(load_settings().data / "kafka", port=port)


def bootstrap_servers(settings: Settings) -> str:
    """Where Kafka is: ``ROLLCALL_KAFKA``, or the embedded broker if it runs.

    Raises:
        BrokerUnavailableError: neither.
    """
    if settings.kafka is not None:
        return settings.kafka
    status = settings_broker().status()
    if not status.running or status.bootstrap is None:
        raise BrokerUnavailableError(
            "no Kafka: set ROLLCALL_KAFKA to your cluster's bootstrap servers, or run 'rollcall "
            "broker start'"
        )
    return status.bootstrap


@contextmanager
def broker_if_needed(settings: Settings) -> Iterator[str]:
    """Bootstrap servers of the configured cluster, or of an embedded broker that is started, and
    stopped in the end, unless it ran already.
    """
    if settings.kafka is not None:
        yield settings.kafka
        return
    broker: EmbeddedBroker = settings_broker()
    broker.ensure_libraries(announce=lambda line: log.info("%s", line))
    ours = broker.start()
    log.info(
        "broker %s", "started" if ours else "runs already", extra={"bootstrap": broker.bootstrap}
    )
    try:
        yield broker.bootstrap
    finally:
        if ours:
            broker.stop()
            log.info("broker stopped")
