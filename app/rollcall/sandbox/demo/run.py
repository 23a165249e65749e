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
from rollcall.sandbox.demo import reconcile_report, report, roster_report
from rollcall.sandbox.demo.cluster import cluster, demo_settings, workplace
from rollcall.sandbox.demo.interrupts import Interrupts
from rollcall.sandbox.demo.ledger import differences
from rollcall.sandbox.demo.reconciling import OWN_SETTINGS, CanvasComparison, Command
from rollcall.sandbox.demo.results import IngestResults, Results, RosterResults, RouterResults
from rollcall.sandbox.demo.rosters import mistakes
from rollcall.sandbox.demo.screen import Screen, seconds_since
from rollcall.sandbox.demo.work import Work


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

        right = interrupts.run(
            Work(settings, bootstrap, folder, screen).run(
                events,
                seed,
                FullReport(names, screen, folder),
                interrupts.awaited if keep else None,
            )
        )
        with screen.doing("stopping Kafka" if settings.kafka is None else "clearing up"):
            stack.close()
    screen.print(Text(f"Nothing is left running. {seconds_since(began)}", style="dim"))
    return 0 if right else 1


class FullReport:
    """Prints all results, and remembers the faults."""

    def __init__(self, names: TopicNames, screen: Screen, folder: Path) -> None:
        self._names = names
        self._screen = screen
        self._folder = folder
        self._proven: list[str] = []
        self._faults: list[str] = []

    def show(self, results: Results) -> None:
        """The results of events."""
        ingest_results, router_results, roster_results, request = results
        names, screen, folder = self._names, self._screen, self._folder
        if ingest_results is not None and not show_ways_in(ingest_results, names, screen):
            self._faults.append(
                "Not every event of the institution came to the raw topic. The logs are "
                f"{folder / 'ingest-sqs.log'} and {folder / 'ingest-https.log'}"
            )
        if not show_topics(router_results, names, screen):
            self._faults.append(
                f"Not every record is where it belongs. The router's log is {folder / 'router.log'}"
            )
        if not show_rosters(roster_results, names, screen):
            self._faults.append(
                f"Not every row of the rosters is true. Their log is {folder / 'rosters.log'}"
            )
        screen.print(
            report.heading("The same roster from Canvas's API"),
            "",
            *roster_report.answer(request),
        )
        if request.wrong:
            self._faults.append(
                "The answers are not what the rosters are. The log of serve is "
                f"{folder / 'serve.log'}"
            )
        rows = sum(map(len, roster_results.truth.values()))
        self._proven.append(
            f"All {router_results.sent.total:,} records are where they belong, and all {rows:,} "
            "rows are true."
        )

    def show_older(self, url: str, before: CanvasComparison) -> None:
        """The rosters of an institution that is older than its subscription."""
        self._screen.print(
            report.heading("What Canvas has without events"),
            "",
            *reconcile_report.introduction(url, OWN_SETTINGS),
            *reconcile_report.comparison(before, is_final=False),
        )

    def show_command(self, ended: Command) -> None:
        """A run of ``rollcall reconcile``."""
        self._screen.print(reconcile_report.command(ended))
        if ended.exit_code:
            self._faults.append(
                f"{ended.line} ended with code {ended.exit_code}. Its log is {ended.log}"
            )

    def conclude(self, after: CanvasComparison) -> bool:
        """Print the rosters at the end and the verdict; whether all results are correct."""
        self._screen.print(
            report.heading("The rosters after it"),
            *reconcile_report.comparison(after, is_final=True),
        )
        if after.wrong:
            wrong = f"{len(after.wrong):,} row{' is' if len(after.wrong) == 1 else 's are'}"
            self._faults.append(
                f"{wrong} not as in Canvas. The log of rollcall reconcile is "
                f"{self._folder / 'reconcile.log'}"
            )
        rows = after.in_canvas.total()
        self._proven.append(
            f"After rollcall reconcile, all {rows:,} rows of the institution are as in Canvas."
        )
        style, lines = ("red", self._faults) if self._faults else ("green", self._proven)
        self._screen.print(*(Text(line, style=f"bold {style}") for line in lines))
        return not self._faults


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
