"""``rollcall router`` and ``rollcall up``: processes that run until they are told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import typer
import uvloop

from app.broker import EmbeddedBroker
from app.cli.broker import settings_broker
from app.errors import BrokerUnavailableError
from app.logs import configure_logging
from app.process import StreamProcess, run_until_signalled
from app.rosters.application import start_rosters
from app.router.application import start_router
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
    bootstrap = bootstrap_servers(settings)
    run_async(settings, lambda: start_router(settings, bootstrap))


def rosters() -> None:
    """Keep the rosters: tables of who is in which course, section and group now, until stopped (SIGTERM or Ctrl-C; both drain)."""
    settings = _begin()
    bootstrap = bootstrap_servers(settings)
    run_async(settings, lambda: start_rosters(settings, bootstrap))


def up() -> None:
    """Everything on one machine: an embedded broker, unless ROLLCALL_KAFKA names a cluster, and the router."""
    settings = _begin()
    with broker_if_needed(settings) as bootstrap:
        run_async(settings, lambda: start_router(settings, bootstrap))


def _begin() -> Settings:
    settings = load_settings()
    configure_logging(settings)
    log.info("settings", extra={"settings": settings.masked()})
    for sentence in misspelt_variables(os.environ):
        log.warning("%s", sentence)
    return settings


def run_async(settings: Settings, start: Callable[[], Awaitable[StreamProcess]]) -> None:
    """Run a process on uvloop, in this thread and in those that Faust makes."""
    gc.set_threshold(*GC_THRESHOLDS)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(run_until_signalled(settings, start))


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("router")(router)
    cli.command("rosters")(rosters)
    cli.command("up")(up)
