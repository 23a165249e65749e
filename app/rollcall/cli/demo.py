"""``rollcall demo``: the whole of it in half a minute."""

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
            help="How many varied events to send, beside documented ones and an institution's.",
        ),
    ] = 50_000,
    seed: Annotated[int, typer.Option(help="Another number gives other events.")] = 1,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Leave everything running until Ctrl-C, and let the institution go on."
        ),
    ] = False,
) -> None:
    """Send Canvas events, good and bad, through a router and into rosters, ask for a roster, and
    show what becomes of them.

    Uses a Kafka broker of its own, or the cluster that ROLLCALL_KAFKA names, under topic names of
    its own. Exit code 0: every record is where it belongs, and the rosters are what they must be.
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
        screen.say("stopped; nothing is left running")
        code = interrupts.exit_code
    raise typer.Exit(code)
