"""The part of the demo that needs a cluster: topics, traffic, router, rosters and serve, and what
there is to be read of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from aiokafka.errors import KafkaError

from rollcall.catalogue.plans import plan_topics
from rollcall.errors import BrokerUnavailableError, RollcallError
from rollcall.events.registry import REGISTRY
from rollcall.kafka.client import client_options
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.kafka.topics import TopicFinding
from rollcall.process.topics import TopicNames
from rollcall.rosters.registry import stages
from rollcall.rosters.topics import roster_topics
from rollcall.sandbox.canvas.faults import LARGE_BYTES
from rollcall.sandbox.canvas.sending import send_at_rate, send_records
from rollcall.sandbox.canvas.simulation.truth import Rosters, Truth
from rollcall.sandbox.canvas.traffic import (
    TrafficPlan,
    TrafficRecord,
    documented_traffic,
    generate_traffic,
)
from rollcall.sandbox.demo.asking import RosterRequest, ask
from rollcall.sandbox.demo.cluster import PROCESSES, remove
from rollcall.sandbox.demo.institution import Cast, Institution
from rollcall.sandbox.demo.ledger import Ledger, counted
from rollcall.sandbox.demo.metrics import RouterReading, read_router
from rollcall.sandbox.demo.reading import Found, read_outputs
from rollcall.sandbox.demo.rosters import Scene, of_courses, witnessed
from rollcall.sandbox.demo.screen import Screen, seconds_since
from rollcall.sandbox.demo.view import RosterView
from rollcall.sandbox.demo.watching import caught_up, routed, settled
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings

LIVE_EVENTS = 5.0
"""A second, once all is shown: the page moves, and one can still read it."""

TOPICS_SECONDS = 60.0
SEND_SECONDS = 60.0
"""For any number of records, and beside it what they take at the rate of a very slow machine
(records a second).
"""
_SLOWEST_SENDING = 2_000

SERVE_SECONDS = 60.0
"""So long may the replica take to have all rows."""


class DemoError(RollcallError):
    """The demo could not be carried through."""


class Routing(NamedTuple):
    """What was sent, what the router says, what is on its topics."""

    sent: Ledger
    router: RouterReading
    found: Found
    documented: int
    """How many documented events were sent."""


class Keeping(NamedTuple):
    """What became of the rosters."""

    cast: Cast
    moved: Scene
    """The section was cross-listed."""
    deleted: Scene
    """The course was deleted."""
    truth: Rosters
    """What the rosters must be in the end."""
    found: Rosters
    """What they are."""


class Results(NamedTuple):
    """What is to be shown."""

    routing: Routing
    keeping: Keeping
    asking: RosterRequest


class Work:
    """Everything in its order, and on the user's cluster nothing is left of it."""

    def __init__(self, settings: Settings, bootstrap: str, folder: Path, screen: Screen) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._folder = folder
        self._screen = screen
        self._names = TopicNames(settings.topic_prefix)
        self._options = client_options(settings, bootstrap)
        self._documented = [
            record.value for record in documented_traffic() if record.value is not None
        ]
        self._sent = Ledger()
        self._truth = Truth(settings.shard)

    async def carry_out(
        self,
        events: int,
        seed: int,
        show: Callable[[Results], bool],
        wait: Callable[[], Awaitable[None]] | None,
    ) -> bool:
        """All of it.

        Args:
            show: shows the results, and returns whether they are right. Then all processes still
                run.
            wait: called after that.

        Raises:
            RollcallError: it could not be carried through.
        """
        to_be_removed = self._settings.kafka is not None
        try:
            plan = self._plan(events, seed, await self._topics())
            institution = Institution(seed)
            await self._send_all(plan, institution)
            async with contextlib.AsyncExitStack() as stack:
                router, rosters = [
                    await stack.enter_async_context(self._process(name)) for name in PROCESSES
                ]
                await self._catch_up(router, rosters)
                serve = await stack.enter_async_context(self._serve(router, rosters))
                view = await stack.enter_async_context(
                    RosterView(self._options, self._names, self._settings.partitions)
                )
                moved, deleted = await self._tell(institution, view, router, rosters)
                reading = read_router(await router.metrics())
                asking = await self._ask(serve, institution.cast.other.gid)
                with self._screen.doing("reading all topics, as any Kafka consumer would"):
                    found = await read_outputs(
                        self._options, self._names, self._settings.partitions, self._documented
                    )
                routing = Routing(self._sent, reading, found, len(self._documented))
                keeping = Keeping(
                    institution.cast, moved, deleted, self._truth.rosters(), view.rosters
                )
                right = show(Results(routing, keeping, asking))
                if wait is not None:
                    self._screen.say(
                        "Everything is left running until Ctrl-C: the page and the API at "
                        f"{serve.url}, Kafka at {self._bootstrap}"
                    )
                    self._screen.say(
                        f"The institution goes on, with {LIVE_EVENTS:.0f} events a second."
                    )
                    living = asyncio.create_task(self._live_on(institution))
                    try:
                        await wait()
                    finally:
                        living.cancel()
                        await asyncio.wait({living})
                        if not living.cancelled():
                            living.result()
            return right
        except BrokerUnavailableError:
            to_be_removed = False  # there is nothing yet
            raise
        finally:
            if to_be_removed:
                with self._screen.doing("deleting the demo's topics"):
                    left = await remove(self._settings, self._bootstrap)
                for what in left:
                    self._screen.step("broker", f"could not be deleted: {what}")

    async def _live_on(self, institution: Institution) -> None:
        """Send what happens in the institution from now on."""
        try:
            await send_at_rate(
                self._options, self._names.raw, institution.further_life(), LIVE_EVENTS
            )
        except (KafkaError, OSError) as error:
            self._screen.say(
                f"no more events are sent ({type(error).__name__}: {error}); look at the broker's "
                "log"
            )

    def _process(self, name: str) -> ManagedProcess:
        return ManagedProcess(name, self._settings, self._bootstrap, self._folder)

    def _serve(self, router: ManagedProcess, rosters: ManagedProcess) -> ManagedProcess:
        urls = tuple(f"{process.url}/metrics" for process in (router, rosters))
        settings = self._settings.model_copy(
            update={"replica": self._folder / "replica.sqlite", "metrics_urls": urls}
        )
        return ManagedProcess("serve", settings, self._bootstrap, self._folder)

    async def _ask(self, serve: ManagedProcess, course: str) -> RosterRequest:
        """Ask for a course's enrollments, and hold them against the truth."""
        began = time.monotonic()
        with self._screen.doing("starting serve"):
            await serve.started()
        with self._screen.doing("waiting for the replica"):
            while not await serve.is_ready():
                serve.check()
                if time.monotonic() - began > SERVE_SECONDS:
                    raise serve.failure(
                        f"was not ready after {SERVE_SECONDS:.0f} s: "
                        f"{(await serve.get('/readyz')).text}"
                    )
                await asyncio.sleep(0.1)
        self._screen.step(
            "serve",
            f"process {serve.pid}, {serve.url}, ready {seconds_since(began)} after the rosters",
        )
        with self._screen.doing("asking for a roster"):
            return await ask(serve, course, self._truth.rosters())

    async def _topics(self) -> list[TopicFinding]:
        with self._screen.doing("creating the topics"):
            try:
                async with asyncio.timeout(TOPICS_SECONDS):
                    findings = await ensure_topics(
                        self._settings, self._bootstrap, plan_topics(self._settings)
                    )
            except TimeoutError:
                raise DemoError(
                    f"the topics were not there after {TOPICS_SECONDS:.0f} s; look at the "
                    "broker's log"
                ) from None
        names = self._names
        named = (
            f"{names.raw}, {names.prefix}.events.* ({len(REGISTRY)}), {names.unknown}, "
            f"{names.dead_letter}, {names.prefix}.rosters.*"
        )
        self._screen.step("topics", f"{named} ({len(self._truth.rosters())})")
        return findings

    def _plan(self, events: int, seed: int, topics: list[TopicFinding]) -> TrafficPlan:
        plan = TrafficPlan(count=events, seed=seed)
        # The latest event is of now; the records themselves bear the time of sending.
        plan = replace(plan, start_ms=int(time.time() * 1000) - plan.count * plan.step_ms)
        limit = min(
            (topic.limits.record_bytes for topic in topics if topic.limits.record_bytes), default=0
        )
        if limit > min(LARGE_BYTES):
            self._screen.step(
                "",
                f"the topics of this cluster take records of {limit:,} bytes, so none that are "
                "too large are sent",
            )
            plan = replace(plan, too_large=0.0)
        return plan

    async def _send_all(self, plan: TrafficPlan, institution: Institution) -> None:
        began = time.monotonic()
        total = len(self._documented) + plan.count + len(institution)
        with self._screen.doing(f"sending {total:,} records"):
            await self._send(
                itertools.chain(
                    documented_traffic(), generate_traffic(plan), institution.records()
                ),
                total,
            )
        what = (
            f"{len(self._documented)} documented events, {plan.count:,} varied ones, good and "
            f"bad, and {len(institution):,} of a simulated institution"
        )
        self._screen.step("sent", f"{what} ({seconds_since(began)})")

    async def _send(self, records: Iterable[TrafficRecord], count: int) -> None:
        seconds, total = SEND_SECONDS + count / _SLOWEST_SENDING, self._sent.total + count
        try:
            async with asyncio.timeout(seconds):
                await send_records(
                    self._options,
                    self._names.raw,
                    counted(witnessed(records, self._truth), self._sent),
                )
        except TimeoutError:
            raise DemoError(
                f"only {self._sent.total:,} of {total:,} records were sent within {seconds:.0f} "
                "s; look at the broker's log"
            ) from None
        except (KafkaError, OSError) as error:
            raise DemoError(
                f"the records could not be sent ({type(error).__name__}: {error}); look at the "
                "broker's log"
            ) from None

    async def _catch_up(self, router: ManagedProcess, rosters: ManagedProcess) -> None:
        """Wait until both have done all that there is to do."""
        began, total = time.monotonic(), self._sent.total
        for process in (router, rosters):
            with self._screen.doing(f"starting the {process.name}"):
                await process.started()
            self._screen.step(process.name, f"process {process.pid}, {process.url}/metrics")
        with self._screen.progress("routing") as progress:
            await routed(router, total, progress, rosters)
        self._screen.step(
            "routed", f"all {total:,} records, {seconds_since(began)} after the start"
        )
        with self._screen.progress("rosters") as progress:
            reading = await caught_up(rosters, self._inputs, progress)
        self._screen.step(
            "rosters",
            f"up to date {seconds_since(began)} after the start, {reading.written:,} rows written",
        )

    async def _tell(
        self,
        institution: Institution,
        view: RosterView,
        router: ManagedProcess,
        rosters: ManagedProcess,
    ) -> tuple[Scene, Scene]:
        """Two more events, and what each does."""
        with self._screen.doing("reading the rosters, as any Kafka consumer would"):
            await view.catch_up()
        with self._screen.doing("moving a section to another course"):
            moved = await self._play(
                institution.cross_list(), institution.cast, view, (router, rosters)
            )
        with self._screen.doing("deleting a course"):
            deleted = await self._play(
                institution.delete_course(), institution.cast, view, (router, rosters)
            )
            await caught_up(rosters, self._inputs)
            await view.catch_up()
        self._screen.step(
            "sent", "two more events: a section changes course, and a course is deleted"
        )
        return moved, deleted

    async def _play(
        self,
        record: TrafficRecord,
        cast: Cast,
        view: RosterView,
        processes: Sequence[ManagedProcess],
    ) -> Scene:
        """Send one event, and see what it does to the rosters."""
        courses = {cast.course.gid, cast.other.gid}
        before, began = of_courses(view.rosters, courses), time.monotonic()
        await self._send([record], 1)
        await settled(view, self._truth.rosters(), courses, *processes)
        assert record.expected.event_name is not None
        return Scene(
            record.expected.event_name,
            time.monotonic() - began,
            before,
            of_courses(view.rosters, courses),
        )

    @property
    def _inputs(self) -> frozenset[tuple[str, int]]:
        """Topics and partitions that the rosters read."""
        settings, names = self._settings, roster_topics(self._settings)
        topics = {names.full(topic) for stage in stages(settings.shard) for topic in stage.inputs}
        return frozenset(itertools.product(topics, range(settings.partitions)))
