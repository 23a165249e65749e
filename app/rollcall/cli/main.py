"""The command ``rollcall``. Each group of commands is one module of this package.

These modules import only the modules that ``--help`` needs. Each command's function imports the
rest, so that a command does not load the modules of the others.
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
from rollcall.cli.ingest import ingest_cli
from rollcall.cli.light_help import install_lazy_modules
from rollcall.cli.reconcile import register as register_reconcile
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
cli.add_typer(ingest_cli, name="ingest")
cli.add_typer(dead_letters_cli, name="dead-letters")
cli.command("validate")(validate)
cli.command("demo")(demo)
register_processes(cli)
register_roster(cli)
register_reconcile(cli)
register_simulate(cli)


def _show_version(requested: bool) -> None:
    if requested:
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
    """Options before a command."""


def main() -> None:
    """Run the command line. A :class:`RollcallError` becomes one line on standard error and its
    exit code.
    """
    install_lazy_modules()
    try:
        cli()
    except (RollcallError, OSError) as error:
        user_error = error if isinstance(error, RollcallError) else _data_directory_error(error)
        if user_error is None:
            raise
        print(f"rollcall: {user_error}", file=sys.stderr)
        sys.exit(user_error.exit_code)


def _data_directory_error(error: OSError) -> RollcallError | None:
    """The error for a path in ``ROLLCALL_DATA``, or for one of its parents; None for other
    paths.
    """
    from rollcall.settings import ENV_PREFIX, load_settings

    data = load_settings().data.absolute()
    path = Path(error.filename).absolute() if isinstance(error.filename, str) else None
    if path is None or not (path.is_relative_to(data) or data.is_relative_to(path)):
        return None
    return ConfigurationError(
        f"{ENV_PREFIX}DATA: {str(path)!a} cannot be used ({error.strerror}); name a directory that "
        "this user can write to"
    )
