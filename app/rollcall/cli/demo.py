"""``rollcall demo``: all of Rollcall in half a minute."""

from __future__ import annotations

from typing import Annotated

import typer

MOST_EVENTS = 10_000_000


def demo(
    events: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_EVENTS,
            help="Number of varied events, beside documented ones and an institution's.",
        ),
    ] = 50_000,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 1,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Keep everything running, and the institution changing, until Ctrl-C.",
        ),
    ] = False,
) -> None:
    """Send valid and invalid Canvas events through router and rosters, request a roster, reconcile
    with a simulated Canvas, and check the results.

    Uses its own Kafka broker, or the cluster that ROLLCALL_KAFKA names, with its own topic names.
    Exit code 0: every record is on the right topic, the rosters are as expected, and in the end as
    Canvas has them.
    """
    from rollcall.sandbox.demo.interrupts import Interrupts
    from rollcall.sandbox.demo.run import run_demo
    from rollcall.sandbox.demo.screen import Screen

    screen, interrupts = Screen(), Interrupts()
    try:
        with interrupts.handled():
            code = run_demo(
                events=events, seed=seed, keep=keep, screen=screen, interrupts=interrupts
            )
    except KeyboardInterrupt:
        screen.print("stopped; nothing is left running")
        code = interrupts.exit_code
    raise typer.Exit(code)
