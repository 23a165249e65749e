"""A short cut of the fuzzing that ``make fuzz`` does at length."""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path

import pytest

from tests.fuzz.run import BORDERS, Report, count_of, fuzz, run_chunk, shown
from tests.fuzz.serving import faults_in_log, serving

SEED = 20_261_122


@pytest.fixture(scope="module", params=[2_000, pytest.param(6_000, marks=pytest.mark.slow)])
def count(request: pytest.FixtureRequest) -> int:
    """Inputs of the pipeline; the other borders get their shares."""
    return int(request.param)


@pytest.fixture(scope="module")
def report(count: int) -> Report:
    """What comes of it."""
    return fuzz(count, SEED, list(BORDERS), print)


def test_nothing_is_wrong(report: Report) -> None:
    assert not report.faults, "\n".join(shown(fault, SEED) for fault in report.faults[:3])


def test_every_border_is_met_with_inputs_of_all_sorts(report: Report, count: int) -> None:
    """Otherwise nothing would have been tried."""
    for name, counts in report.outcomes.items():
        assert counts.total() == count_of(name, count)
    assert {
        "routed",
        "unknown",
        "empty",
        "not_json",
        "not_an_event",
        "schema_violation",
    } <= report.outcomes["pipeline"].keys()
    assert {"merged", "unusable"} <= report.outcomes["stages"].keys()
    assert {"stored", "passed over"} <= report.outcomes["replica"].keys()
    assert {"2xx", "4xx"} <= report.outcomes["serve"].keys()


def test_noise_after_requests_is_no_fault_of_the_server(tmp_path: Path) -> None:
    """The answers that were on their way have nowhere to go."""
    with serving(tmp_path) as served:
        asked = (
            f"GET /api/v1/courses/{served.ids[0]}/enrollments HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ).encode()
        for noise in (
            b"noise\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000,
            b"",
        ):
            for count in (1, 3):
                for linger in (0.0, 0.01, 0.05):
                    connection = socket.create_connection(("127.0.0.1", served.port))
                    connection.sendall(asked * count + noise)
                    time.sleep(
                        linger
                        # no condition to wait for: the connection has to go at different moments of
                        # the answer
                    )
                    connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                    connection.close()
        assert served.process.get("/livez")[0] == 200
        assert faults_in_log(served.process) == []


def test_an_input_can_be_made_again() -> None:
    """By its number, whatever came before it."""
    alone = run_chunk("pipeline", (), SEED, 30, 31)[0]
    assert (
        run_chunk("pipeline", (), SEED, 0, 31)[0] - run_chunk("pipeline", (), SEED, 0, 30)[0]
        == alone
    )
