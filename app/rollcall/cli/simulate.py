"""``rollcall simulate``: the events of a simulated Canvas, as JSON lines or to the raw topic."""

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
    to_kafka: Annotated[
        bool,
        typer.Option(
            "--to-kafka",
            help="Send to the raw topic of the configured cluster. Creates the topic if it is "
            "missing.",
        ),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(min=0.1, help="Events per second, with --to-kafka. Default: no limit."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the events to this file, not to standard output."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the expected rosters to this file."),
    ] = None,
) -> None:
    """Simulate an institution, and write the events that Canvas would emit, one JSON event a line.

    The same options give the same events. The file of --truth is JSON lines, too:
    {"relation": …, "key": …, "row": …}.
    """
    from rollcall.cli.simulating import play
    from rollcall.errors import ConfigurationError
    from rollcall.sandbox.canvas.simulation import SimulationPlan

    if to_kafka and output is not None:
        raise ConfigurationError("--to-kafka and --output exclude each other: choose one")
    if rate is not None and not to_kafka:
        raise ConfigurationError("--rate is for sending: add --to-kafka")
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
    play(plan, to_kafka=to_kafka, rate=rate, output=output, truth=truth)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("simulate")(simulate)
