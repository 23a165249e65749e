"""Only the watchdog judges progress. Faust's own check calls healthy partitions slow, and Faust
reads nothing until it has requested the committed offset of each partition.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kafka_client import Sent, committed, create_topic, send
from tests.processes import RollcallProcess, wait_until
from tests.router.test_delivery import PARTITIONS, numbered_events
from tests.streaming.faust.impatient import CHECKED

PROGRAM = (sys.executable, str(Path(__file__).with_name("impatient.py")))
UNANSWERED = (sys.executable, str(Path(__file__).with_name("unanswered.py")))
CHECKS = 20
COUNT = 400


def checks(process: RollcallProcess) -> int:
    """Number of Faust's checks in a process."""
    return process.log_file.read_text().splitlines().count(CHECKED)


def errors(process: RollcallProcess) -> list[str]:
    """Error messages in a process's log."""
    return [str(line["message"]) for line in process.log if line["level"] in ("error", "critical")]


@pytest.mark.parametrize("command", ["router", "rosters"])
def test_healthy_partitions_are_no_error(
    bootstrap: str, prefix: str, tmp_path: Path, command: str
) -> None:
    """Busy partitions and idle ones, which Faust never polls itself."""
    create_topic(bootstrap, f"{prefix}.raw", PARTITIONS)
    with RollcallProcess(
        command, tmp_path, bootstrap, prefix, program=PROGRAM, partitions=PARTITIONS
    ) as process:
        process.wait_ready()
        if command == "router":
            send(
                bootstrap,
                f"{prefix}.raw",
                [record for record in numbered_events(COUNT) if record.partition == 0],
            )
            wait_until(
                lambda: process.metric("rollcall_events_received_total") > 0, what="progress"
            )
        before = checks(process)
        wait_until(lambda: checks(process) >= before + CHECKS, what="checks of the partitions")
        assert errors(process) == []
        assert process.end() == 0


def test_upstream_complains_of_healthy_partitions(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """Otherwise the override is no longer needed."""
    create_topic(bootstrap, f"{prefix}.raw", PARTITIONS)
    with RollcallProcess(
        "router", tmp_path, bootstrap, prefix, program=(*PROGRAM, "--upstream")
    ).expecting("Aiokafka has not sent") as process:
        process.wait_ready()
        wait_until(
            lambda: any("has not sent fetch request" in message for message in errors(process)),
            what="Faust's complaint",
        )
        assert process.end() == 0


@pytest.mark.parametrize(
    ("command", "topic"), [("router", "raw"), ("rosters", "events.user_created")]
)
def test_faust_does_not_look_for_positions(
    bootstrap: str, prefix: str, tmp_path: Path, command: str, topic: str
) -> None:
    """With many partitions, that took longer than its time limit, and nothing was read any more."""
    create_topic(bootstrap, f"{prefix}.{topic}", PARTITIONS)
    with RollcallProcess(
        command, tmp_path, bootstrap, prefix, program=UNANSWERED, partitions=PARTITIONS
    ) as process:
        process.wait_ready()
        send(bootstrap, f"{prefix}.{topic}", [Sent(b"rubbish", partition=1)])
        wait_until(
            lambda: committed(bootstrap, f"{prefix}-{command}", f"{prefix}.{topic}") == {1: 1},
            what="the record",
        )
        assert process.end() == 0
