"""``rollcall reconcile`` with a real broker, router and rosters, and a simulated Canvas."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rollcall.reconcile.facts import Entity
from rollcall.reconcile.guards import COURSE_FEW
from rollcall.sandbox.canvas.rest import (
    ADMIN_TOKEN,
    CanvasServer,
    RecordedRequest,
    world_tables,
)
from rollcall.sandbox.canvas.rest.equality import WrongRow, rows_by_id, wrong_rows
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.enrollments import delete_by_import
from rollcall.sandbox.canvas.simulation.world import Enrollment
from tests.forks import Fork, common_forks
from tests.kafka_client import Sent, read_all, send
from tests.processes import EVENTS, RostersProcess, RouterProcess
from tests.rosters.cluster import RosterCluster
from tests.waiting import DEADLINE_SECONDS, wait_for_count, wait_for_exit, wait_until

HOUR_MS = 3_600_000
ROOT = "21070000000000001"
ALL_EVENTS = f"{EVENTS},rollcall_snapshot"


class Installation:
    """A simulated Canvas, and Rollcall's processes."""

    def __init__(
        self, folder: Path, bootstrap: str, prefix: str, plan: SimulationPlan, types: str
    ) -> None:
        self.folder = folder
        self.types = types
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
        self.server: CanvasServer
        self.processes: Running

    def environment(self, **settings: object) -> dict[str, str]:
        """Of the command."""
        clean = {name: value for name, value in os.environ.items() if name[:9] != "ROLLCALL_"}
        own = {
            "kafka": self.bootstrap,
            "topic_prefix": self.prefix,
            "group_prefix": self.prefix,
            "partitions": 4,
            "events": self.types,
            "data": self.folder / "data",
            "canvas_url": self.server.url,
            "canvas_token_file": self.token,
            "reconcile_margin_seconds": 10,
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
        """The result of a run, by default of the whole account."""
        scope = () if "--triggered" in arguments else ("--account", ROOT)
        code, out, err = self.run(*scope, "--json", *arguments, **settings)
        assert out, err
        result: dict[str, Any] = json.loads(out)
        assert code == (result["outcome"] != "complete"), (out, err)
        return result

    @property
    def log_file(self) -> Path:
        """Output of a started command."""
        return self.folder / "started.log"

    def start_until(
        self, path: str, number: signal.Signals, *arguments: str, **settings: object
    ) -> Fork:
        """Start a run, and send it a signal when it asks for a path."""
        asked = threading.Event()

        def on_request(request: RecordedRequest) -> None:
            if request.path == path and not asked.is_set():
                process.send_signal(number)
                asked.set()

        self.server.faults.on_request = on_request
        process = common_forks().start(
            *("reconcile", *(arguments or ("--account", ROOT))),
            environment=self.environment(**settings),
            out=self.log_file,
            err=self.log_file,
        )
        wait_until(
            lambda: asked.is_set() or process.poll() is not None, what=f"the request of {path}"
        )
        self.server.faults.on_request = None
        assert asked.is_set(), self.log_file.read_text()
        return process

    def courses(self) -> list[int]:
        """Courses that a run reads, in their order."""
        courses = self.simulation.canvas.world.courses
        return sorted(course.id for course in courses if course.state != "deleted")

    def wrong_rows(self) -> list[WrongRow]:
        """Rows that are not as in Canvas."""
        tables = world_tables(self.simulation.canvas.world)
        return wrong_rows(tables, rows_by_id(self.cluster.rosters()))

    def wait_settled(self) -> None:
        """Wait until router and rosters have nothing left."""
        wait_settled(self.cluster, self.processes)

    def raw_count(self) -> int:
        """Records on the raw topic."""
        return len(read_all(self.bootstrap, [self.raw]))


Running: TypeAlias = tuple[RouterProcess, RostersProcess]


@contextmanager
def processes(folder: Path, bootstrap: str, prefix: str, types: str) -> Iterator[Running]:
    """A router and rosters."""
    settings: dict[str, Any] = {"events": types, "partitions": 4, "shard": 2107}
    with (
        RouterProcess(folder, bootstrap, prefix, **settings) as router,
        RostersProcess(folder, bootstrap, prefix, **settings) as rosters,
    ):
        router.wait_ready()
        rosters.wait_ready()
        yield router, rosters


def wait_settled(cluster: RosterCluster, running: Running) -> None:
    """Wait until router and rosters have nothing left."""
    wait_until(lambda: all(process.idle for process in running), what="router and rosters")
    cluster.wait_settled(running[1])


@contextmanager
def installation(
    folder: Path, bootstrap: str, prefix: str, plan: SimulationPlan, types: str = ALL_EVENTS
) -> Iterator[Installation]:
    """An installation whose rosters have taken in all events."""
    made = Installation(folder, bootstrap, prefix, plan, types)
    canvas = made.simulation.canvas
    with (
        CanvasServer(lambda: canvas.world, clock=lambda: canvas.now_ms) as server,
        processes(folder, bootstrap, prefix, types) as running,
    ):
        made.server = server
        made.processes = running
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


def test_a_course_that_shrinks_keeps_its_students(older: Installation) -> None:
    """Exit code 1, and the summary names the course and the reason. Permitted, they go."""
    assert older.reconcile()["outcome"] == "complete"
    older.wait_settled()
    world = older.simulation.canvas.world
    rows = rows_by_id(older.cluster.rosters())["enrollments"]
    current = [
        row
        for row in world.enrollments
        if row.workflow_state == "active"
        and row.section.state == "active"
        and row.section.course.state == "available"
        and rows[row.gid]["state"] == "active"
    ]
    course = max(
        (row.section.course for row in current),
        key=lambda course: sum(row.section.course is course for row in current),
    )
    gone = [row for row in current if row.section.course is course]
    assert len(gone) > COURSE_FEW
    for row in gone:
        world.enrollments.remove(row)
        row.section.enrollments.remove(row)
        row.user.enrollments.remove(row)
    older.simulation.canvas.now_ms += HOUR_MS
    before = older.raw_count()
    code, out, err = older.run("--account", ROOT)
    assert code == 1, err
    assert f"course {course.gid} set aside" in out + err
    assert "current rows are absent in Canvas" in out + err
    result = older.reconcile()
    assert (result["outcome"], list(result["set_aside"])) == ("partial", [course.gid])
    older.wait_settled()
    assert older.raw_count() == before
    assert states(older, gone) == {"active"}
    permitted = older.reconcile("--allow-shrink", course.gid)
    assert permitted["outcome"] == "complete"
    older.wait_settled()
    assert states(older, gone) == {"deleted"}
    assert older.wrong_rows() == []


def test_raw_records_in_any_order_give_the_same_rosters(older: Installation) -> None:
    """Events and snapshots, each once, to new processes."""
    assert older.reconcile()["outcome"] == "complete"
    older.wait_settled()
    values = [record.value() or b"" for record in read_all(older.bootstrap, [older.raw])]
    assert len(values) > len(older.events)
    Random(7).shuffle(values)
    folder, prefix = older.folder / "again", f"{older.prefix}-again"
    folder.mkdir()
    with processes(folder, older.bootstrap, prefix, ALL_EVENTS) as running:
        send(older.bootstrap, f"{prefix}.raw", [Sent(value) for value in values])
        wait_for_count(
            lambda: running[0].metric("rollcall_events_received_total"), len(values), what="the end"
        )
        again = RosterCluster(older.bootstrap, prefix)
        wait_settled(again, running)
        assert again.rosters() == older.cluster.rosters()


def states(installation: Installation, enrollments: list[Enrollment]) -> set[str]:
    """States in the rosters."""
    rows = rows_by_id(installation.cluster.rosters())["enrollments"]
    return {str(rows[row.gid]["state"]) for row in enrollments}


def test_a_run_that_is_killed_is_resumed(older: Installation) -> None:
    """Killed in the middle of the courses, it goes on with those that are left."""
    courses = older.courses()
    last = f"/courses/{courses[-1]}/enrollments"
    process = older.start_until(last, signal.SIGKILL)
    assert process.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    older.server.requests.clear()
    result = older.reconcile("--resume")
    assert (result["outcome"], result["courses"]) == ("complete", len(courses))
    lists = {
        request.path
        for request in older.server.requests
        if request.path.startswith("/courses/") and request.path.endswith("/enrollments")
    }
    assert lists == {last}, "only the course that was not read"
    older.wait_settled()
    assert older.wrong_rows() == []


def test_an_interrupted_run_says_how_to_go_on(older: Installation) -> None:
    """And leaves the rosters alone."""
    process = older.start_until(f"/courses/{older.courses()[1]}/enrollments", signal.SIGINT)
    assert wait_for_exit(process, what="the end of the run") == 128 + signal.SIGINT
    assert "--resume" in older.log_file.read_text()
    assert older.reconcile("--resume")["outcome"] == "complete"


def test_a_run_ends_the_one_before(older: Installation, tmp_path: Path) -> None:
    """Also on another machine. Together they do no harm."""
    path = f"/courses/{older.courses()[0]}/enrollments"
    process = older.start_until(path, signal.SIGSTOP)
    result = older.reconcile(data=tmp_path / "other")
    assert result["outcome"] == "complete"
    process.send_signal(signal.SIGCONT)
    assert wait_for_exit(process, what="the end of the first run") == 1
    assert "another run" in older.log_file.read_text()
    older.wait_settled()
    assert older.wrong_rows() == []


def test_without_settings_and_without_canvas(older: Installation) -> None:
    """What is missing, and what to do. The token is in no message."""
    for arguments, settings, code, message in [
        (("--account", ROOT), {"canvas_url": ""}, 2, "ROLLCALL_CANVAS_URL"),
        (("--account", ROOT), {"canvas_token_file": ""}, 2, "ROLLCALL_CANVAS_TOKEN_FILE"),
        (("--account", ROOT, "--course", "1"), {}, 2, "either --account"),
        ((), {}, 2, "either --account"),
        (("--account", ROOT, "--triggered"), {}, 2, "either --account"),
        (("--triggered", "--resume"), {}, 2, "leave out --resume"),
        (("--course", "1", "--term", "1"), {}, 2, "--term"),
        (("--course", "optics"), {}, 2, "no id"),
        (("--account", "999"), {}, 4, "does not list the courses"),
        (("--account", ROOT), {"canvas_url": "http://127.0.0.1:1"}, 4, "does not answer"),
    ]:
        found, _, err = older.run(*arguments, **settings)
        assert (found, message in err) == (code, True), err
    older.token.write_text("unknown-token")
    code, _, err = older.run("--account", ROOT)
    assert (code, "unknown-token" in err) == (4, False)
    assert "does not take this token" in err


def test_metrics_of_a_run(older: Installation, tmp_path: Path) -> None:
    """A partial run keeps the time of the last complete one."""
    file = tmp_path / "reconcile.prom"
    older.reconcile(reconcile_metrics_file=file)
    first, scope = samples(file), ("scope", "account")
    assert first["rollcall_reconcile_outcome", ("outcome", "complete"), scope] == 1
    assert first["rollcall_reconcile_rows", ("entity", "course"), ("kind", "read"), scope] > 0
    last = first["rollcall_reconcile_last_complete_timestamp_seconds", scope]
    course = older.simulation.canvas.world.courses[0]
    older.server.faults.hidden.add(f"/courses/{course.id}/groups")
    older.reconcile(reconcile_metrics_file=file)
    second = samples(file)
    assert second["rollcall_reconcile_outcome", ("outcome", "partial"), scope] == 1
    assert second["rollcall_reconcile_last_complete_timestamp_seconds", scope] == last
    older.reconcile("--triggered", reconcile_metrics_file=file)
    third = samples(file)
    assert second.items() <= third.items(), "the run of the account is still there"
    assert ("rollcall_reconcile_outcome", ("outcome", "complete"), ("scope", "triggered")) in third


def samples(file: Path) -> dict[tuple[Any, ...], float]:
    """The samples of a file, by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }
