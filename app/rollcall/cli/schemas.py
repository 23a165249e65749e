"""``rollcall schemas``: list the event types, print a schema, and check the schema files."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rollcall.events.schemas.validation import EventValidator

schemas = typer.Typer(no_args_is_help=True, help="The schemas of the events.")

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder", help="The folder of the schemas. Default: Rollcall's own.", file_okay=False
    ),
]


@schemas.command("list")
def list_schemas(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all details.")] = False,
) -> None:
    """List the event types by family: the key of the topic, the sources of the knowledge, the
    roster stage that reads the topic, the cause. In brackets: those that ROLLCALL_EVENTS leaves
    out.
    """
    from rollcall.process.event_types import event_types, validators_of
    from rollcall.rosters.registry import stages_by_event
    from rollcall.settings import load_settings

    settings = load_settings()
    validators, stages = validators_of(settings), stages_by_event()
    selected = event_types(settings).selected
    if as_json:
        rows = [
            _details(each, stages.get(name), selected=name in selected)
            for name, each in validators.items()
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    from rollcall.cli.printing import print_table

    table = Table("family", "event_name", "key", "sources", "stage", "cause")
    for family, members in groupby(
        (each.event_type for each in validators.values()), lambda each: each.family
    ):
        shown = family
        for event_type in members:
            table.add_row(
                shown,
                event_type.name if event_type.name in selected else f"({event_type.name})",
                "-" if event_type.key is None else str(event_type.key),
                ", ".join(event_type.sources),
                stages.get(event_type.name, "-"),
                event_type.cause,
            )
            shown = ""
        table.add_section()
    print_table(table, width=240)


def _details(validator: EventValidator, stage: str | None, *, selected: bool) -> dict[str, Any]:
    event_type = validator.event_type
    return {
        "event_name": event_type.name,
        "family": event_type.family,
        "cause": event_type.cause,
        "key": None if event_type.key is None else event_type.key.pointer,
        "sources": event_type.sources,
        "schema": validator.schema_id,
        "stage": stage,
        "selected": selected,
        "fields": sorted(validator.known_body_fields),
    }


@schemas.command("show")
def show_schema(
    name: Annotated[
        str,
        typer.Argument(help="An event_name, or a shared part such as common or bodies/enrollment."),
    ],
) -> None:
    """Print a schema file."""
    from rollcall.errors import ConfigurationError
    from rollcall.process.event_types import schema_files
    from rollcall.settings import load_settings

    files = schema_files(load_settings().schemas)
    if name not in files:
        raise ConfigurationError(f"there is no schema {name!a}; there are {', '.join(files)}")
    typer.echo(files[name].raw, nl=False)


@schemas.command("lint")
def lint_schemas(folder: Folder = None) -> None:
    """Check the schema files, their examples, the registry, and the compatibility with released
    schemas. Those in ROLLCALL_SCHEMAS are checked beside Rollcall's own. Exit code 1 if there is a
    problem.
    """
    from rollcall.events.schemas.files import schema_folder
    from rollcall.events.schemas.lint import lint
    from rollcall.settings import load_settings

    problems = lint(schema_folder() if folder is None else folder, load_settings().schemas)
    for problem in problems:
        typer.echo(str(problem))
    typer.echo(
        f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        if problems
        else "schemas: no problem found"
    )
    if problems:
        raise typer.Exit(1)
