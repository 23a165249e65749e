"""Canvas's queue during faults: moto's server behind one with the faults of real queues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from confluent_kafka import Message

from rollcall.ingest.raw_records import MESSAGE_ID_HEADER
from tests.ingest.ingesting import KafkaWitness
from tests.ingest.queues import Queues, moto_server
from tests.ingest.shim import Refusal, Shim
from tests.kafka_client import headers

DUPLICATES, REFUSED = 0.05, 0.05
"""Chances of a second delivery, and of a refused entry of a call to delete."""

VISIBILITY_SECONDS = 30

RATE = 20
"""Events per second: a part of what moto's server can take while faults need the cores."""


class FaultyQueue:
    """The queue. :func:`faulty_queue` opens one.

    Args:
        server: URL of the SQS server.
        seed: of the faults.
    """

    def __init__(self, server: str, seed: int) -> None:
        self._queue = Queues(server, "canvas-live-events")
        self._witness: KafkaWitness | None = None
        self.shim = Shim(
            server,
            seed=seed,
            duplicates=DUPLICATES,
            refused=REFUSED,
            disorder=True,
            before_delete=self._look,
        )
        self.sent: dict[str, bytes] = {}
        """Bodies by the ids of their messages."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Settings of ``rollcall ingest sqs``."""
        return {
            "sqs_queue_url": f"{self.shim.url}{self._queue.path}",
            "sqs_endpoint": self.shim.url,
            "sqs_wait_seconds": 1,
            "sqs_visibility_seconds": VISIBILITY_SECONDS,
        }

    def watch(self, bootstrap: str, prefix: str, partitions: int) -> None:
        """Look at each deletion from now on."""
        self._witness = KafkaWitness(bootstrap, prefix, partitions)

    def close(self) -> None:
        """End the witness."""
        if self._witness is not None:
            self._witness.close()

    def _look(self, ids: Sequence[str]) -> None:
        assert self._witness is not None
        self._witness(ids)

    def send(self, values: Sequence[bytes]) -> None:
        """Send messages, as Canvas does."""
        ids = self._queue.send([value.decode() for value in values])
        self.sent.update(zip(ids, values, strict=True))

    def refuse(self, refusal: Refusal | str | None) -> None:
        """Give all calls this answer; None: the right ones again."""
        if refusal is None:
            self.shim.always.clear()
        else:
            self.shim.always["*"] = refusal

    def stop_duplicates(self) -> None:
        """Deliver no message once more, but for those that are due."""
        self.shim.duplicates = 0

    def is_empty(self) -> bool:
        """Whether all messages are deleted, and none comes once more."""
        return self._queue.counts() == (0, 0) and not self.shim.waiting

    def remaining(self) -> str:
        """What keeps the queue from being empty."""
        visible, in_flight = self._queue.counts()
        due = len(self.shim.waiting)
        kept = self.sent.keys() - self.shim.deleted
        return (
            f"{visible} visible, {in_flight} in flight, {due} to come again, "
            f"not deleted: {sorted(kept)[:3]}"
        )

    def differences(self, records: Iterable[Message]) -> list[str]:
        """What is wrong with the records on the raw topic, or with the deletions."""
        assert self._witness is not None
        found: dict[str, set[bytes]] = {}
        for record in records:
            if (identity := headers(record).get(MESSAGE_ID_HEADER)) is not None:
                found.setdefault(identity.decode(), set()).add(record.value() or b"")
        missing = self.sent.keys() - found.keys()
        changed = [
            identity
            for identity, values in found.items()
            if values != {self.sent.get(identity, b"")}
        ]
        return [
            f"{len(each)} {title}, such as {sorted(each)[:3]}"
            for title, each in (
                ("messages are not on the raw topic", missing),
                ("messages are on the raw topic with other bytes", changed),
                ("messages were deleted too early", self._witness.too_early),
            )
            if each
        ]


@contextmanager
def faulty_queue(seed: int) -> Iterator[FaultyQueue]:
    """A queue, and its servers."""
    with moto_server() as server:
        queue = FaultyQueue(server, seed)
        with closing(queue), queue.shim:
            yield queue
