"""``rollcall broker``: the embedded Kafka broker, left running in the background."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from app.broker import BrokerStatus, EmbeddedBroker
from app.errors import BrokerUnavailableError
from app.settings import Settings, load_settings

log = logging.getLogger(__name__)

broker_cli = typer.Typer(name="broker", no_args_is_help=True, help="The embedded Kafka broker of this machine.")


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


@broker_cli.command()
def start(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Where to listen on 127.0.0.1. 0: as last time, at first any free port.")] = 0,
) -> None:
    """Start the broker and leave it running in the background. It keeps its port and its topics from start to start."""
    broker = settings_broker(port=port)
    broker.ensure_libraries(announce=typer.echo)
    started = broker.start(owned=False)
    status = broker.status()
    typer.echo(f"{'started' if started else 'already running'}: Kafka {status.version} at {status.bootstrap} (process {status.pid})")


@broker_cli.command()
def stop() -> None:
    """Stop the broker, whoever started it."""
    typer.echo("stopped" if settings_broker().stop() else "not running")


@broker_cli.command()
def status() -> None:
    """Say whether the broker runs, and where. Exit code 0: it runs, 1: it does not, or it does not answer."""
    found = settings_broker().status()
    typer.echo(f"status     {_word(found)}")
    typer.echo(f"bootstrap  {found.bootstrap or 'none yet'}")
    typer.echo(f"process    {found.pid or 'none'}")
    typer.echo(f"version    Kafka {found.version}")
    typer.echo(f"directory  {found.directory}")
    if not found.running:
        raise typer.Exit(1)


def _word(found: BrokerStatus) -> str:
    if found.pid is None:
        return "not running"
    return "running" if found.answers else "runs, but does not answer: it is starting, or see its log (server.log in the directory)"
