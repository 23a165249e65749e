"""``rollcall simulate``: the events of a simulated Canvas, as JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    courses: Annotated[int, typer.Option(min=1, help="Courses at the start.")] = 10,
    steps: Annotated[
        int, typer.Option(min=0, help="Changes after the start; some three events each.")
    ] = 1_000,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 1,
    duplicates: Annotated[
        float, typer.Option(min=0, max=1, help="Share of events that are delivered twice.")
    ] = 0.0,
    disorder: Annotated[
        int, typer.Option(min=0, help="Window, in events, in which delivery is shuffled.")
    ] = 0,
    lost: Annotated[
        float, typer.Option(min=0, max=1, help="Share of events that are never delivered.")
    ] = 0.0,
    skew: Annotated[
        float,
        typer.Option(
            min=0,
            max=3600,
            help="Maximum difference between the clocks of application servers, in seconds.",
        ),
    ] = 0.0,
    class_size: Annotated[int, typer.Option(min=0, help="Students in a course, on average.")] = 25,
    output: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the events to this file, not to standard output."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the expected rosters to this file."),
    ] = None,
    canvas_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Then answer like Canvas's REST API on this port of this machine until Ctrl-C, "
            "with all rows of the institution, for 'rollcall reconcile'. 0: a free port.",
        ),
    ] = None,
) -> None:
    """Simulate an institution, and write the events that Canvas would emit, one JSON event a line.

    The same options give the same events. 'rollcall ingest file -' sends them to Kafka. The file of
    --truth is JSON lines, too: {"relation": …, "key": …, "row": …}.
    """
    from rollcall.cli.simulating import play
    from rollcall.sandbox.canvas.simulation import SimulationPlan

    plan = SimulationPlan(
        courses=courses,
        steps=steps,
        seed=seed,
        duplicates=duplicates,
        disorder=disorder,
        lost=lost,
        skew=skew,
        class_size=class_size,
    )
    play(plan, output=output, truth=truth, canvas_port=canvas_port)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("simulate")(simulate)
