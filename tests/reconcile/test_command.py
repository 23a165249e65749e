"""``rollcall reconcile`` with a real broker, router and rosters, and a simulated Canvas."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollcall.reconcile.facts import Entity
from rollcall.sandbox.canvas.rest import ADMIN_TOKEN, CanvasServer, world_tables
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.enrollments import delete_by_import
from tests.forks import Fork, common_forks
from tests.kafka_client import Sent, read_all, send
from tests.processes import EVENTS, RostersProcess, RouterProcess
from tests.reconcile.equality import wrong_rows
from tests.rosters.cluster import RosterCluster
from tests.waiting import wait_until

HOUR_MS = 3_600_000
ROOT = "21070000000000001"
ALL_EVENTS = f"{EVENTS},rollcall_snapshot"


class Installation:
    """A simulated Canvas, and Rollcall's processes."""

    def __init__(self, folder: Path, bootstrap: str, prefix: str, plan: SimulationPlan) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.simulation = Simulation(plan)
        events = [event.value for event in self.simulation.events()]
        self.simulation.canvas.now_ms += HOUR_MS
        self.cluster = RosterCluster(bootstrap, prefix)
        self.raw = f"{prefix}.raw"
        self.prefix = prefix
        self.token = folder / "token"
        self.token.write_text(f"{ADMIN_TOKEN}\n")
        self.events = events
        self.url = ""
        self.processes: list[Any] = []

    def environment(self, **settings: object) -> dict[str, str]:
        """Of the command."""
        clean = {name: value for name, value in os.environ.items() if name[:9] != "ROLLCALL_"}
        own = {
            "kafka": self.bootstrap,
            "topic_prefix": self.prefix,
            "group_prefix": self.prefix,
            "partitions": 4,
            "events": ALL_EVENTS,
            "data": self.folder / "data",
            "canvas_url": self.url,
            "canvas_token_file": self.token,
            "reconcile_confirm_seconds": 1,
            "shard": 2107,
        }
        return clean | {
            f"ROLLCALL_{name.upper()}": str(value) for name, value in (own | settings).items()
        }

    def run(self, *arguments: str, **settings: object) -> tuple[int, str, str]:
        """Run the command. Gives exit code, output and standard error."""
        done = common_forks().run(
            "reconcile", *arguments, environment=self.environment(**settings), folder=self.folder
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert ADMIN_TOKEN + "\n" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    def reconcile(self, *arguments: str, **settings: object) -> dict[str, Any]:
        """The result of a run of the whole account."""
        code, out, err = self.run("--account", ROOT, "--json", *arguments, **settings)
        assert out, err
        result: dict[str, Any] = json.loads(out)
        assert code == (result["outcome"] != "complete"), (out, err)
        return result

    def start(self, *arguments: str) -> Fork:
        """Start the command."""
        out = self.folder / "started.log"
        return common_forks().start(
            "reconcile", *arguments, environment=self.environment(), out=out, err=out
        )

    def wrong_rows(self) -> list[Any]:
        """Rows that are not as in Canvas."""
        keys = {
            "courses": "course_id",
            "sections": "course_section_id",
            "enrollments": "enrollment_id",
            "groups": "group_id",
            "memberships": "group_membership_id",
            "users": "user_id",
        }
        rosters = {
            relation: {row[keys[relation]]: row for row in rows.values()}
            for relation, rows in self.cluster.rosters().items()
        }
        return wrong_rows(world_tables(self.simulation.canvas.world), rosters)

    def wait_settled(self) -> None:
        """Wait until router and rosters have nothing left."""
        wait_until(
            lambda: all(process.idle for process in self.processes), what="router and rosters"
        )
        self.cluster.wait_settled(self.processes[1])

    def raw_count(self) -> int:
        """Records on the raw topic."""
        return len(read_all(self.bootstrap, [self.raw]))


@contextmanager
def installation(
    folder: Path, bootstrap: str, prefix: str, plan: SimulationPlan
) -> Iterator[Installation]:
    """An installation whose rosters have taken in all events."""
    made = Installation(folder, bootstrap, prefix, plan)
    canvas = made.simulation.canvas
    settings: dict[str, Any] = {"events": ALL_EVENTS, "partitions": 4, "shard": 2107}
    with (
        CanvasServer(lambda: canvas.world, clock=lambda: canvas.now_ms) as server,
        RouterProcess(folder, bootstrap, prefix, **settings) as router,
        RostersProcess(folder, bootstrap, prefix, **settings) as rosters,
    ):
        made.url = server.url
        made.processes = [router.wait_ready(), rosters.wait_ready()]
        send(bootstrap, made.raw, [Sent(value) for value in made.events])
        made.wait_settled()
        yield made


@pytest.fixture
def older(tmp_path: Path, bootstrap: str, prefix: str) -> Iterator[Installation]:
    """An institution that is older than its subscription, and has just had an import."""
    plan = SimulationPlan(courses=4, steps=300, seed=11, silent_steps=150)
    with installation(tmp_path, bootstrap, prefix, plan) as made:
        canvas = made.simulation.canvas
        for section in canvas.world.sections[:2]:
            delete_by_import(canvas, section, 0.2)
        canvas.now_ms += HOUR_MS
        yield made


def test_rosters_become_as_canvas_has_it(older: Installation) -> None:
    """A dry run writes nothing, a run writes what differs, and a second one has nothing to do."""
    assert older.wrong_rows()
    before = older.raw_count()
    code, out, _ = older.run("--account", ROOT, "--dry-run")
    assert code == 0
    assert "new enrollment" in out
    assert older.raw_count() == before
    dry = older.reconcile("--dry-run")
    result = older.reconcile()
    assert {name: result[name] for name in ("rows", "outcome")} == {
        name: dry[name] for name in ("rows", "outcome")
    }
    assert result["outcome"] == "complete"
    written = older.raw_count() - before
    assert written == sum(
        number
        for kinds in result["rows"].values()
        for kind, number in kinds.items()
        if kind in ("new", "different", "absent")
    )
    older.wait_settled()
    assert older.wrong_rows() == []
    again = older.reconcile()
    assert {kind for kinds in again["rows"].values() for kind in kinds} == {"read", "equal"}
    assert older.raw_count() == before + written
    assert set(again["rows"]) == set(Entity)
