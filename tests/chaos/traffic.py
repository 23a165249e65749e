"""Traffic on the raw topic during the faults, with its expected outcome."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Any

from confluent_kafka import Message, Producer

from rollcall.ingest.raw_records import SOURCE_HEADER
from rollcall.sandbox.canvas.rest import CanvasServer, world_tables
from rollcall.sandbox.canvas.rest.tables import Tables
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.plan import SimulatedEvent
from tests.chaos.queue import FaultyQueue
from tests.kafka_client import IDEMPOTENCE, delete_topic, headers, read_all
from tests.processes import wait_until
from tests.rosters.cluster import PARTITIONS, SHARD, Rosters

SILENT_STEPS = 200
"""Steps before the subscription."""

INVALID_SHARE = 0.02
"""Share of invalid records."""

UNREAD = "events.user_account_association_created"
"""The topic that is deleted: a typed topic that rosters do not read. Events of another one would be
missing in the rosters.
"""

Outcome = tuple[str, bytes]
"""The last part of the topic's name, and a digest of the value."""

DEAD_LETTER, UNKNOWN = "dead-letter", "unknown"


def digest(value: bytes | None) -> bytes:
    """Digest of a value; None counts as empty."""
    return blake2b(value or b"", digest_size=16).digest()


class Traffic:
    """A thread that sends events of a simulated institution, and invalid records, at a steady rate.

    Args:
        rate: events per second.
        tallied: count the expected outcome of each record, which needs memory.
        asked: the institution is older than its subscription, and its Canvas answers requests.
        queue: takes the events; invalid records go to the raw topic all the same.
        producer: further options of the producer.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        *,
        rate: int,
        seed: int,
        tallied: bool = True,
        asked: bool = False,
        queue: FaultyQueue | None = None,
        producer: Mapping[str, Any] | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._topic = f"{prefix}.raw"
        self._rate = rate
        self._tallied = tallied
        self._queue = queue
        # more steps than any run sends
        self._simulation = Simulation(
            SimulationPlan(
                courses=60,
                steps=10_000_000,
                seed=seed,
                duplicates=0.05,
                disorder=500,
                skew=2.0,
                shard=SHARD,
                silent_steps=SILENT_STEPS if asked else None,
            )
        )
        simulated = self._simulation.canvas
        self.canvas = (
            CanvasServer(lambda: simulated.world, clock=lambda: simulated.now_ms) if asked else None
        )
        """Runs while this does, and afterwards."""
        # like a bridge: idempotent, and retrying until the broker is back
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                **IDEMPOTENCE,
                "message.timeout.ms": 600_000,
                "linger.ms": 20,
                "log_level": 2,
                **(producer or {}),
            }
        )
        self._refused: list[str] = []
        self._sent = 0
        self._ending = threading.Event()
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="traffic")
        self._numbers = iter(range(10**9))
        self.expected: Counter[Outcome] = Counter()
        """Expected number of each value on each topic."""
        self.deleted = 0
        """Number of records on deleted topics."""

    def start(self) -> None:
        """Start the thread."""
        if self.canvas is not None:
            self.canvas.__enter__()
        self._thread.start()

    def close(self) -> None:
        """End Canvas."""
        if self.canvas is not None and self.canvas.url:
            self.canvas.__exit__(None, None, None)

    def later(self, seconds: float) -> None:
        """Time passes in Canvas."""
        self._simulation.canvas.now_ms += round(seconds * 1_000)

    def tables(self) -> Tables:
        """What Canvas has."""
        return world_tables(self._simulation.canvas.world)

    def expect_written(self) -> list[str]:
        """Expect what ingest and reconcile have written to the raw topic, each record once. Returns
        what is wrong with it.
        """
        records = read_all(self._bootstrap, [self._topic])
        for record in records:
            if SOURCE_HEADER in headers(record):
                name = json.loads(record.value() or b"")["metadata"]["event_name"]
                self._sent += 1
                self.expected[f"events.{name}", digest(record.value())] += 1
        return [] if self._queue is None else self._queue.differences(records)

    def end(self) -> Rosters:
        """Stop, wait for all acknowledgements, and return the expected rosters."""
        self._ending.set()
        self._thread.join()
        self._flush()
        assert not self._refused, self._refused[:3]
        return self._simulation.truth()

    def _flush(self) -> None:
        wait_until(
            lambda: self._producer.flush(1) == 0,
            120,
            what=lambda: f"the broker to take {len(self._producer)} records",
        )

    @property
    def sent(self) -> int:
        """Number of sent records, with those of deleted topics."""
        return self._sent

    def poison(self, count: int) -> None:
        """Send invalid records of all kinds to one partition at once."""
        for number in range(count):
            self._send(None, 0, *_INVALID[number % len(_INVALID)](next(self._numbers)))

    def delete_topic(self) -> None:
        """Delete the topic :data:`UNREAD` when it has all of its records. They are no longer
        expected.
        """
        topic = f"{self._prefix}.{UNREAD}"
        self._flowing.clear()
        try:
            self._flush()
            expected = sum(count for (name, _), count in self.expected.items() if name == UNREAD)
            wait_until(
                lambda: len(read_all(self._bootstrap, [topic])) == expected,
                120,
                what=f"all of {topic}",
            )
            found = read_all(self._bootstrap, [topic])
            self.expected.subtract(outcomes(self._prefix, found))
            self.deleted += len(found)
            delete_topic(self._bootstrap, topic)
        finally:
            self._flowing.set()

    def _run(self) -> None:
        events = self._simulation.events()
        begun, count = time.monotonic(), 0
        while not self._ending.is_set():
            self._flowing.wait()
            due = int((time.monotonic() - begun) * self._rate) - count
            batch = self._next(events, due)
            if self._queue is not None:
                self._queue.send([event.value for event in batch])
            for event in batch:
                if self._queue is None:
                    self._send(event.entity, None, f"events.{event.name}", event.value)
                count += 1
                if count % int(1 / INVALID_SHARE) == 0:
                    self._send(
                        None,
                        count % PARTITIONS,
                        *_INVALID[count % len(_INVALID)](next(self._numbers)),
                    )
            self._producer.poll(0)
            time.sleep(0.02)

    def _next(self, events: Iterator[SimulatedEvent], count: int) -> list[SimulatedEvent]:
        def take() -> list[SimulatedEvent]:
            return list(islice(events, count))

        return take() if self.canvas is None else self.canvas.between_requests(take)

    def _send(
        self, key: str | None, partition: int | None, topic: str, value: bytes | None
    ) -> None:
        with self._lock:
            self._sent += 1
            if self._tallied:
                self.expected[topic, digest(value)] += 1
        self._producer.produce(
            self._topic, value, key, -1 if partition is None else partition, self._on_delivery
        )

    def _on_delivery(self, error: object, _message: Message) -> None:
        if error is not None:
            self._refused.append(str(error))


def _event(number: int, name: str, body: object) -> bytes:
    metadata = {
        "event_name": name,
        "event_time": "2024-03-29T22:43:00.000Z",
        "job_id": str(number),
        "root_account_id": f"{SHARD}0000000000001",
    }
    return json.dumps({"metadata": metadata, "body": body}).encode()


_INVALID = (
    lambda number: (DEAD_LETTER, b"rubbish %d" % number),
    lambda number: (UNKNOWN, _event(number, "quizzes.item_created", {})),
    lambda number: (DEAD_LETTER, None),
    lambda number: (DEAD_LETTER, _event(number, "enrollment_created", {"workflow_state": number})),
    lambda number: (DEAD_LETTER, b"[" * 100_000 + b"%d" % number),
    lambda number: (DEAD_LETTER, b'{"metadata": %d}' % number),
    lambda number: (
        DEAD_LETTER,
        _event(number, "course_updated", {"course_id": "1", "name": "\x00" * 2_000})[:-1],
    ),
)


def outcomes(prefix: str, messages: Iterator[Message] | list[Message]) -> Counter[Outcome]:
    """Counts of the records on the router's output topics."""
    return Counter(
        (str(message.topic()).removeprefix(f"{prefix}."), digest(message.value()))
        for message in messages
    )
