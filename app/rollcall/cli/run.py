"""``rollcall router``, ``rosters``, ``serve`` and ``up``: processes that run until stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall.process.environment import drop_foreign_variables

PROCESSES = ("router", "rosters", "serve")
"""The processes that every installation has."""

INGEST_SQS = "ingest sqs"
"""The process that reads a queue, if there is one."""

INGEST_HTTPS = "ingest https"
"""The webhook's process, if one of its settings is set."""

ATTACHED = "--attached"
"""The option that ends a process at the end of its standard input."""

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
    """Keep the rosters of courses and groups until stopped (SIGTERM or Ctrl-C; both drain)."""
    drop_foreign_variables()
    from rollcall.cli.running import run_until_stopped
    from rollcall.rosters.application import new_rosters

    run_until_stopped(new_rosters, attached=attached)


def serve(attached: Attached = False) -> None:
    """Serve Canvas's API and a page from the rosters until stopped (SIGTERM or Ctrl-C)."""
    drop_foreign_variables()
    from rollcall.cli.running import run_until_stopped
    from rollcall.serve.process import ServeProcess

    run_until_stopped(ServeProcess, attached=attached)


def up() -> None:
    """Run router, rosters, serve, ingest sqs if ROLLCALL_SQS_QUEUE_URL is set, ingest https if a
    setting ROLLCALL_WEBHOOK_... is set, and, unless ROLLCALL_KAFKA is set, a broker on this
    machine.
    """
    from rollcall.cli.running import run_everything

    run_everything()


def register(cli: typer.Typer) -> None:
    """Add the commands. app/rollcall/process/ending.py knows their names, too."""
    cli.command("router")(router)
    cli.command("rosters")(rosters)
    cli.command("serve")(serve)
    cli.command("up")(up)
