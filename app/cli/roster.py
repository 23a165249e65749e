"""``rollcall roster``: who is in a course now."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.measure import Measurement

from app.cli.run import bootstrap_servers
from app.rosters.reading import Roster, RosterError, parse_context, read_roster
from app.rosters.report import no_enrollments, report
from app.settings import load_settings

_WIDEST = 1_000_000
"""Of a line in a pipe, where nothing is cut."""


def roster(
    course: Annotated[
        str, typer.Argument(metavar="COURSE", help="An id: global, local, or shard~local as Canvas writes it; account:<id> for the groups of an account.")
    ],
    state: Annotated[list[str] | None, typer.Option(help="Only enrollments in this state; may be repeated. Groups and members are always shown.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object: course, sections, enrollments, groups, memberships, each as the topics have it.")
    ] = False,
) -> None:
    """Show who is in a course now, and why, from the roster topics of the configured cluster.

    A local id means the course on the shard that ROLLCALL_SHARD tells; without that, the one course that has it. Exit code 1: there is no such course.
    """
    settings = load_settings()
    context, find_shard = parse_context(course, settings.shard)
    found = asyncio.run(read_roster(settings, bootstrap_servers(settings), context, find_shard=find_shard))
    if found.is_empty:
        raise RosterError(f"no {found.context} in the rosters ({settings.topic_prefix}.rosters.*)")
    states = state or []
    try:
        if as_json:
            print(_json(found, states), flush=True)
        else:
            _print(*report(found, states))
    except BrokenPipeError:
        # Whoever read has seen enough. Python would complain again when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if as_json and states and not found.enrollments_in(states):
        print(f"rollcall: {no_enrollments(found, states)}", file=sys.stderr)


def _json(found: Roster, states: list[str]) -> str:
    relations = {"sections": found.sections, "enrollments": found.enrollments_in(states), "groups": found.groups, "memberships": found.memberships}
    return json.dumps({"course": found.course, **relations})


def _print(*parts: RenderableType) -> None:
    # A stream that cannot write a character should still show the others.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    console = Console(highlight=False, emoji=False, markup=False)
    if console.is_terminal:
        for part in parts:
            console.print(part)
        return
    # As wide as it takes, and without the blanks with which rich fills lines.
    options = console.options.update(width=_WIDEST)
    lines: list[str] = []
    for part in parts:
        console.width = max(Measurement.get(console, options, part).maximum, 1)
        with console.capture() as captured:
            console.print(part)
        lines += map(str.rstrip, captured.get().splitlines())
    print("\n".join(lines), flush=True)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("roster")(roster)
