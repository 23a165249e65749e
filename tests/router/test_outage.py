"""An outage is never a data error: it loses no record, repeats none, and makes no dead letters."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from rollcall.sandbox.broker import EmbeddedBroker
from tests.kafka_client import (
    Sent,
    committed,
    create_topic,
    headers,
    limit_record_size,
    read_all,
    send,
)
from tests.processes import RollcallProcess, RouterProcess, wait_until
from tests.router.test_delivery import (
    PARTITIONS,
    assert_exactly_once,
    numbered_events,
    wait_drained,
)
from tests.waiting import wait_for_count

COUNT = 60_000
DOWN_SECONDS = 20
MIB = 1024**2


@pytest.fixture
def own_broker(tmp_path: Path, jars: Path) -> Iterator[EmbeddedBroker]:
    """A broker that the test may stop."""
    with EmbeddedBroker(tmp_path / "kafka", jars=jars, heap="512m") as broker:
        yield broker


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_an_outage_of_the_broker(
    own_broker: EmbeddedBroker, prefix: str, tmp_path: Path, end: str
) -> None:
    bootstrap = own_broker.bootstrap
    create_topic(bootstrap, f"{prefix}.raw", PARTITIONS)
    records = list(numbered_events(COUNT))
    send(bootstrap, f"{prefix}.raw", records[: COUNT // 2])
    with RouterProcess(tmp_path, bootstrap, prefix, chunk_records=500) as router:
        router.wait_ready()
        wait_until(lambda: router.metric("rollcall_events_received_total") > 0, what="progress")
        if end == "killed":
            own_broker.kill()
        else:
            own_broker.stop()
        down_until = time.monotonic() + DOWN_SECONDS
        wait_until(lambda: router.get("/readyz")[0] == 503, what="unreadiness")
        wait_until(lambda: time.monotonic() > down_until, what="the end of the outage")
        assert router.process.poll() is None, "the router must not end"
        own_broker.start()
        send(bootstrap, f"{prefix}.raw", records[COUNT // 2 :])
        wait_drained(bootstrap, prefix, records)
        wait_until(lambda: router.get("/readyz")[0] == 200, what="readiness")
        wait_until(lambda: router.metric("rollcall_consumer_lag_records") == 0, what="lag 0")
        assert router.end() == 0
    assert_exactly_once(bootstrap, prefix, records)


@pytest.mark.slow
def test_sigterm_without_a_broker_ends_in_time(
    own_broker: EmbeddedBroker, prefix: str, tmp_path: Path
) -> None:
    bootstrap = own_broker.bootstrap
    create_topic(bootstrap, f"{prefix}.raw", PARTITIONS)
    send(bootstrap, f"{prefix}.raw", numbered_events(COUNT))
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        router.wait_ready()
        wait_until(lambda: router.metric("rollcall_events_received_total") > 0, what="progress")
        own_broker.kill()
        router.end()


def test_failed_outputs_are_not_committed(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """The typed topic's record limit is lowered after the router's check. The process must end with
    an error, and repeat the chunk after the limit is raised.
    """
    create_topic(bootstrap, f"{prefix}.raw", 1)
    records = [Sent(record.value, partition=0) for record in numbered_events(300)]
    typed = f"{prefix}.events.enrollment_updated"
    with RouterProcess(tmp_path, bootstrap, prefix).expecting(
        "cannot be consumed any further"
    ) as router:
        router.wait_ready()
        limit_record_size(bootstrap, typed, 1_000)
        send(bootstrap, f"{prefix}.raw", records)
        assert router.wait_exit() == 1
        text = router.log_file.read_text()
        assert "MessageSizeTooLarge" in text
        assert f"topic {typed}, partition " in text
    assert committed(bootstrap, f"{prefix}-router", f"{prefix}.raw") == {}
    assert read_all(bootstrap, [typed, f"{prefix}.unknown", f"{prefix}.dead-letter"]) == []
    limit_record_size(bootstrap, typed, 1_048_588)
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        wait_drained(bootstrap, prefix, records)
        assert router.end() == 0
    assert_exactly_once(bootstrap, prefix, records)


def test_records_above_the_topic_limit_are_dead_letters(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    create_topic(bootstrap, f"{prefix}.raw", 1, {"max.message.bytes": "10000000"})
    event = next(
        record.value
        for record in numbered_events(100)
        if record.value and b"enrollment_updated" in record.value
    )
    unknown = event.replace(b"enrollment_updated", b"of.no.schema.here")
    large = b"N" * 3_000_000
    sent = [
        Sent(event.replace(b"Isaac", large, 1), key=b"k", partition=0, headers=(("h", b"1"),)),
        Sent(unknown.replace(b"Isaac", large, 1), partition=0),
        Sent(large, partition=0),
        Sent(
            event, partition=0, headers=(("h", b"x" * 1_500_000), ("i", b"y" * 1_500_000)), key=b"k"
        ),
        Sent(b"rubbish", key=b"k" * 2_500_000, partition=0),
        Sent(event, partition=0),
    ]
    send(bootstrap, f"{prefix}.raw", sent)
    with RouterProcess(tmp_path, bootstrap, prefix, breaker_ratio=0) as router:
        wait_until(
            lambda: committed(bootstrap, f"{prefix}-router", f"{prefix}.raw") == {0: len(sent)},
            what="the end of the input",
        )
        wait_for_count(
            lambda: router.metric("rollcall_dead_letters_total", code="too_large"),
            5,
            what="the count of what is committed",
        )
        assert (
            router.metric(
                "rollcall_dead_letters_total", code="too_large", event_name="enrollment_updated"
            )
            == 2
        )
        assert router.end() == 0
    letters = sorted(
        read_all(bootstrap, [f"{prefix}.dead-letter"], at_least=5),
        key=lambda letter: int(headers(letter)["rollcall.error.offset"]),
    )
    for letter, record in zip(letters, sent, strict=False):
        value = letter.value()
        assert record.value is not None
        assert value is not None
        assert value == record.value[: len(value)]
        assert len(value) == min(len(record.value), 65_536)
        assert headers(letter)["rollcall.error.code"] == b"too_large"
        assert headers(letter)["rollcall.error.size"] == str(len(record.value)).encode()
        assert (letter.key() or b"") == (record.key or b"")[:1024]
    assert headers(letters[0])["h"] == b"1"
    assert len(read_all(bootstrap, [f"{prefix}.events.enrollment_updated"], at_least=1)) == 1


def test_events_of_1_mib_pass(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """The most that SQS takes, even if it cannot be compressed."""
    event = next(
        record.value
        for record in numbered_events(100)
        if record.value and b"enrollment_updated" in record.value
    )
    large = os.urandom(MIB // 2).hex().encode()
    name = large[: MIB - len(event)]
    unknown = event.replace(b"enrollment_updated", b"of.no.schema.here")
    values = [event.replace(b"Isaac", name, 1), unknown.replace(b"Isaac", name, 1), large]
    with RouterProcess(tmp_path, bootstrap, prefix, breaker_ratio=0) as router:
        router.wait_ready()
        send(bootstrap, f"{prefix}.raw", [Sent(value, partition=0) for value in values])
        topics = [
            f"{prefix}.{name}" for name in ("events.enrollment_updated", "unknown", "dead-letter")
        ]
        read = read_all(bootstrap, topics, at_least=len(values))
        assert {record.value() for record in read} == set(values)
        assert router.end() == 0


def test_batches_are_within_the_topic_limit(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """Each record is within the limit, but a chunk of them is not, even compressed."""
    typed = f"{prefix}.events.enrollment_updated"
    create_topic(bootstrap, typed, 2)
    limit_record_size(bootstrap, typed, 40_000)
    create_topic(bootstrap, f"{prefix}.raw", 1)
    event = next(
        record.value
        for record in numbered_events(100)
        if record.value and b"enrollment_updated" in record.value
    )
    random = Random(1)
    send(
        bootstrap,
        f"{prefix}.raw",
        [
            Sent(event.replace(b"Isaac", random.randbytes(2_000).hex().encode(), 1), partition=0)
            for _ in range(100)
        ],
    )
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        wait_until(
            lambda: committed(bootstrap, f"{prefix}-router", f"{prefix}.raw") == {0: 100},
            what="the end of the input",
        )
        assert router.end() == 0
    assert len(read_all(bootstrap, [typed], at_least=100)) == 100


def test_a_stuck_router_ends_itself(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """The watchdog ends a process with lag and without progress while the cluster responds."""
    create_topic(bootstrap, f"{prefix}.raw", 1)
    send(
        bootstrap,
        f"{prefix}.raw",
        [Sent(record.value, partition=0) for record in numbered_events(100)],
    )
    program = [sys.executable, str(Path(__file__).with_name("stuck.py"))]
    with RollcallProcess(
        "router", tmp_path, bootstrap, prefix, program=program, watchdog_seconds=10
    ).expecting("stuck: ") as router:
        assert router.wait_exit() == 70
        assert [
            line
            for line in router.log
            if line["level"] == "critical" and "ROLLCALL_WATCHDOG_SECONDS" in str(line["message"])
        ]


def test_a_process_that_never_finds_the_coordinator_again_ends(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """By then, its partitions have other owners. If it continued, it would take them back
    repeatedly.
    """
    create_topic(bootstrap, f"{prefix}.raw", 1)
    program = [sys.executable, str(Path(__file__).with_name("lost.py"))]
    with RollcallProcess("router", tmp_path, bootstrap, prefix, program=program) as router:
        wait_until(
            lambda: "the coordinator of the consumer group is away" in router.get("/readyz")[1],
            what="the missing coordinator",
        )
        assert router.wait_exit() == 1
        assert (
            f"the coordinator of group {prefix}-router has not been found"
            in router.log_file.read_text()
        )
