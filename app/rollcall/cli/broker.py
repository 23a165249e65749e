"""``rollcall broker``: the embedded Kafka broker, left running in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rollcall.sandbox.broker import BrokerStatus

broker_cli = typer.Typer(
    name="broker", no_args_is_help=True, help="The embedded Kafka broker of this machine."
)


@broker_cli.command()
def start(
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65_535,
            help="Where to listen on 127.0.0.1. 0: as last time, at first any free port.",
        ),
    ] = 0,
) -> None:
    """Start the broker and leave it running in the background. It keeps its port and its topics
    from start to start.
    """
    from rollcall.cli.cluster import settings_broker

    broker = settings_broker(port=port)
    broker.ensure_libraries(announce=typer.echo)
    started = broker.start(owned=False)
    status = broker.status()
    typer.echo(
        f"{'started' if started else 'already running'}: Kafka {status.version} at "
        f"{status.bootstrap} (process {status.pid})"
    )


@broker_cli.command()
def stop() -> None:
    """Stop the broker, whoever started it."""
    from rollcall.cli.cluster import settings_broker

    typer.echo("stopped" if settings_broker().stop() else "not running")


@broker_cli.command()
def status() -> None:
    """Say whether the broker runs, and where. Exit code 0: it runs, 1: it does not, or it does not
    answer.
    """
    from rollcall.cli.cluster import settings_broker

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
    return (
        "running"
        if found.answers
        else "runs, but does not answer: it is starting, or see its log (server.log in the "
        "directory)"
    )
