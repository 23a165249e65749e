"""``rollcall roster``: the current roster of a course."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rollcall.cli.roster_reading import Roster


def roster(
    course: Annotated[
        str,
        typer.Argument(
            metavar="COURSE",
            help="An id: global, local, or shard~local as Canvas writes it; account:<id> for the "
            "groups of an account.",
        ),
    ],
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only enrollments in this state; may be repeated. Does not apply to groups and "
            "members."
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One JSON object: course, sections, enrollments, groups, memberships, with the "
            "rows of the topics.",
        ),
    ] = False,
) -> None:
    """Show the current enrollments and groups of a course, with the reasons of their states, from
    the roster topics.

    A local id is a course on the shard ROLLCALL_SHARD, or if that is not set, the only course with
    this id. Exit code 1: there is no such course.
    """
    import asyncio

    from rollcall.cli.cluster import bootstrap_servers
    from rollcall.cli.printing import print_parts, until_output_closes
    from rollcall.cli.roster_reading import RosterError, read_roster
    from rollcall.cli.roster_report import no_enrollments, report
    from rollcall.rosters.context import parse_context
    from rollcall.settings import load_settings

    settings = load_settings()
    context, find_shard = parse_context(course, settings.shard)
    found = asyncio.run(
        read_roster(settings, bootstrap_servers(settings), context, find_shard=find_shard)
    )
    if found.is_empty:
        raise RosterError(f"no {found.context} in the rosters ({settings.topic_prefix}.rosters.*)")
    states = state or []
    with until_output_closes():
        if as_json:
            print(_json(found, states))
        else:
            print_parts(*report(found, states))
    if as_json and states and not found.enrollments_in(states):
        print(f"rollcall: {no_enrollments(found, states)}", file=sys.stderr)


def _json(found: Roster, states: list[str]) -> str:
    relations = {
        "sections": found.sections,
        "enrollments": found.enrollments_in(states),
        "groups": found.groups,
        "memberships": found.memberships,
    }
    return json.dumps({"course": found.course, **relations})


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("roster")(roster)
