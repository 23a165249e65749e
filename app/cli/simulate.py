"""``rollcall simulate``: the events of a simulated Canvas, as JSON lines or to the raw topic."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Annotated

import orjson
import typer
from aiokafka.errors import KafkaError

from app.access import check_access
from app.canvas.sending import send_records
from app.canvas.simulation import SimulatedEvent, Simulation, SimulationPlan
from app.canvas.traffic import Expectation, Kind, TrafficRecord
from app.cli.broker import bootstrap_servers
from app.errors import BrokerUnavailableError, ConfigurationError
from app.kafka import client_options
from app.settings import Settings, load_settings
from app.topics import TopicNames, ensure_topics, plan_router_topics

LINES_AT_ONCE = 200


def simulate(
    courses: Annotated[int, typer.Option(min=1, help="Courses in the beginning.")] = 10,
    steps: Annotated[int, typer.Option(min=0, help="What happens after the beginning; some three events each.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Another number gives another life.")] = 1,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share of events that are delivered again, later.")] = 0.0,
    disorder: Annotated[int, typer.Option(min=0, help="Window, in events, within which delivery is shuffled.")] = 0,
    lost: Annotated[float, typer.Option(min=0, max=1, help="Share of events that are never delivered.")] = 0.0,
    skew: Annotated[float, typer.Option(min=0, max=3600, help="Seconds by which the clocks of application servers differ at most.")] = 0.0,
    class_size: Annotated[int, typer.Option(min=0, help="Students in a course, on average.")] = 25,
    to_kafka: Annotated[bool, typer.Option("--to-kafka", help="Send to the raw topic of the configured cluster, which is created if it is missing.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Events per second, with --to-kafka. Default: as fast as it goes.")] = None,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the events there, not to standard output.")] = None,
    truth: Annotated[Path | None, typer.Option(dir_okay=False, help="Write there what rosters the events must come to.")] = None,
) -> None:
    """Play the life of an institution, and write the events that Canvas would emit, one JSON event a line.

    The same options give the same events. The truth is JSON lines, too: {"relation": …, "key": …, "row": …}.
    """
    if to_kafka and output is not None:
        raise ConfigurationError("--to-kafka and --output exclude each other: choose one")
    if rate is not None and not to_kafka:
        raise ConfigurationError("--rate is for sending: add --to-kafka")
    plan = SimulationPlan(courses=courses, steps=steps, seed=seed, duplicates=duplicates, disorder=disorder, lost=lost, skew=skew, class_size=class_size)
    simulation = Simulation(plan)
    with ExitStack() as files:
        truth_file = None if truth is None else files.enter_context(_opened(truth))
        if to_kafka:
            settings = load_settings()
            names = TopicNames(settings.topic_prefix)
            count = asyncio.run(_send(settings, bootstrap_servers(settings), names.raw, simulation.events(), rate))
            typer.echo(f"sent {count:,} events to {names.raw}")
        elif output is not None:
            _write(simulation.events(), files.enter_context(_opened(output)), output)
        else:
            try:
                _write(simulation.events(), sys.stdout.buffer, None)
            except BrokenPipeError:
                # Whoever read has seen enough. Python would complain again when it closes standard output.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return
        if truth is not None and truth_file is not None:
            _write_truth(simulation, truth_file, truth)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot write {str(path)!a}: {error.strerror or error}")


def _write(events: Iterator[SimulatedEvent], file: IO[bytes], path: Path | None) -> None:
    try:
        while lines := [event.value for event in islice(events, LINES_AT_ONCE)]:
            file.write(b"\n".join(lines) + b"\n")
        file.flush()
    except OSError as error:
        if path is None:
            raise
        raise _unwritable(path, error) from None


def _write_truth(simulation: Simulation, file: IO[bytes], path: Path) -> None:
    try:
        for relation, rows in simulation.truth().items():
            for key, row in rows.items():
                file.write(orjson.dumps({"relation": relation, "key": key, "row": row}, option=orjson.OPT_APPEND_NEWLINE))
        file.flush()
    except OSError as error:
        raise _unwritable(path, error) from None


async def _send(settings: Settings, bootstrap: str, topic: str, events: Iterator[SimulatedEvent], rate: float | None) -> int:
    await check_access(settings, bootstrap, "bridge")
    await ensure_topics(settings, bootstrap, [plan for plan in plan_router_topics(settings) if plan.name == topic])
    options = client_options(settings, bootstrap)
    records = (TrafficRecord(None, event.value, (), event.time_ms, Expectation(Kind.ROUTED, event.name, None)) for event in events)
    try:
        if rate is None:
            return await send_records(options, topic, records)
        began, sent = time.monotonic(), 0
        # What is due in a second at once; at low rates one event at a time.
        while batch := list(islice(records, max(1, int(rate)))):
            await asyncio.sleep(began + sent / rate - time.monotonic())
            sent += await send_records(options, topic, batch)
        return sent
    except (KafkaError, OSError) as error:
        raise BrokerUnavailableError(f"the events could not be sent to {topic} at {bootstrap} ({type(error).__name__}: {error}); check the cluster") from None


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("simulate")(simulate)
