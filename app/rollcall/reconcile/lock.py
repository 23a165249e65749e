"""One run at a time on a cluster: a run that begins ends the one before it.

A transactional id belongs to one producer. Kafka fences the earlier one, which learns of it when it
next writes: a note beside an offset of a group without members. The group's offsets are also how
far runs have read the events that trigger them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from rollcall.errors import RollcallError
from rollcall.kafka.bounded import close, promptly
from rollcall.kafka.client import client_options
from rollcall.kafka.topic_reading import kafka_errors_explained
from rollcall.reconcile.facts import Entity
from rollcall.settings import Settings
from rollcall.streaming.failures import FENCING_ERRORS

APPLICATION = "reconcile"


class AnotherRunError(RollcallError):
    """Another run has begun, and this one ends."""


class RunLock:
    """The lock of a run, as an asynchronous context manager.

    Args:
        run: name of the run.
    """

    def __init__(self, settings: Settings, bootstrap: str, run: str) -> None:
        self._bootstrap = bootstrap
        self._group = settings.group(APPLICATION)
        # of a topic that a run may read: Kafka asks for that right
        courses = Entity.COURSE.relation.topic
        self._place = TopicPartition(f"{settings.topic_prefix}.{courses}", 0)
        self._run = run
        self._producer = AIOKafkaProducer(
            **client_options(settings, bootstrap),
            transactional_id=f"{self._group}-run",
            acks="all",
            linger_ms=0,
        )

    async def __aenter__(self) -> Self:
        with kafka_errors_explained("the lock of the run", self._bootstrap):
            try:
                await promptly(self._producer.start())
            except BaseException:
                await self._stop()
                raise
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def check(self, places: Mapping[TopicPartition, int] | None = None) -> None:
        """Check that the lock is this run's.

        Args:
            places: offsets to commit for the group, if it is.

        Raises:
            AnotherRunError: another run has begun.
            BrokerUnavailableError: the cluster does not answer.
        """
        with kafka_errors_explained("the lock of the run", self._bootstrap):
            try:
                await promptly(self._note(places or {}))
            except FENCING_ERRORS:
                raise AnotherRunError(
                    "another run of 'rollcall reconcile' has begun on this cluster: this one has "
                    "ended"
                ) from None

    async def _note(self, places: Mapping[TopicPartition, int]) -> None:
        producer = self._producer
        await producer.begin_transaction()
        note = {self._place: OffsetAndMetadata(0, self._run)}
        note |= {place: OffsetAndMetadata(offset, "") for place, offset in places.items()}
        await producer.send_offsets_to_transaction(note, self._group)
        await producer.commit_transaction()

    async def _stop(self) -> None:
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            await close(self._producer.stop())
