"""The demo from beginning to end: what is done, what is shown of it, and whether everything is
where it belongs.
"""

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
from rollcall.sandbox.demo.work import Keeping, Results, Routing, Work


def run_demo(*, events: int, seed: int, keep: bool, screen: Screen, interrupts: Interrupts) -> int:
    """Run the demo; the exit code: 0, or 1 when something is not where it belongs.

    Args:
        keep: leave all running until a signal comes.

    Raises:
        RollcallError: it could not be carried through.
        KeyboardInterrupt: it was interrupted; nothing is left running.
    """
    began = time.monotonic()
    settings = demo_settings()
    screen.say(
        Text("Rollcall demo", style="bold").append(
            ": Canvas events go in, typed topics and rosters come out", style="not bold"
        ),
        "",
    )
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(workplace(settings))
        # what client libraries have to say is not for the screen
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
                f"{bootstrap}, as ROLLCALL_KAFKA says; all topics here begin with "
                f"{settings.topic_prefix} and are deleted in the end",
            )
        names = TopicNames(settings.topic_prefix)

        def show(results: Results) -> bool:
            return show_all(results, names, screen, folder)

        right = interrupts.run(
            Work(settings, bootstrap, folder, screen).carry_out(
                events, seed, show, interrupts.awaited if keep else None
            )
        )
        with screen.doing("stopping Kafka" if settings.kafka is None else "clearing up"):
            stack.close()
    screen.say(Text(f"Nothing is left running. {seconds_since(began)}", style="dim"))
    return 0 if right else 1


def show_all(results: Results, names: TopicNames, screen: Screen, folder: Path) -> bool:
    """Show all of it; whether everything is as it must be."""
    routing, keeping, asking = results
    placed, true = show_topics(routing, names, screen), show_rosters(keeping, names, screen)
    screen.say(
        report.heading("The same roster, asked for as in Canvas's API"),
        "",
        *roster_report.answer(asking),
    )
    if placed and true and not asking.wrong:
        rows = sum(map(len, keeping.truth.values()))
        said = (
            f"All {routing.sent.total:,} records are where they belong, and all {rows:,} rows "
            "are true."
        )
        screen.say(Text(said, style="bold green"))
        return True
    if not placed:
        screen.say(
            Text(
                "Not every record is where it belongs. The router's log is "
                f"{folder / 'router.log'}",
                style="bold red",
            )
        )
    if not true:
        screen.say(
            Text(
                f"Not every row of the rosters is true. Their log is {folder / 'rosters.log'}",
                style="bold red",
            )
        )
    if asking.wrong:
        screen.say(
            Text(
                "The answers are not what the rosters are. The log of serve is "
                f"{folder / 'serve.log'}",
                style="bold red",
            )
        )
    return False


def show_topics(routing: Routing, names: TopicNames, screen: Screen) -> bool:
    """Show what the router has made; whether all is as it was sent."""
    sent, (received, routed), found, documented = routing
    screen.say("", report.heading("Typed topics"), report.typed_topics(names, sent, found.ledger))
    screen.say(report.heading("Dead letters"), report.dead_letters(names, sent, found.ledger))
    if found.letters:
        screen.say(report.heading("One of each"), "")
    screen.say(
        *(report.letter(code, found.letters[code]) for code in ErrorCode if code in found.letters)
    )
    screen.say(report.heading("Three typed events, read with isolation.level=read_committed"), "")
    screen.say(*map(report.typed_event, report.chosen_events(found)))
    by_topics, by_router = differences(sent, found.ledger), differences(sent, routed)
    screen.say(report.heading("One in, one out"), "")
    screen.say(
        report.identity("topics", sent.total, found.ledger),
        report.identity("router", received, routed),
        report.details(found, documented),
    )
    screen.say(report.mismatches("topics", by_topics), report.mismatches("router", by_router), "")
    return not (by_topics or by_router or found.changed or found.leaked) and received == sent.total


def show_rosters(keeping: Keeping, names: TopicNames, screen: Screen) -> bool:
    """Show a course, what two events did to it, and all rosters against the truth; whether they are
    equal.
    """
    cast, moved, deleted, truth, found = keeping
    screen.say(
        report.heading("The roster of a course"),
        "",
        *roster_report.course(cast.course.gid, moved.before),
    )
    screen.say(
        report.heading("A section moves to another course"),
        "",
        *roster_report.move(cast, moved, names),
    )
    screen.say(report.heading("The course is deleted"), "", *roster_report.deletion(cast, deleted))
    wrong = mistakes(truth, found)
    screen.say(report.heading("Rosters"), roster_report.comparison(names, truth, found, wrong))
    return not any(wrong.values())
