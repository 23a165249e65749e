"""What the demo's steps give, and who shows it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from rollcall.sandbox.canvas.simulation.truth import Rosters
from rollcall.sandbox.demo.arrivals import Arrivals
from rollcall.sandbox.demo.institution import Example
from rollcall.sandbox.demo.ledger import Ledger
from rollcall.sandbox.demo.metrics import IngestReading, RouterReading
from rollcall.sandbox.demo.reading import Outputs
from rollcall.sandbox.demo.reconciling import CanvasComparison, Command
from rollcall.sandbox.demo.roster_request import RosterRequest
from rollcall.sandbox.demo.rosters import Effect


class IngestResults(NamedTuple):
    """The institution's events on their way to the raw topic."""

    queue: Arrivals
    webhook: Arrivals
    left: int
    """Messages in the queue."""
    reading: IngestReading


class RouterResults(NamedTuple):
    """Sent records, the router's metrics, and the records on its topics."""

    sent: Ledger
    router: RouterReading
    found: Outputs
    documented: int
    """Number of documented events."""


class RosterResults(NamedTuple):
    """Effects of two events, and the final rosters."""

    example: Example
    moved: Effect
    """Effect of the section's cross-listing."""
    deleted: Effect
    """Effect of the course's deletion."""
    truth: Rosters
    """Expected rosters."""
    found: Rosters
    """Found rosters."""


class Results(NamedTuple):
    """All results of events."""

    ingest_results: IngestResults | None
    """None: the modules for the queue and the webhook are not installed."""
    router_results: RouterResults
    roster_results: RosterResults
    request: RosterRequest


class Report(Protocol):
    """Shows results when they are there. All processes still run then."""

    def show(self, results: Results) -> None:
        """The results of events."""

    def show_older(self, url: str, before: CanvasComparison) -> None:
        """The rosters of an institution that is older than its subscription. ``url``: of Canvas."""

    def show_command(self, ended: Command) -> None:
        """A run of ``rollcall reconcile``."""

    def conclude(self, after: CanvasComparison) -> bool:
        """The rosters at the end, and whether all results are correct."""
