"""No record lost, none duplicated, order kept: router processes on a real broker, killed,
suspended, started and stopped under load.

Each record has a number. A read_committed reader of the outputs must see each sent number once,
and the numbers of one raw partition and key in the order of sending.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from rollcall.events.registry import REGISTRY
from tests.kafka_client import Sent, committed, create_topic, read_all, send
from tests.processes import RouterProcess, exit_code, wait_until

pytestmark = pytest.mark.slow

COUNT = 40_000
KEYS = 500
PARTITIONS = 4
DISTURBANCES = 4
ENDS = (signal.SIGKILL, signal.SIGTERM) * (DISTURBANCES // 2)
"""Signals that end the processes, in turn."""


def numbered_events(count: int, seed: int = 1) -> Iterator[Sent]:
    """Mostly valid enrollments, some unknown events and some invalid records. Each has its number
    in the metadata or the text.
    """
    rng = random.Random(seed)
    for number in range(count):
        kind = rng.random()
        partition = rng.randrange(PARTITIONS)
        if kind < 0.02:
            yield Sent(b"rubbish %d" % number, partition=partition)
            continue
        user = rng.randrange(KEYS)
        metadata = {
            "event_name": "quizzes.item_created" if kind < 0.05 else "enrollment_updated",
            "event_time": f"2026-01-01T00:00:{number % 60:02}.000Z",
            "root_account_id": "21070000000000001",
            "job_id": str(number),
        }
        body = {
            "enrollment_id": str(21070000000000000 + user + 1),
            "course_id": "21070000000000565",
            "course_section_id": "21070000000004811",
            "user_id": "21070000000020064",
            "user_name": "Isaac Newton " * 20,
            "type": "StudentEnrollment",
            "workflow_state": "active",
            "limit_privileges_to_course_section": False,
            "created_at": "2018-10-09T21:07:33Z",
            "updated_at": "2018-10-09T21:07:33Z",
        }
        yield Sent(json.dumps({"metadata": metadata, "body": body}).encode(), partition=partition)


def number_of(value: bytes | None) -> int:
    """The number of a record."""
    assert value is not None
    return (
        int(value.split()[1])
        if value.startswith(b"rubbish")
        else int(json.loads(value)["metadata"]["job_id"])
    )


class Load:
    """Sends numbered events in the background, so that records arrive during disturbances."""

    def __init__(self, bootstrap: str, prefix: str, count: int = COUNT, parts: int = 20) -> None:
        self.records = list(numbered_events(count))
        self._thread = Thread(target=self._send, args=(bootstrap, f"{prefix}.raw", parts))
        self._thread.start()

    def _send(self, bootstrap: str, topic: str, parts: int) -> None:
        size = len(self.records) // parts
        for start in range(0, len(self.records), size):
            send(bootstrap, topic, self.records[start : start + size])
            time.sleep(0.3)

    def finish(self) -> None:
        """Wait until all events are sent."""
        self._thread.join()


def assert_exactly_once(bootstrap: str, prefix: str, records: list[Sent]) -> None:
    """Check that the outputs have every record once, in order for each raw partition and key."""
    typed = [event_type.topic(prefix) for event_type in REGISTRY.values()]
    messages = read_all(
        bootstrap, [*typed, f"{prefix}.unknown", f"{prefix}.dead-letter"], at_least=len(records)
    )
    seen = Counter(number_of(message.value()) for message in messages)
    assert [number for number, times in seen.items() if times > 1] == [], "twice"
    assert set(range(len(records))) - seen.keys() == set(), "missing"
    partition_of = {number_of(record.value): record.partition for record in records if record.value}
    order: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for message in messages:
        number = number_of(message.value())
        order[message.topic(), message.key(), partition_of[number]].append(number)
    assert all(numbers == sorted(numbers) for numbers in order.values()), "order"
    values = {number_of(record.value): record.value for record in records if record.value}
    assert all(values[number_of(message.value())] == message.value() for message in messages), (
        "bytes"
    )


def is_drained(bootstrap: str, prefix: str, records: list[Sent]) -> bool:
    """Whether the group has committed the end of every partition."""
    return committed(bootstrap, f"{prefix}-router", f"{prefix}.raw") == dict(
        Counter(record.partition for record in records)
    )


def wait_drained(bootstrap: str, prefix: str, records: list[Sent]) -> None:
    """Wait until the group has committed the end of every partition."""
    wait_until(lambda: is_drained(bootstrap, prefix, records), 120, what="the end of the input")


@pytest.fixture
def load(bootstrap: str, prefix: str) -> Iterator[Load]:
    create_topic(bootstrap, f"{prefix}.raw", PARTITIONS)
    running = Load(bootstrap, prefix)
    yield running
    running.finish()


def test_restarts(bootstrap: str, prefix: str, tmp_path: Path, load: Load) -> None:
    codes = []
    for number in ENDS:
        with RouterProcess(tmp_path, bootstrap, prefix) as router:
            router.wait_ready()
            wait_until(
                lambda router=router: (  # type: ignore[misc]
                    router.metric("rollcall_events_received_total") > 0
                    or is_through(bootstrap, prefix, load)
                ),
                what="progress",
            )
            codes.append(router.end(number))
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        router.wait_ready()
        load.finish()
        wait_drained(bootstrap, prefix, load.records)
        assert router.end() == 0
    assert codes == [exit_code(number) for number in ENDS]
    assert_exactly_once(bootstrap, prefix, load.records)


def test_a_second_router_joins_and_leaves(
    bootstrap: str, prefix: str, tmp_path: Path, load: Load
) -> None:
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        router.wait_ready()
        for number in ENDS:
            with RouterProcess(tmp_path, bootstrap, prefix) as second:
                second.wait_ready()
                wait_until(
                    lambda second=second: (  # type: ignore[misc]
                        second.metric("rollcall_events_received_total") > 0
                        or not load_is_running(load)
                    ),
                    what="progress",
                )
                second.end(number)
        load.finish()
        wait_drained(bootstrap, prefix, load.records)
        assert router.end() == 0
    assert_exactly_once(bootstrap, prefix, load.records)


def is_through(bootstrap: str, prefix: str, load: Load) -> bool:
    """Whether all events are sent and processed."""
    return not load_is_running(load) and is_drained(bootstrap, prefix, load.records)


def load_is_running(load: Load) -> bool:
    """Whether events are still being sent."""
    return load._thread.is_alive()


def test_suspended_past_the_session_and_resumed(
    bootstrap: str, prefix: str, tmp_path: Path, load: Load
) -> None:
    with (
        RouterProcess(tmp_path, bootstrap, prefix) as first,
        RouterProcess(tmp_path, bootstrap, prefix) as second,
    ):
        first.wait_ready()
        second.wait_ready()
        for suspended, other in ((first, second), (second, first)):
            before = other.metric("rollcall_events_received_total")
            suspended.send_signal(signal.SIGSTOP)
            # after the session timeout, the other has all partitions
            wait_until(
                lambda other=other: (  # type: ignore[misc]
                    other.get("/readyz")[0] == 200 and len(partitions(other)) == PARTITIONS
                ),
                what="the take-over",
            )
            wait_until(
                lambda other=other, before=before: (  # type: ignore[misc]
                    other.metric("rollcall_events_received_total") > before
                    or not load_is_running(load)
                ),
                what="progress",
            )
            suspended.send_signal(signal.SIGCONT)
            wait_until(
                lambda suspended=suspended: (  # type: ignore[misc]
                    suspended.get("/readyz")[0] == 200
                    and 0 < len(partitions(suspended)) < PARTITIONS
                ),
                what="the return",
            )
        load.finish()
        wait_drained(bootstrap, prefix, load.records)
        assert first.end() == 0
        assert second.end() == 0
    assert_exactly_once(bootstrap, prefix, load.records)


def partitions(router: RouterProcess) -> set[str]:
    """A router's partitions, by its metrics."""
    return {
        dict(labels)["partition"]
        for name, labels in router.metrics()
        if name == "rollcall_consumer_lag_records"
    }
