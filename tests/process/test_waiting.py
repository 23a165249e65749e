"""Processes that start before the cluster wait for it, report this, and continue by themselves."""

from __future__ import annotations

import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from rollcall.sandbox.broker import EmbeddedBroker
from tests.kafka_client import Sent, send
from tests.processes import RollcallProcess, wait_until
from tests.rosters.scenarios import COURSE, course

PROCESSES = ("router", "rosters", "serve")


@pytest.fixture
def unused() -> int:
    """An unused port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_processes_wait_for_a_broker(tmp_path: Path, jars: Path, prefix: str, unused: int) -> None:
    """Each process is live and none is ready. Once there is a broker, an event passes through all
    of them.
    """
    bootstrap = f"127.0.0.1:{unused}"
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                RollcallProcess(
                    name, tmp_path, bootstrap, prefix, replica=tmp_path / "replica.sqlite"
                )
            )
            for name in PROCESSES
        ]
        router, rosters, serve = processes
        for process in processes:
            wait_until(
                lambda process=process: bootstrap in process.get("/readyz")[1],  # type: ignore[misc]
                what=f"the reason of {process.command}",
            )
            assert process.get("/readyz")[0] == 503
            assert process.get("/livez")[0] == 200
        assert router.metric("rollcall_build_info") == 1, "metrics are there from the beginning"
        broker = stack.enter_context(
            EmbeddedBroker(tmp_path / "kafka", port=unused, jars=jars, heap="512m")
        )
        assert broker.bootstrap == bootstrap
        router.wait_ready()
        send(bootstrap, f"{prefix}.raw", [Sent(course(1).value)])
        for process in (rosters, serve):
            process.wait_ready()
        wait_until(lambda: serve.get(f"/api/v1/courses/{COURSE}")[0] == 200, what="the course")
        for process in processes:
            warnings = [
                line
                for line in process.log
                if str(line["logger"]).startswith("rollcall.") and bootstrap in str(line["message"])
            ]
            assert len(warnings) == len({line["logger"] for line in warnings}), (
                "each part must warn once"
            )
            assert process.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_waiting_process_can_be_stopped(
    tmp_path: Path, prefix: str, unused: int, number: signal.Signals
) -> None:
    with RollcallProcess("router", tmp_path, f"127.0.0.1:{unused}", prefix) as router:
        wait_until(lambda: str(unused) in router.get("/readyz")[1], what="the reason")
        assert router.end(number) == 0
