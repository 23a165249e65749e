"""``rollcall broker``: the embedded Kafka broker as a background process."""

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
            help="Port on 127.0.0.1. 0: the port of the last start, at first any free one.",
        ),
    ] = 0,
) -> None:
    """Start the broker in the background. It keeps its port and its topics between starts."""
    from rollcall.cli.cluster import embedded_broker

    broker = embedded_broker(port=port)
    broker.ensure_libraries(announce=typer.echo)
    started = broker.start(owned=False)
    status = broker.status()
    typer.echo(
        f"{'started' if started else 'already running'}: Kafka {status.version} at "
        f"{status.bootstrap} (process {status.pid})"
    )


@broker_cli.command()
def stop() -> None:
    """Stop the broker, whichever process started it."""
    from rollcall.cli.cluster import embedded_broker

    typer.echo("stopped" if embedded_broker().stop() else "not running")


@broker_cli.command()
def status() -> None:
    """Print the broker's state and address. Exit code 0: it answers; 1: it does not run, or does
    not answer.
    """
    from rollcall.cli.cluster import embedded_broker

    status = embedded_broker().status()
    typer.echo(f"status     {_state(status)}")
    typer.echo(f"bootstrap  {status.bootstrap or 'none yet'}")
    typer.echo(f"process    {status.pid or 'none'}")
    typer.echo(f"version    Kafka {status.version}")
    typer.echo(f"directory  {status.directory}")
    if not status.running:
        raise typer.Exit(1)


def _state(status: BrokerStatus) -> str:
    if status.pid is None:
        return "not running"
    return (
        "running"
        if status.answers
        else "does not answer: the broker is starting, or see its log (server.log in the directory)"
    )
