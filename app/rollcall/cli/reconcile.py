"""``rollcall reconcile``: the rosters as Canvas has them."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall.errors import ConfigurationError


def reconcile(
    account: Annotated[
        str | None,
        typer.Option(metavar="ID", help="All courses of this account and the accounts below it."),
    ] = None,
    term: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="With --account: only courses of this enrollment term; may be repeated.",
        ),
    ] = None,
    course: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="This course; may be repeated."),
    ] = None,
    triggered: Annotated[
        bool,
        typer.Option(
            "--triggered",
            help="The courses of events that have come since the last such run: ends of SIS "
            "imports and of content migrations, merged users, rows of unknown courses.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the differences, course by course. Write nothing."),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run that was interrupted, if there is one."),
    ] = False,
    allow_shrink: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COURSE|all",
            help="Take rows from the roster of this course even if they are many; may be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
    show_names: Annotated[
        bool,
        typer.Option("--show-names", help="Show the values that differ, also names of people."),
    ] = False,
) -> None:
    """Ask Canvas's REST API what is in courses, compare with the rosters, and write what differs as
    snapshot events to the raw topic.

    Needs ROLLCALL_CANVAS_URL, and in ROLLCALL_CANVAS_TOKEN_FILE a token of an administrator of the
    root account. Backfill is the same command on empty rosters. Exit code 0: complete. 1: partial,
    or stopped by a guard; the last lines say which courses and why. 4: Canvas does not let us in.
    """
    if (account is not None) + bool(course) + triggered != 1:
        raise ConfigurationError(
            "give either --account, or one --course or several, or --triggered"
        )
    if term and account is None:
        raise ConfigurationError("--term chooses courses of an account: give --account, too")
    if resume and triggered:
        raise ConfigurationError(
            "--triggered always looks at what its last run has not finished: leave out --resume"
        )
    from rollcall.cli.reconciling import reconcile_courses
    from rollcall.reconcile.application import RunOptions

    options = RunOptions(
        account=account,
        terms=tuple(term or ()),
        courses=tuple(dict.fromkeys(course or ())),
        permitted=tuple(allow_shrink or ()),
        is_dry=dry_run,
        is_resumed=resume,
        is_triggered=triggered,
    )
    raise typer.Exit(reconcile_courses(options, as_json=as_json, show_names=show_names))


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("reconcile")(reconcile)
