"""The command ``rollcall``: one module of this package for each group of commands.

These modules have what ``--help`` shows, and import no more than that takes. What a command runs
with, its function imports: so it loads that, and not what all the others need.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rollcall.cli.bench import bench_cli
from rollcall.cli.broker import broker_cli
from rollcall.cli.dead_letters import dead_letters_cli
from rollcall.cli.demo import demo
from rollcall.cli.light_help import load_when_used
from rollcall.cli.roster import register as register_roster
from rollcall.cli.run import register as register_processes
from rollcall.cli.schemas import schemas
from rollcall.cli.simulate import register as register_simulate
from rollcall.cli.token import token_cli
from rollcall.cli.topics import topics_cli
from rollcall.cli.validate import validate
from rollcall.errors import ConfigurationError, RollcallError

cli = typer.Typer(
    name="rollcall",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Canvas live events: validated, typed, and turned into rosters.",
)
cli.add_typer(broker_cli, name="broker")
cli.add_typer(bench_cli, name="bench")
cli.add_typer(schemas, name="schemas")
cli.add_typer(topics_cli, name="topics")
cli.add_typer(token_cli, name="token")
cli.add_typer(dead_letters_cli, name="dead-letters")
cli.command("validate")(validate)
cli.command("demo")(demo)
register_processes(cli)
register_roster(cli)
register_simulate(cli)


def _show_version(wanted: bool) -> None:
    if wanted:
        from rollcall.version import package_version

        typer.echo(f"rollcall {package_version()}")
        raise typer.Exit


@cli.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """What stands before a command."""


def main() -> None:
    """Run the command line; an error that a user can mend is one line on standard error and its own
    exit code.
    """
    load_when_used()
    try:
        cli()
    except (RollcallError, OSError) as error:
        told = error if isinstance(error, RollcallError) else _of_the_data_directory(error)
        if told is None:
            raise
        print(f"rollcall: {told}", file=sys.stderr)
        sys.exit(told.exit_code)


def _of_the_data_directory(error: OSError) -> RollcallError | None:
    """What to say of a file in the data directory, or on the way to it, that cannot be used; None:
    it is another one.
    """
    from rollcall.settings import ENV_PREFIX, load_settings

    data = load_settings().data.absolute()
    place = Path(error.filename).absolute() if isinstance(error.filename, str) else None
    if place is None or not (place.is_relative_to(data) or data.is_relative_to(place)):
        return None
    return ConfigurationError(
        f"{ENV_PREFIX}DATA: {str(place)!a} cannot be used ({error.strerror}); name a directory to "
        "which this user can write"
    )
