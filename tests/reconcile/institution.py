"""A simulated Canvas, rosters in memory, and a replica of them: runs without Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from rollcall.reconcile.canvas_client import CanvasClient
from rollcall.reconcile.checkpoint import Checkpoint
from rollcall.reconcile.comparing import Comparer, Difference
from rollcall.reconcile.course_list import Scope
from rollcall.reconcile.facts import Fact
from rollcall.reconcile.lists import CanvasReader
from rollcall.reconcile.preflight import examine, root_account
from rollcall.reconcile.rows import RosterRows
from rollcall.reconcile.run import ReconcileRun
from rollcall.reconcile.snapshots import snapshot_event
from rollcall.reconcile.summary import Summary
from rollcall.sandbox.canvas.rest import ADMIN_TOKEN, CanvasServer, world_tables
from rollcall.sandbox.canvas.rest.equality import WrongRow, rows_by_id, wrong_rows
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.canvas import Canvas
from rollcall.sandbox.canvas.simulation.plan import SimulatedEvent
from rollcall.sandbox.canvas.simulation.world import Course, World
from rollcall.serve.replica.store import ReplicaStore
from tests.rosters.memory import Cluster
from tests.rosters.reference import Rosters, TypedEvent
from tests.serve.served import batch_of

MARGIN = 300
"""Seconds."""

HOUR = 3_600
SHARD = 2107


class All:
    """Takes all that it can."""

    def below(self, bound: int) -> int:
        """The last, or the most."""
        return bound - 1


class Institution:
    """The simulated Canvas, and an installation of Rollcall."""

    def __init__(self, plan: SimulationPlan, server: CanvasServer, folder: Path) -> None:
        self.simulation = Simulation(plan)
        self.server = server
        self.cluster = Cluster(shard=SHARD)
        self.folder = folder
        self.store = ReplicaStore(folder / "replica.sqlite", "canvas")
        self._applied: Rosters = {}
        self.written: list[Fact] = []
        """Facts of all runs."""
        self.summary = Summary()
        """Of the last run."""
        self.differences: list[Difference] = []
        """Of the last run."""
        self.lags: list[float] = []
        self.pauses: list[float] = []
        self.on_pause: Callable[[float], object] = lambda _seconds: None
        self.transport: httpx.AsyncBaseTransport | None = None
        """Between the runs and Canvas."""
        self.catches_up = True
        """False: the rosters do not run."""

    @property
    def canvas(self) -> Canvas:
        """The simulated Canvas."""
        return self.simulation.canvas

    @property
    def world(self) -> World:
        """Its rows."""
        return self.canvas.world

    @contextmanager
    def silence(self) -> Iterator[Canvas]:
        """Changes without events."""
        self.canvas.subscribed = False
        try:
            yield self.canvas
        finally:
            self.canvas.subscribed = True

    def later(self, seconds: float = HOUR) -> None:
        """Time passes."""
        self.canvas.now_ms += round(seconds * 1_000)

    def deliver(self) -> None:
        """All events arrive, and the rosters take them in."""
        self.send(self.simulation.take_events())

    def send(self, events: Iterable[SimulatedEvent]) -> None:
        """These events arrive, and the rosters take them in."""
        self.cluster.send(TypedEvent(event.name, event.value) for event in events)
        self.settle()

    def settle(self) -> None:
        """The rosters and the replica take in what is there."""
        self.cluster.settle(All())
        before, self._applied = self._applied, self.cluster.rosters()
        changes = {
            relation: {
                key: rows.get(key)
                for key in before.get(relation, {}).keys() | rows.keys()
                if rows.get(key) != before.get(relation, {}).get(key)
            }
            for relation, rows in self._applied.items()
        }
        self.store.apply(batch_of(changes), {})
        self.store.note_complete(time.time())

    def forget(self) -> None:
        """Make the rosters anew, from topics without events."""
        self.cluster = Cluster(shard=SHARD)
        self.settle()

    def rows(self, relation: str) -> dict[str, Mapping[str, Any]]:
        """Rows of the rosters by id."""
        return {**rows_by_id({relation: self.cluster.rosters()[relation]})[relation]}

    def wrong_rows(self) -> list[WrongRow]:
        """Rows that are not as in Canvas."""
        return wrong_rows(world_tables(self.world), rows_by_id(self.cluster.rosters()))

    async def reconcile(
        self,
        *courses: Course,
        terms: tuple[str, ...] = (),
        token: str = ADMIN_TOKEN,
        permitted: Collection[str] = (),
        is_dry: bool = False,
        is_resumed: bool = False,
        is_mine: Callable[[], Any] | None = None,
        margin: float = MARGIN,
    ) -> Summary:
        """Run. Without courses, of the whole account."""
        scope = Scope(courses=tuple(course.gid for course in courses))
        if not courses:
            scope = Scope(account=self.canvas.root.gid, terms=terms)
        self.summary, self.differences = Summary(), []
        checkpoint = Checkpoint(
            self.folder / "run.sqlite", scope=str(scope), run="test", is_resumed=is_resumed
        )
        rows = RosterRows(self.store.path)

        async def mine() -> None:
            if is_mine is not None:
                is_mine()

        try:
            async with CanvasClient(
                self.server.url,
                token,
                # without certificates, which take longer to load than many runs take
                transport=self.transport or httpx.AsyncHTTPTransport(verify=False),
                pause=self._pause,
            ) as client:
                view = await examine(client)
                reader = CanvasReader(
                    client, shard=SHARD, margin=round(margin * 1_000_000), summary=self.summary
                )
                writer = _Writer(self, "" if view.root is None else view.root, is_dry)
                await ReconcileRun(
                    reader=reader,
                    comparer=Comparer(
                        rows=rows,
                        writer=writer,
                        summary=self.summary,
                        margin=reader.margin,
                        report=self.differences.append,
                        on_lag=self.lags.append,
                    ),
                    checkpoint=checkpoint,
                    view=view,
                    scope=scope,
                    permitted=permitted,
                    confirm_seconds=60,
                    is_dry=is_dry,
                    catch_up=self._catch_up,
                    pause=self._pause,
                    is_mine=mine,
                ).run()
        finally:
            checkpoint.close()
            rows.close()
        self.settle()
        return self.summary

    async def _catch_up(self) -> None:
        if self.catches_up:
            self.settle()

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.later(seconds)
        self.on_pause(seconds)


class _Writer:
    """Sends snapshots to the rosters when it is flushed."""

    def __init__(self, institution: Institution, root: str, is_dry: bool) -> None:
        self._institution = institution
        self._root = root_account(root or "1", SHARD)
        self._is_dry = is_dry
        self._facts: list[Fact] = []

    def begin(self, fact: Fact) -> None:
        """Begin to write."""
        if not self._is_dry:
            self._facts.append(fact)

    async def make_room(self) -> None:
        """There is always room."""

    async def flush(self) -> None:
        """All are written."""
        facts, self._facts = self._facts, []
        self._institution.written += facts
        self._institution.cluster.send(
            TypedEvent(fact.entity.event_name, snapshot_event(fact, self._root, "test"))
            for fact in facts
        )


Change = Callable[[str, httpx.Headers, Any], tuple[int, Any] | None]
"""Takes a path, the headers, which it may change, and the content. Gives another status and
content, or None.
"""


class Between(httpx.AsyncBaseTransport):
    """A proxy before Canvas."""

    def __init__(self, change: Change) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=False)
        self._change = change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on, and change the answer."""
        answer = await self._inner.handle_async_request(request)
        content = orjson.loads(await answer.aread())
        headers = answer.headers.copy()
        headers.pop("content-length", None)
        path = request.url.path.removeprefix("/api/v1")
        changed = self._change(path, headers, content)
        status, content = (answer.status_code, content) if changed is None else changed
        body = content if isinstance(content, bytes) else orjson.dumps(content)
        return httpx.Response(status, headers=headers, content=body)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


@contextmanager
def institution(
    folder: Path, plan: SimulationPlan, *, is_delivered: bool = True
) -> Iterator[Institution]:
    """An institution after its history, an hour later.

    Args:
        is_delivered: False: no event of the history arrives.
    """
    made: list[Institution] = []
    with CanvasServer(lambda: made[0].world, clock=lambda: made[0].canvas.now_ms) as server:
        server.throttle.cost = server.throttle.cost_of_row = server.throttle.reserve = 0.0
        made.append(Institution(plan, server, folder))
        events = [TypedEvent(event.name, event.value) for event in made[0].simulation.events()]
        if is_delivered:
            made[0].cluster.send(events)
        made[0].settle()
        made[0].later()
        try:
            yield made[0]
        finally:
            made[0].store.close()
