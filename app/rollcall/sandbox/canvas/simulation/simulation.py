"""The simulation: delivered events, and the expected rosters."""

from __future__ import annotations

from collections.abc import Iterator

from rollcall.sandbox.canvas.simulation.canvas import Canvas, Emitted
from rollcall.sandbox.canvas.simulation.census import WorldRow, take_census
from rollcall.sandbox.canvas.simulation.delivery import deliver
from rollcall.sandbox.canvas.simulation.plan import SimulatedEvent, SimulationPlan
from rollcall.sandbox.canvas.simulation.population import set_up
from rollcall.sandbox.canvas.simulation.steps import run_jobs, run_step
from rollcall.sandbox.canvas.simulation.truth import Rosters, Truth


class Simulation:
    """One simulated institution."""

    def __init__(self, plan: SimulationPlan) -> None:
        self.plan = plan
        self.canvas = Canvas(plan)
        self._truth = Truth(plan.shard)
        self._deliveries = deliver(self._emitted(), plan)

    def events(self) -> Iterator[SimulatedEvent]:
        """The delivered events, generated lazily. A second call continues after the first."""
        for emitted in self._deliveries:
            self._truth.add(emitted)
            yield emitted.event

    def take_events(self) -> list[SimulatedEvent]:
        """Events of the caller's changes of :attr:`canvas`, delivered immediately. Call it after
        the end of :meth:`events`.
        """
        events, self.canvas.outbox = self.canvas.outbox, []
        for emitted in events:
            self._truth.add(emitted)
        return [emitted.event for emitted in events]

    def truth(self) -> Rosters:
        """Expected rosters of the delivered events: rows by relation and record key."""
        return self._truth.rosters()

    def world_rosters(self) -> dict[str, dict[str, WorldRow]]:
        """Enrollments, groups and memberships in the simulated Canvas, by id, independent of
        delivery.
        """
        return take_census(self.canvas.world)

    def _emitted(self) -> Iterator[Emitted]:
        canvas = self.canvas
        for _ in self._history():
            if canvas.outbox:
                events, canvas.outbox = canvas.outbox, []
                yield from events

    def _history(self) -> Iterator[None]:
        yield from set_up(self.canvas)
        yield
        for step in range(self.plan.steps):
            if step == self.plan.silent_steps:
                self.canvas.subscribes_later = False
            run_step(self.canvas)
            yield
        run_jobs(self.canvas)
        self.canvas.subscribes_later = False
        yield
