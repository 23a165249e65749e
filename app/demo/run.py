"""The demo from beginning to end: broker, topics, traffic, router, and a check that everything is where it belongs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from aiokafka.errors import KafkaError
from rich.text import Text

from app.broker.libraries import kafka_version
from app.canvas.faults import LARGE_BYTES
from app.canvas.sending import send_records
from app.canvas.traffic import TrafficPlan, documented_traffic, generate_traffic
from app.demo import report
from app.demo.cluster import cluster, demo_settings, remove, workplace
from app.demo.interrupts import Interrupts
from app.demo.ledger import Ledger, counted, differences
from app.demo.reading import Found, read_outputs
from app.demo.router_process import Reading, RouterEndedError, RouterProcess
from app.demo.screen import Screen
from app.errors import BrokerUnavailableError, RollcallError
from app.events.outcomes import ErrorCode
from app.events.registry import REGISTRY
from app.kafka import client_options
from app.settings import Settings
from app.topics import TopicFinding, TopicNames, ensure_topics, plan_router_topics

TOPICS_SECONDS = 60.0
SEND_SECONDS = 60.0
"""For any number of records, and beside it what they take at the rate of a very slow machine (records a second)."""
_SLOWEST_SENDING = 2_000
STILL_SECONDS = 45.0
"""So long the router may go without committing anything, the first time too: it joins its group first."""

_SCRAPE_SECONDS = 0.1


class DemoError(RollcallError):
    """The demo could not be carried through."""


class Outcome(NamedTuple):
    """What was sent, what the router says, what is on the topics."""

    sent: Ledger
    router: Reading
    found: Found
    documented: int
    """How many documented events were sent."""


def run_demo(*, events: int, seed: int, screen: Screen, interrupts: Interrupts) -> int:
    """Run the demo; the exit code: 0, or 1 when something is not where it belongs.

    Raises:
        RollcallError: it could not be carried through.
        KeyboardInterrupt: it was interrupted; nothing is left running.
    """
    began = time.monotonic()
    settings = demo_settings()
    screen.say(Text("Rollcall demo", style="bold").append(": Canvas events go in, typed topics come out", style="not bold"), "")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(workplace(settings))
        logging.basicConfig(filename=folder / "demo.log", level=logging.WARNING, force=True)  # what client libraries have to say is not for the screen
        with screen.doing("starting Kafka"):
            bootstrap = stack.enter_context(cluster(settings, folder, announce=lambda line: screen.step("broker", line)))
        if settings.kafka is None:
            screen.step("broker", f"Kafka {kafka_version()} at {bootstrap}, for this demo only ({_seconds(began)})")
        else:
            screen.step("broker", f"{bootstrap}, as ROLLCALL_KAFKA says; all topics here begin with {settings.topic_prefix} and are deleted in the end")
        outcome = interrupts.run(_Demo(settings, bootstrap, folder, screen).carry_out(events, seed))
        fine = show(outcome, TopicNames(settings.topic_prefix), screen)
        with screen.doing("stopping Kafka" if settings.kafka is None else "clearing up"):
            stack.close()
    if fine:
        screen.say(Text(f"Every one of {outcome.sent.total:,} records is where it belongs. {_seconds(began)}", style="bold green"))
    else:
        screen.say(Text(f"Not every record is where it belongs. The router's log is {folder / 'router.log'}", style="bold red"))
    return 0 if fine else 1


class _Demo:
    """What needs a cluster."""

    def __init__(self, settings: Settings, bootstrap: str, folder: Path, screen: Screen) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._folder = folder
        self._screen = screen
        self._names = TopicNames(settings.topic_prefix)
        self._options = client_options(settings, bootstrap)
        self._documented = [record.value for record in documented_traffic() if record.value is not None]

    async def carry_out(self, events: int, seed: int) -> Outcome:
        """Topics, traffic, router, reading. On the user's cluster, nothing is left of it."""
        to_be_removed = self._settings.kafka is not None
        try:
            topics = await self._topics()
            sent = await self._send(self._plan(events, seed, topics))
            async with RouterProcess(self._settings, self._bootstrap, self._folder) as router:
                with self._screen.doing("starting the router"):
                    await router.started()
                self._screen.step("router", f"process {router.pid}, {router.url}/metrics")
                reading = await self._route(router, sent.total)
            with self._screen.doing("reading all topics, as any Kafka consumer would"):
                found = await read_outputs(self._options, self._names, self._settings.partitions, self._documented)
            return Outcome(sent, reading, found, len(self._documented))
        except BrokerUnavailableError:
            to_be_removed = False  # there is nothing yet
            raise
        finally:
            if to_be_removed:
                with self._screen.doing("deleting the demo's topics"):
                    left = await remove(self._settings, self._bootstrap)
                for what in left:
                    self._screen.step("broker", f"could not be deleted: {what}")

    async def _topics(self) -> list[TopicFinding]:
        with self._screen.doing("creating the topics"):
            try:
                async with asyncio.timeout(TOPICS_SECONDS):
                    findings = await ensure_topics(self._settings, self._bootstrap, plan_router_topics(self._settings))
            except TimeoutError:
                raise DemoError(f"the topics were not there after {TOPICS_SECONDS:.0f} s; look at the broker's log") from None
        names = self._names
        self._screen.step("topics", f"{names.raw}, {names.prefix}.events.* ({len(REGISTRY)}), {names.unknown}, {names.dead_letter}")
        return findings

    def _plan(self, events: int, seed: int, topics: list[TopicFinding]) -> TrafficPlan:
        plan = TrafficPlan(count=events, seed=seed)
        # The latest event is of now; the records themselves bear the time of sending.
        plan = replace(plan, start_ms=int(time.time() * 1000) - plan.count * plan.step_ms)
        limit = min((topic.limits.record_bytes for topic in topics if topic.limits.record_bytes), default=0)
        if limit > min(LARGE_BYTES):
            self._screen.step("", f"the topics of this cluster take records of {limit:,} bytes, so none that are too large are sent")
            plan = replace(plan, too_large=0.0)
        return plan

    async def _send(self, plan: TrafficPlan) -> Ledger:
        began, sent = time.monotonic(), Ledger()
        records = counted(itertools.chain(documented_traffic(), generate_traffic(plan)), sent)
        total = len(self._documented) + plan.count
        seconds = SEND_SECONDS + total / _SLOWEST_SENDING
        with self._screen.doing(f"sending {total:,} records"):
            try:
                async with asyncio.timeout(seconds):
                    await send_records(self._options, self._names.raw, records)
            except TimeoutError:
                raise DemoError(f"only {sent.total:,} of {total:,} records were sent within {seconds:.0f} s; look at the broker's log") from None
            except (KafkaError, OSError) as error:
                raise DemoError(f"the records could not be sent ({type(error).__name__}: {error}); look at the broker's log") from None
        self._screen.step("sent", f"{len(self._documented)} documented events and {plan.count:,} varied ones, good and bad ({_seconds(began)})")
        return sent

    async def _route(self, router: RouterProcess, total: int) -> Reading:
        """Watch the router until it has taken in every record."""
        began = moved = time.monotonic()
        reading = Reading(0, Ledger())
        with self._screen.progress(total) as progress:
            while reading.received < total:
                await asyncio.sleep(_SCRAPE_SECONDS)
                before, reading = reading.received, await router.read()
                progress.show(reading.received, reading.ledger)
                if reading.received != before:
                    moved = time.monotonic()
                elif time.monotonic() - moved > STILL_SECONDS:
                    raise RouterEndedError(f"the router has taken in {before:,} of {total:,} records, and none for {STILL_SECONDS:.0f} s{router.last_words()}")
        self._screen.step("routed", f"all {total:,} records, {_seconds(began)} after the router's start")
        return reading


def show(outcome: Outcome, names: TopicNames, screen: Screen) -> bool:
    """Show what was found; whether all is as it was sent."""
    sent, (received, routed), found, documented = outcome
    screen.say("", report.heading("Typed topics"), report.typed_topics(names, sent, found.ledger))
    screen.say(report.heading("Dead letters"), report.dead_letters(names, sent, found.ledger))
    if found.letters:
        screen.say(report.heading("One of each"), "")
    screen.say(*(report.letter(code, found.letters[code]) for code in ErrorCode if code in found.letters))
    screen.say(report.heading("Three typed events, read with isolation.level=read_committed"), "")
    screen.say(*map(report.typed_event, report.chosen_events(found)))
    by_topics, by_router = differences(sent, found.ledger), differences(sent, routed)
    screen.say(report.heading("One in, one out"), "")
    screen.say(report.identity("topics", sent.total, found.ledger), report.identity("router", received, routed), report.details(found, documented))
    screen.say(report.mismatches("topics", by_topics), report.mismatches("router", by_router), "")
    return not (by_topics or by_router or found.changed or found.leaked) and received == sent.total


def _seconds(since: float) -> str:
    return f"{time.monotonic() - since:.1f} s"
