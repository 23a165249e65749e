"""``rollcall router``, ``rosters``, ``serve`` and ``up``: processes that run until they are told to
stop.
"""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall.process.environment import drop_foreign_variables

PROCESSES = ("router", "rosters", "serve")
"""What runs for Rollcall to be whole."""

ATTACHED = "--attached"
"""The option with which a process ends when its standard input does."""

Attached = Annotated[
    bool, typer.Option(ATTACHED, hidden=True, help="End when the standard input ends.")
]


def router(attached: Attached = False) -> None:
    """Route raw events to typed topics until stopped (SIGTERM or Ctrl-C; both drain)."""
    drop_foreign_variables()
    from rollcall.cli.running import run_until_stopped
    from rollcall.router.application import new_router

    run_until_stopped(new_router, attached=attached)


def rosters(attached: Attached = False) -> None:
    """Keep the rosters until stopped (SIGTERM or Ctrl-C; both drain): who is in which course,
    section and group now.
    """
    drop_foreign_variables()
    from rollcall.cli.running import run_until_stopped
    from rollcall.rosters.application import new_rosters

    run_until_stopped(new_rosters, attached=attached)


def serve(attached: Attached = False) -> None:
    """Answer who is in which course until stopped (SIGTERM or Ctrl-C): Canvas's API, and a page,
    from a replica of the rosters.
    """
    drop_foreign_variables()
    from rollcall.cli.running import run_until_stopped
    from rollcall.serve.process import ServeProcess

    run_until_stopped(ServeProcess, attached=attached)


def up() -> None:
    """Everything on one machine: an embedded broker, unless ROLLCALL_KAFKA names a cluster, the
    router, the rosters and serve.
    """
    from rollcall.cli.running import run_everything

    run_everything()


def register(cli: typer.Typer) -> None:
    """Add the commands. Their names are app/rollcall/process/ending.py's too."""
    cli.command("router")(router)
    cli.command("rosters")(rosters)
    cli.command("serve")(serve)
    cli.command("up")(up)
