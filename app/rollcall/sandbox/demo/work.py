"""The demo's steps on a cluster: topics, traffic, router, rosters, serve, and reading the
results.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from rollcall.catalogue.plans import plan_topics
from rollcall.errors import BrokerUnavailableError, RollcallError
from rollcall.events.registry import REGISTRY
from rollcall.ingest.raw_records import HTTPS, SQS
from rollcall.kafka.client import client_options
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.process.topics import TopicNames
from rollcall.sandbox.canvas.rest import CanvasServer
from rollcall.sandbox.canvas.sending import send_records
from rollcall.sandbox.canvas.simulation.truth import Truth
from rollcall.sandbox.canvas.traffic import (
    TrafficPlan,
    TrafficRecord,
    documented_traffic,
    generate_traffic,
)
from rollcall.sandbox.demo.cluster import PROCESSES, remove
from rollcall.sandbox.demo.institution import Example, Institution
from rollcall.sandbox.demo.ledger import Ledger, count_records
from rollcall.sandbox.demo.metrics import read_router
from rollcall.sandbox.demo.reading import high_watermarks, read_outputs, read_raw_events
from rollcall.sandbox.demo.reconciling import (
    CanvasComparison,
    Reconciling,
    compare_with_canvas,
)
from rollcall.sandbox.demo.results import (
    IngestResults,
    Report,
    Results,
    RosterResults,
    RouterResults,
)
from rollcall.sandbox.demo.roster_request import RosterRequest, request_roster
from rollcall.sandbox.demo.rosters import Effect, record_truth, rows_of_courses
from rollcall.sandbox.demo.screen import Screen, seconds_since
from rollcall.sandbox.demo.view import RosterView
from rollcall.sandbox.demo.watching import (
    roster_inputs,
    wait_for_rosters,
    wait_for_router,
    wait_for_rows,
    wait_for_view,
)
from rollcall.sandbox.demo.ways_in import WaysIn, missing_modules, open_ways_in
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings

LIVE_EVENTS = 5.0
"""Events a second after the report: the page changes, and stays readable."""

TOPICS_SECONDS = 60.0
SEND_SECONDS = 60.0
"""Deadline for sending, without the time at the lowest rate."""
_MIN_SEND_RATE = 2_000
"""Records a second on a very slow machine."""


class DemoError(RollcallError):
    """The demo failed."""


class Work:
    """Runs all steps in order, and removes the demo's topics from the user's cluster."""

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
        self._ways_in: WaysIn | None = None
        """None: the institution's events are sent to the raw topic."""

    async def run(
        self,
        events: int,
        seed: int,
        report: Report,
        wait: Callable[[], Awaitable[None]] | None,
    ) -> bool:
        """Run all steps.

        Args:
            report: shows the results.
            wait: called after it.

        Returns whether all results are correct.

        Raises:
            RollcallError: a step failed.
        """
        to_be_removed = self._settings.kafka is not None
        try:
            await self._create_topics()
            plan = self._plan(events, seed)
            institution = Institution(seed)
            async with contextlib.AsyncExitStack() as stack:
                await self._open_ways_in(stack)
                await self._send_all(plan, institution)
                router, rosters = [
                    await stack.enter_async_context(self._process(name)) for name in PROCESSES
                ]
                await self._catch_up(router, rosters)
                serve = await stack.enter_async_context(self._serve(router, rosters))
                view = await stack.enter_async_context(
                    RosterView(self._options, self._names, self._settings.partitions)
                )
                moved, deleted = await self._change_rosters(institution, view, router, rosters)
                reading = read_router(await router.metrics())
                request = await self._ask(serve, institution.example.other.gid)
                with self._screen.doing("reading all topics, as any Kafka consumer would"):
                    found = await read_outputs(
                        self._options, self._names, self._settings.partitions, self._documented
                    )
                    ingest_results = await self._ingest_results()
                router_results = RouterResults(self._sent, reading, found, len(self._documented))
                roster_results = RosterResults(
                    institution.example, moved, deleted, self._truth.rosters(), view.rosters
                )
                report.show(Results(ingest_results, router_results, roster_results, request))
                right = report.conclude(
                    await self._reconcile(institution, view, report, (router, rosters))
                )
                if wait is not None:
                    self._screen.print(
                        "Everything keeps running until Ctrl-C: the page and the API at "
                        f"{serve.url}, Kafka at {self._bootstrap}"
                    )
                    self._screen.print(
                        f"The institution sends {LIVE_EVENTS:.0f} more events a second."
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
            to_be_removed = False  # there are no topics yet
            raise
        finally:
            if to_be_removed:
                with self._screen.doing("deleting the demo's topics"):
                    left = await remove(self._settings, self._bootstrap)
                for name in left:
                    self._screen.step("broker", f"could not be deleted: {name}")

    async def _reconcile(
        self,
        institution: Institution,
        view: RosterView,
        report: Report,
        processes: Sequence[ManagedProcess],
    ) -> CanvasComparison:
        """Bring the rosters to what Canvas has. Returns the comparison at the end."""
        institution.import_silently()
        with CanvasServer(lambda: institution.world) as canvas:
            reconciling = Reconciling(
                settings=self._settings,
                bootstrap=self._bootstrap,
                folder=self._folder,
                account=institution.account,
                url=canvas.url,
            )
            report.show_older(canvas.url, compare_with_canvas(institution.world, view.rosters))
            for is_dry in (True, False):
                with self._screen.doing("comparing with Canvas's REST API"):
                    ended = await reconciling.run(is_dry=is_dry)
                report.show_command(ended)
        with self._screen.doing("waiting for the rosters"):
            await wait_for_view(
                view,
                lambda: not compare_with_canvas(institution.world, view.rosters).wrong,
                *processes,
            )
        return compare_with_canvas(institution.world, view.rosters)

    async def _live_on(self, institution: Institution) -> None:
        """Send further events of the institution until cancelled."""
        try:
            for record in institution.further_records():
                await self._deliver([record], 1)
                await asyncio.sleep(1 / LIVE_EVENTS)
        except (RollcallError, OSError) as error:
            self._screen.print(f"no more events are sent ({error})")

    def _process(self, name: str) -> ManagedProcess:
        return ManagedProcess(name, self._settings, self._bootstrap, self._folder)

    def _serve(self, router: ManagedProcess, rosters: ManagedProcess) -> ManagedProcess:
        urls = tuple(f"{process.url}/metrics" for process in (router, rosters))
        settings = self._settings.model_copy(
            update={"replica": self._folder / "replica.sqlite", "metrics_urls": urls}
        )
        return ManagedProcess("serve", settings, self._bootstrap, self._folder)

    async def _ask(self, serve: ManagedProcess, course: str) -> RosterRequest:
        """Request a course's enrollments, and compare them with the expected ones."""
        began = time.monotonic()
        with self._screen.doing("starting serve"):
            await serve.started()
        with self._screen.doing("waiting for the replica"):
            await serve.ready()
        self._screen.step(
            "serve",
            f"process {serve.pid}, {serve.url}, ready {seconds_since(began)} after the rosters",
        )
        with self._screen.doing("request for a roster"):
            return await request_roster(serve, course, self._truth.rosters())

    async def _create_topics(self) -> None:
        with self._screen.doing("creating the topics"):
            try:
                async with asyncio.timeout(TOPICS_SECONDS):
                    await ensure_topics(
                        self._settings, self._bootstrap, plan_topics(self._settings)
                    )
            except TimeoutError:
                raise DemoError(
                    f"the topics were not there after {TOPICS_SECONDS:.0f} s; look at the "
                    "broker's log"
                ) from None
        names = self._names
        listed = (
            f"{names.raw}, {names.prefix}.events.* ({len(REGISTRY)}), {names.unknown}, "
            f"{names.dead_letter}, {names.prefix}.rosters.*"
        )
        self._screen.step("topics", f"{listed} ({len(self._truth.rosters())})")

    def _plan(self, events: int, seed: int) -> TrafficPlan:
        plan = TrafficPlan(count=events, seed=seed)
        # The latest event has the current time. The records have the time of sending.
        return replace(plan, start_ms=int(time.time() * 1000) - plan.count * plan.step_ms)

    async def _open_ways_in(self, stack: contextlib.AsyncExitStack) -> None:
        """Start the processes that bring the institution's events, if their modules are there."""
        if missing := missing_modules():
            self._screen.step(
                "ways in",
                f"no queue and no webhook ({', '.join(missing)} missing): pip install "
                "'.[demo]'; the institution's events go to the raw topic at once",
            )
            return
        with self._screen.doing("starting an SQS server, and the ways in"):
            ways_in = await stack.enter_async_context(
                open_ways_in(self._settings, self._bootstrap, self._folder)
            )
            await ways_in.start()
        for process in ways_in.processes:
            self._screen.step(
                "ways in", f"rollcall {process.name}, process {process.pid}, {process.url}/metrics"
            )
        self._ways_in = ways_in

    async def _send_all(self, plan: TrafficPlan, institution: Institution) -> None:
        began = time.monotonic()
        total = len(self._documented) + plan.count
        with self._screen.doing(f"sending {total:,} records"):
            await self._send(
                itertools.chain(documented_traffic(), generate_traffic(plan)),
                total,
            )
        self._screen.step(
            "sent",
            f"{len(self._documented)} documented events and {plan.count:,} varied ones, valid and "
            f"invalid, to {self._names.raw} ({seconds_since(began)})",
        )
        began = time.monotonic()
        with self._screen.doing(f"sending {len(institution):,} events of an institution"):
            await self._deliver(institution.records(), len(institution))
        if self._ways_in is None:
            target = f"to {self._names.raw}"
        else:
            target = "to a queue of SQS and, signed, to the webhook"
            with self._screen.doing("waiting until the queue is empty"):
                await self._ways_in.wait_until_empty()
        self._screen.step(
            "sent",
            f"{len(institution):,} events of a simulated institution {target} "
            f"({seconds_since(began)})",
        )

    async def _deliver(self, records: Iterable[TrafficRecord], count: int) -> None:
        """Send events of the institution as Canvas does."""
        if self._ways_in is None:
            await self._send(records, count)
            return
        values = [
            record.value
            for record in record_truth(records, self._truth)
            if record.value is not None
        ]
        await self._ways_in.send(values)

    async def _ingest_results(self) -> IngestResults | None:
        """Compare the raw topic with the institution's events, and count them as sent."""
        if (ways_in := self._ways_in) is None:
            return None
        arrivals = {SQS: ways_in.queue, HTTPS: ways_in.webhook}
        for record in await read_raw_events(
            self._options, self._names.raw, self._settings.partitions
        ):
            arrivals[record.source].add_found(record)
            self._sent.routed[record.event_name] += 1
        return IngestResults(
            ways_in.queue,
            ways_in.webhook,
            await ways_in.canvas_queue.depth(),
            await ways_in.reading(),
        )

    async def _raw_records(self) -> int:
        """Number of records on the raw topic."""
        places = [
            TopicPartition(self._names.raw, number) for number in range(self._settings.partitions)
        ]
        return sum((await high_watermarks(self._options, places)).values())

    async def _send(self, records: Iterable[TrafficRecord], count: int) -> None:
        seconds, total = SEND_SECONDS + count / _MIN_SEND_RATE, self._sent.total + count
        try:
            async with asyncio.timeout(seconds):
                await send_records(
                    self._options,
                    self._names.raw,
                    count_records(record_truth(records, self._truth), self._sent),
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
        """Wait until both have processed all records."""
        began, total = time.monotonic(), await self._raw_records()
        for process in (router, rosters):
            with self._screen.doing(f"starting the {process.name}"):
                await process.started()
            self._screen.step(process.name, f"process {process.pid}, {process.url}/metrics")
        with self._screen.progress("routing") as progress:
            await wait_for_router(router, total, progress, rosters)
        self._screen.step(
            "routed", f"all {total:,} records, {seconds_since(began)} after the start"
        )
        with self._screen.progress("rosters") as progress:
            reading = await wait_for_rosters(rosters, roster_inputs(self._settings), progress)
        self._screen.step(
            "rosters",
            f"up to date {seconds_since(began)} after the start, {reading.written:,} rows written",
        )

    async def _change_rosters(
        self,
        institution: Institution,
        view: RosterView,
        router: ManagedProcess,
        rosters: ManagedProcess,
    ) -> tuple[Effect, Effect]:
        """Send two more events, and observe the effect of each."""
        with self._screen.doing("reading the rosters, as any Kafka consumer would"):
            await view.catch_up()
        with self._screen.doing("moving a section to another course"):
            moved = await self._send_and_observe(
                institution.cross_list(), institution.example, view, (router, rosters)
            )
        with self._screen.doing("deleting a course"):
            deleted = await self._send_and_observe(
                institution.delete_course(), institution.example, view, (router, rosters)
            )
            await wait_for_rosters(rosters, roster_inputs(self._settings))
            await view.catch_up()
        self._screen.step(
            "sent", "two more events: a section changes course, and a course is deleted"
        )
        return moved, deleted

    async def _send_and_observe(
        self,
        record: TrafficRecord,
        example: Example,
        view: RosterView,
        processes: Sequence[ManagedProcess],
    ) -> Effect:
        """Send one event, and observe its effect on the rosters."""
        courses = {example.course.gid, example.other.gid}
        before, began = rows_of_courses(view.rosters, courses), time.monotonic()
        await self._deliver([record], 1)
        await wait_for_rows(view, self._truth.rosters(), courses, *processes)
        assert record.expected.event_name is not None
        return Effect(
            record.expected.event_name,
            time.monotonic() - began,
            before,
            rows_of_courses(view.rosters, courses),
        )
