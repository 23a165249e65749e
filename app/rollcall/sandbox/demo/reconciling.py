"""Runs ``rollcall reconcile`` with the REST API of the simulated institution."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from rollcall.reconcile.summary import Outcome
from rollcall.sandbox.canvas.rest import ADMIN_TOKEN, world_tables
from rollcall.sandbox.canvas.rest.equality import (
    Fault,
    WrongRow,
    required_rows,
    rows_by_id,
    wrong_rows,
)
from rollcall.sandbox.canvas.simulation.truth import Rosters
from rollcall.sandbox.canvas.simulation.world import World
from rollcall.sandbox.managed import ObservedProcess, process_environment, python_module
from rollcall.settings import Settings

OWN_SETTINGS = {"reconcile_margin_seconds": 10.0, "reconcile_confirm_seconds": 1.0}
"""The least that is allowed. The simulated Canvas has no replicas that lag."""

COMMAND_SECONDS = 600.0
"""Deadline for a run on a very busy machine."""


class CanvasComparison(NamedTuple):
    """The institution's rows in Canvas and in the rosters."""

    in_canvas: Counter[str]
    """Rows that the rosters must have, by relation."""
    in_rosters: Counter[str]
    """Those that they have, and those that they have too much."""
    wrong: list[WrongRow]


class Command(NamedTuple):
    """A command that has ended."""

    line: str
    seconds: float
    exit_code: int
    summary: list[str]
    """The last lines of its output: without the differences of a dry run."""
    log: Path


def compare_with_canvas(world: World, rosters: Rosters) -> CanvasComparison:
    """Compare the institution's rows with Canvas's tables."""
    tables, rows = world_tables(world), rows_by_id(rosters)
    required, wrong = required_rows(tables), wrong_rows(tables, rows)
    found = Counter(
        {relation: len(ids & rows[relation].keys()) for relation, ids in required.items()}
    )
    found.update(row.relation for row in wrong if row.fault is Fault.LEFT_OVER)
    in_canvas = Counter({relation: len(ids) for relation, ids in required.items()})
    return CanvasComparison(in_canvas, found, wrong)


class Reconciling:
    """The commands.

    Args:
        account: id of the root account.
        url: of the institution's REST API.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        bootstrap: str,
        folder: Path,
        account: str,
        url: str,
    ) -> None:
        self._folder = folder
        self._account = account
        self._token = folder / "canvas-token"
        own = {
            "kafka": bootstrap,
            "data": folder,
            "canvas_url": url,
            "canvas_token_file": self._token,
            **OWN_SETTINGS,
        }
        self._environment = process_environment(settings.model_copy(update=own))

    async def run(self, *, is_dry: bool) -> Command:
        """Run the command for the whole account.

        Raises:
            ProcessEndedError: it did not end.
        """
        self._token.write_text(ADMIN_TOKEN, encoding="ascii")
        arguments = ["reconcile", "--account", self._account]
        arguments += ["--dry-run"] if is_dry else []
        process = ObservedProcess(
            "dry run" if is_dry else "reconcile",
            python_module("rollcall", *arguments),
            folder=self._folder,
            environment=self._environment,
        )
        began = time.monotonic()
        async with process:
            code = await process.ended(COMMAND_SECONDS)
        seconds, line = time.monotonic() - began, " ".join(("rollcall", *arguments))
        return Command(line, seconds, code, _summary(process.output()), process.log)


def _summary(lines: list[str]) -> list[str]:
    """The table and the result; all lines if there is no result."""
    starts = [number for number, line in enumerate(lines) if line.startswith("rows ")]
    has_result = any(line.startswith(tuple(f"{each}: " for each in Outcome)) for line in lines)
    return lines[starts[-1] :] if starts and has_result else lines
