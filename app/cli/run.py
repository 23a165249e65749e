"""``rollcall router`` and ``rollcall up``: processes that run until they are told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer
import uvloop

from app.broker import EmbeddedBroker
from app.cli.broker import settings_broker
from app.errors import BrokerUnavailableError
from app.logs import configure_logging
from app.router.application import run_router
from app.settings import Settings, load_settings, misspelt_variables

GC_THRESHOLDS = (200_000, 50, 1_000)
"""A chunk is hundreds of thousands of objects that live for a moment and form no cycles. With Python's defaults the collector walks them again and again,
which takes an eighth of the router's time."""

log = logging.getLogger(__name__)


def bootstrap_servers(settings: Settings) -> str:
    """Where Kafka is: ``ROLLCALL_KAFKA``, or the embedded broker if it runs.

    Raises:
        BrokerUnavailableError: neither.
    """
    if settings.kafka is not None:
        return settings.kafka
    status = settings_broker().status()
    if not status.running or status.bootstrap is None:
        raise BrokerUnavailableError("no Kafka: set ROLLCALL_KAFKA to your cluster's bootstrap servers, or run 'rollcall broker start'")
    return status.bootstrap


@contextmanager
def broker_if_needed(settings: Settings) -> Iterator[str]:
    """Bootstrap servers of the configured cluster, or of an embedded broker that is started, and stopped in the end, unless it ran already."""
    if settings.kafka is not None:
        yield settings.kafka
        return
    broker: EmbeddedBroker = settings_broker()
    broker.ensure_libraries(announce=lambda line: log.info("%s", line))
    ours = broker.start()
    log.info("broker %s", "started" if ours else "runs already", extra={"bootstrap": broker.bootstrap})
    try:
        yield broker.bootstrap
    finally:
        if ours:
            broker.stop()
            log.info("broker stopped")


def router() -> None:
    """Route raw events to typed topics until stopped (SIGTERM or Ctrl-C; both drain)."""
    settings = _begin()
    run_async(settings, bootstrap_servers(settings))


def up() -> None:
    """Everything on one machine: an embedded broker, unless ROLLCALL_KAFKA names a cluster, and the router."""
    settings = _begin()
    with broker_if_needed(settings) as bootstrap:
        run_async(settings, bootstrap)


def _begin() -> Settings:
    settings = load_settings()
    configure_logging(settings)
    log.info("settings", extra={"settings": settings.masked()})
    for sentence in misspelt_variables(os.environ):
        log.warning("%s", sentence)
    return settings


def run_async(settings: Settings, bootstrap: str) -> None:
    """Run the router on uvloop, in this thread and in those that Faust makes."""
    gc.set_threshold(*GC_THRESHOLDS)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(run_router(settings, bootstrap))


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("router")(router)
    cli.command("up")(up)
