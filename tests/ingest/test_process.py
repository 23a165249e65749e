"""``rollcall ingest sqs`` as a user starts it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rollcall.errors import ConfigurationError
from tests.ingest.hanging import HangingBroker
from tests.ingest.ingesting import KafkaWitness, raw_bodies
from tests.ingest.queues import Queues
from tests.ingest.shim import HANG, Refusal, Shim
from tests.ingest.test_source import events
from tests.kafka_client import create_topic
from tests.processes import PROGRAM, RollcallProcess
from tests.waiting import run, wait_until


class IngestProcess(RollcallProcess):
    """``rollcall ingest sqs``."""

    def __init__(
        self,
        directory: Path,
        bootstrap: str,
        prefix: str,
        queue: Queues,
        server: str,
        **settings: object,
    ) -> None:
        super().__init__(
            "sqs",
            directory,
            bootstrap,
            prefix,
            program=(*PROGRAM, "ingest"),
            variables={},
            sqs_queue_url=f"{server}{queue.path}",
            sqs_endpoint=server,
            **{"sqs_wait_seconds": 1, **settings},
        )


def test_sigterm_leaves_nothing_behind(
    bootstrap: str, prefix: str, queue: Queues, tmp_path: Path
) -> None:
    """Row 9."""
    bodies = events(400)
    queue.send(bodies)
    with (
        Shim(queue.server) as shim,
        IngestProcess(tmp_path, bootstrap, prefix, queue, shim.url, sqs_wait_seconds=10) as ingest,
    ):
        ingest.wait_ready()
        wait_until(lambda: ingest.metric("rollcall_ingest_produced_total") > 0, what="progress")
        assert ingest.end() == 0
    visible, in_flight = queue.counts()
    assert in_flight == 0
    assert len(raw_bodies(bootstrap, prefix, len(bodies) - visible)) >= len(bodies) - visible


@pytest.mark.slow
def test_sigkill_costs_duplicates_only(
    bootstrap: str, prefix: str, queue: Queues, tmp_path: Path
) -> None:
    """Row 1: killed three times, and no message was deleted before its record could be read."""
    create_topic(bootstrap, f"{prefix}.raw", 2)
    witness = KafkaWitness(bootstrap, prefix, 2)
    bodies = events(400)
    sent = set(queue.send(bodies))
    with Shim(queue.server, duplicates=0.1, before_delete=witness) as shim:
        for kill in (True, True, False):
            with IngestProcess(
                tmp_path, bootstrap, prefix, queue, shim.url, sqs_visibility_seconds=30
            ) as ingest:
                before = len(shim.deleted)
                wait_until(lambda before=before: len(shim.deleted) > before, what="progress")  # type: ignore[misc]
                if kill:
                    ingest.kill()
                    continue
                wait_until(lambda: queue.counts() == (0, 0), what="an empty queue")
                assert ingest.end() == 0
    assert witness.too_early == []
    assert raw_bodies(bootstrap, prefix, len(sent)).keys() == sent
    witness.close()


def test_a_refusal_of_aws_is_no_end(
    bootstrap: str, prefix: str, queue: Queues, tmp_path: Path
) -> None:
    """Row 10: not ready, with the reason; alive; and it ends in good order."""
    with (
        Shim(queue.server) as shim,
        IngestProcess(tmp_path, bootstrap, prefix, queue, shim.url) as ingest,
    ):
        shim.always["*"] = Refusal(400, "ExpiredToken")
        wait_until(lambda: "expired" in ingest.get("/readyz")[1], what="the reason")
        assert ingest.get("/livez")[0] == 200
        assert ingest.end() == 0


@pytest.mark.slow
def test_sigterm_while_nothing_answers_is_a_good_end(
    hanging: HangingBroker, prefix: str, queue: Queues, tmp_path: Path
) -> None:
    """Row 9: neither Kafka nor SQS, with the default wait. Supervisors give 15 s."""
    with (
        Shim(queue.server) as shim,
        IngestProcess(
            tmp_path, hanging.bootstrap, prefix, queue, shim.url, sqs_wait_seconds=10
        ) as ingest,
    ):
        ingest.wait_ready()
        hanging.hang()
        queue.send(events(7))
        wait_until(
            lambda: ingest.metric("rollcall_ingest_sqs_in_hand_messages") == 7, what="messages"
        )
        shim.always["*"] = HANG
        assert ingest.end() == 0


def command(arguments: list[str], variables: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and output of a command."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ROLLCALL_")
    }
    done = run(arguments, env={**environment, **variables})
    return done.returncode, done.stdout + done.stderr


WITHOUT_THE_EXTRA = """
import sys
sys.modules["aiobotocore"] = None
sys.argv = ["rollcall", "ingest", "sqs"]
from rollcall.__main__ import main
main()
"""


def test_a_missing_extra_is_one_line() -> None:
    code, output = command(
        [sys.executable, "-c", WITHOUT_THE_EXTRA], {"ROLLCALL_KAFKA": "127.0.0.1:1"}
    )
    assert code == ConfigurationError.exit_code
    assert output == (
        "rollcall: rollcall ingest sqs needs the extra sqs (aiobotocore is missing): pip install "
        "'.[sqs]' in Rollcall's checkout\n"
    )


def test_a_missing_queue_is_one_line() -> None:
    code, output = command([*PROGRAM, "ingest", "sqs"], {"ROLLCALL_KAFKA": "127.0.0.1:1"})
    assert code == ConfigurationError.exit_code
    assert "set ROLLCALL_SQS_QUEUE_URL" in output.splitlines()[-1]
    assert "Traceback" not in output


@pytest.mark.parametrize("state", ["as a new queue", "as advised", "refused", "away"])
def test_check(queue: Queues, state: str) -> None:
    """It tells what to change, and receives nothing."""
    queue.send(["{}"])
    with Shim(queue.server) as shim:
        if state == "as advised":
            queue.set_attributes(MessageRetentionPeriod="1209600", MaximumMessageSize="1048576")
        elif state == "refused":
            for action in ("GetQueueAttributes", "ReceiveMessage", "DeleteMessageBatch"):
                shim.always[action] = Refusal(403, "AccessDenied")
        elif state == "away":
            shim.always["*"] = Refusal(400, "ExpiredToken")
        code, output = command(
            [*PROGRAM, "ingest", "sqs", "--check"],
            {
                "ROLLCALL_SQS_QUEUE_URL": f"{shim.url}{queue.path}",
                "ROLLCALL_SQS_ENDPOINT": shim.url,
            },
        )
        assert "Traceback" not in output
        if state == "away":
            assert code == 4
            assert "expired" in output
        elif state == "refused":
            assert code == 1
            for right in ("sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:DeleteMessage"):
                assert f"does not allow {right} " in output
        elif state == "as advised":
            assert code == 0, output
            assert "1 messages visible" in output
        else:
            assert code == 1
            assert "MessageRetentionPeriod is 4 days" in output
    assert queue.counts() == (1, 0)
    assert queue.receive() == ["{}"]


def test_a_signal_while_it_loads_is_a_good_end(tmp_path: Path) -> None:
    """As with the other processes: tests/cli/test_ending.py."""
    from tests.cli.test_ending import started

    with started(["ingest", "sqs"], tmp_path) as process:
        process.wait(process.handles)
        assert process.end(signal.SIGTERM) == 0
