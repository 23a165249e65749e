"""``rollcall schemas``: list the event types, print a schema, and check the schema files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

schemas = typer.Typer(no_args_is_help=True, help="The schemas of the events.")

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder", help="The folder of the schemas. Default: Rollcall's own.", file_okay=False
    ),
]


@schemas.command("list")
def list_schemas() -> None:
    """List the event types: schema, key of the topic, roster stage that reads the topic."""
    from rich.table import Table

    from rollcall.cli.printing import print_table
    from rollcall.events.registry import EVENT_TYPES
    from rollcall.events.schemas.validation import load_validators
    from rollcall.rosters.registry import stages_by_event

    validators, stages = load_validators(), stages_by_event()
    table = Table("event_name", "schema", "key", "stage", "fields")
    for event_type in EVENT_TYPES:
        validator = validators[event_type.name]
        table.add_row(
            event_type.name,
            validator.schema_id,
            event_type.key,
            stages.get(event_type.name, "-"),
            str(len(validator.known_body_fields)),
        )
    print_table(table, width=160)


@schemas.command("show")
def show_schema(
    name: Annotated[
        str,
        typer.Argument(help="An event_name, or a shared part such as common or bodies/enrollment."),
    ],
) -> None:
    """Print a schema file."""
    from rollcall.errors import ConfigurationError
    from rollcall.events.schemas.files import read_schema_folder

    files = read_schema_folder()
    if name not in files:
        raise ConfigurationError(f"there is no schema {name!a}; there are {', '.join(files)}")
    typer.echo(files[name].raw, nl=False)


@schemas.command("lint")
def lint_schemas(folder: Folder = None) -> None:
    """Check the schema files, their examples, the registry, and the compatibility with released
    schemas. Exit code 1 if there is a problem.
    """
    from rollcall.events.schemas.files import schema_folder
    from rollcall.events.schemas.lint import lint

    problems = lint(schema_folder() if folder is None else folder)
    for problem in problems:
        typer.echo(str(problem))
    typer.echo(
        f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        if problems
        else "schemas: no problem found"
    )
    if problems:
        raise typer.Exit(1)
