"""Runs the demo, prints its results, and decides whether they are correct."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path

from rich.text import Text

from rollcall.events.outcomes import ErrorCode
from rollcall.process.topics import TopicNames
from rollcall.sandbox.broker.libraries import kafka_version
from rollcall.sandbox.demo import report, roster_report
from rollcall.sandbox.demo.cluster import cluster, demo_settings, workplace
from rollcall.sandbox.demo.interrupts import Interrupts
from rollcall.sandbox.demo.ledger import differences
from rollcall.sandbox.demo.rosters import mistakes
from rollcall.sandbox.demo.screen import Screen, seconds_since
from rollcall.sandbox.demo.work import (
    IngestResults,
    Results,
    RosterResults,
    RouterResults,
    Work,
)


def run_demo(*, events: int, seed: int, keep: bool, screen: Screen, interrupts: Interrupts) -> int:
    """Run the demo. Returns the exit code: 0, or 1 if a result is wrong.

    Args:
        keep: keep everything running until a signal.

    Raises:
        RollcallError: the demo failed.
        KeyboardInterrupt: a signal interrupted the demo; all processes have ended.
    """
    began = time.monotonic()
    settings = demo_settings()
    screen.print(
        Text("Rollcall demo", style="bold").append(
            ": Canvas events go in, typed topics and rosters come out", style="not bold"
        ),
        "",
    )
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(workplace(settings))
        # log messages of client libraries go to a file, not to the screen
        logging.basicConfig(filename=folder / "demo.log", level=logging.WARNING, force=True)
        with screen.doing("starting Kafka"):
            bootstrap = stack.enter_context(
                cluster(settings, folder, announce=lambda line: screen.step("broker", line))
            )
        if settings.kafka is None:
            screen.step(
                "broker",
                f"Kafka {kafka_version()} at {bootstrap}, for this demo only "
                f"({seconds_since(began)})",
            )
        else:
            screen.step(
                "broker",
                f"{bootstrap}, from ROLLCALL_KAFKA; all topics of the demo begin with "
                f"{settings.topic_prefix} and are deleted at the end",
            )
        names = TopicNames(settings.topic_prefix)

        def show(results: Results) -> bool:
            return show_all(results, names, screen, folder)

        right = interrupts.run(
            Work(settings, bootstrap, folder, screen).run(
                events, seed, show, interrupts.awaited if keep else None
            )
        )
        with screen.doing("stopping Kafka" if settings.kafka is None else "clearing up"):
            stack.close()
    screen.print(Text(f"Nothing is left running. {seconds_since(began)}", style="dim"))
    return 0 if right else 1


def show_all(results: Results, names: TopicNames, screen: Screen, folder: Path) -> bool:
    """Print all results; whether they are correct."""
    ingest_results, router_results, roster_results, request = results
    arrived = ingest_results is None or show_ways_in(ingest_results, names, screen)
    placed, true = (
        show_topics(router_results, names, screen),
        show_rosters(roster_results, names, screen),
    )
    screen.print(
        report.heading("The same roster from Canvas's API"),
        "",
        *roster_report.answer(request),
    )
    if arrived and placed and true and not request.wrong:
        rows = sum(map(len, roster_results.truth.values()))
        verdict = (
            f"All {router_results.sent.total:,} records are where they belong, and all {rows:,} "
            "rows are true."
        )
        screen.print(Text(verdict, style="bold green"))
        return True
    if not arrived:
        screen.print(
            Text(
                "Not every event of the institution came to the raw topic. The logs are "
                f"{folder / 'ingest-sqs.log'} and {folder / 'ingest-https.log'}",
                style="bold red",
            )
        )
    if not placed:
        screen.print(
            Text(
                "Not every record is where it belongs. The router's log is "
                f"{folder / 'router.log'}",
                style="bold red",
            )
        )
    if not true:
        screen.print(
            Text(
                f"Not every row of the rosters is true. Their log is {folder / 'rosters.log'}",
                style="bold red",
            )
        )
    if request.wrong:
        screen.print(
            Text(
                "The answers are not what the rosters are. The log of serve is "
                f"{folder / 'serve.log'}",
                style="bold red",
            )
        )
    return False


def show_ways_in(ingest_results: IngestResults, names: TopicNames, screen: Screen) -> bool:
    """Print how the institution's events came to the raw topic; whether all of them did."""
    queue, webhook, left, reading = ingest_results
    ways = [
        report.WayIn("SQS queue", queue, reading.deleted, "deleted"),
        report.WayIn("signed HTTPS", webhook, reading.accepted, "answered with 204"),
    ]
    screen.print("", report.heading("The ways in"), report.ways_in(names, ways, left))
    return not left and all(way.is_complete for way in ways)


def show_topics(router_results: RouterResults, names: TopicNames, screen: Screen) -> bool:
    """Print the router's outputs; whether they are correct."""
    sent, (received, routed), found, documented = router_results
    screen.print("", report.heading("Typed topics"), report.typed_topics(names, sent, found.ledger))
    screen.print(report.heading("Dead letters"), report.dead_letters(names, sent, found.ledger))
    if found.dead_letters:
        screen.print(report.heading("One of each"), "")
    screen.print(
        *(
            report.dead_letter(code, found.dead_letters[code])
            for code in ErrorCode
            if code in found.dead_letters
        )
    )
    screen.print(report.heading("Three typed events, read with isolation.level=read_committed"), "")
    screen.print(*map(report.typed_event, report.chosen_events(found)))
    by_topics, by_router = differences(sent, found.ledger), differences(sent, routed)
    screen.print(report.heading("One in, one out"), "")
    screen.print(
        report.identity("topics", sent.total, found.ledger),
        report.identity("router", received, routed),
        report.details(found, documented),
    )
    screen.print(report.mismatches("topics", by_topics), report.mismatches("router", by_router), "")
    return not (by_topics or by_router or found.changed or found.leaked) and received == sent.total


def show_rosters(roster_results: RosterResults, names: TopicNames, screen: Screen) -> bool:
    """Print a course, the effects of two events, and the comparison of all rosters; whether they
    are correct.
    """
    example, moved, deleted, truth, found = roster_results
    screen.print(
        report.heading("The roster of a course"),
        "",
        *roster_report.course(example.course.gid, moved.before),
    )
    screen.print(
        report.heading("A section moves to another course"),
        "",
        *roster_report.move(example, moved, names),
    )
    screen.print(
        report.heading("The course is deleted"), "", *roster_report.deletion(example, deleted)
    )
    wrong = mistakes(truth, found)
    screen.print(report.heading("Rosters"), roster_report.comparison(names, truth, found, wrong))
    return not any(wrong.values())
