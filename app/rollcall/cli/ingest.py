"""``rollcall ingest``: events from Canvas to the raw topic."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall.cli.run import Attached
from rollcall.errors import ConfigurationError, how_to_install
from rollcall.process.environment import drop_foreign_variables

ingest_cli = typer.Typer(
    name="ingest", no_args_is_help=True, help="Events from Canvas to the raw topic."
)


@ingest_cli.callback()
def options() -> None:
    """Events from Canvas to the raw topic."""


@ingest_cli.command()
def sqs(
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Look at the queue and at the rights, receive nothing, and end."
        ),
    ] = False,
    attached: Attached = False,
) -> None:
    """Move events from the SQS queue to the raw topic until stopped (SIGTERM or Ctrl-C)."""
    drop_foreign_variables()
    if check:
        from rollcall.ingest.sqs.check import check_queue
        from rollcall.settings import load_settings

        lines, code = check_queue(load_settings())
        for line in lines:
            typer.echo(line)
        raise typer.Exit(code)
    from rollcall.cli.running import run_until_stopped
    from rollcall.ingest.sqs.application import SqsProcess, stopping_seconds

    run_until_stopped(SqsProcess, attached=attached, stopping_seconds=stopping_seconds)


@ingest_cli.command()
def https(attached: Attached = False) -> None:
    """Take signed events over HTTPS to the raw topic until stopped (SIGTERM or Ctrl-C)."""
    drop_foreign_variables()
    from rollcall.cli.running import run_until_stopped

    try:
        from rollcall.ingest.https.process import WebhookProcess
    except ModuleNotFoundError as error:
        if error.name not in ("jwt", "cryptography"):
            raise
        raise ConfigurationError(
            f"rollcall ingest https needs the extra https ({error.name} is missing): "
            f"{how_to_install('https')}"
        ) from None
    run_until_stopped(WebhookProcess, attached=attached)


@ingest_cli.command()
def file(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH…", help="Files of events, or - for standard input."),
    ],
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Most events per second. Default: no limit.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where an earlier command was interrupted, for these files."
        ),
    ] = False,
) -> None:
    """Send the events of files to the raw topic.

    Reads JSON lines, events one after another, pretty-printed or not, and arrays of events;
    compressed with gzip or Zstandard, or not. Text that is not JSON is reported with its place, and
    the rest is sent: exit code 1. Exit code 2 if a file cannot be read. While Kafka is away, the
    command waits. Creates the topic if it is missing.
    """
    from rollcall.cli.ingesting import ingest_files

    raise typer.Exit(ingest_files(paths, rate=rate, is_resumed=resume))
