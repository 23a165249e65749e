"""The last dead letters: follows the end of the topic, and redacts each value."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from rollcall.dead_letters.outline import known_words
from rollcall.dead_letters.view import DeadLetterView, view_of
from rollcall.kafka.bounded import close, promptly, stop_reader
from rollcall.kafka.client import client_options
from rollcall.kafka.reader import positions_of
from rollcall.kafka.topic_ids import describe_topics
from rollcall.process.topics import TopicNames
from rollcall.settings import Settings

log = logging.getLogger(__name__)

MOST_KEPT = 100

BEFORE_THE_END = 50
"""Records before the end of a partition from which reading starts. Reading also jumps there if it
is too far behind, because the server would do nothing else.
"""

POLL_MS = 500
PAUSE_SECONDS = 0.5
CATCH_UP_SECONDS = 5.0
MOST_POLLED = 200
RETRY_SECONDS = 2.0
PARTITIONS_SECONDS = 30.0
"""Interval in which the number of partitions is checked."""

_REQUEST_MS = 5_000
_FETCH_BYTES = 256 * 1024


class DeadLetters:
    """Follows the topic while :meth:`run` runs, and retries while Kafka is away."""

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        self.topic = TopicNames(settings.topic_prefix).dead_letter
        self._options = client_options(settings, bootstrap)
        self._bootstrap = bootstrap
        self._words = known_words(settings.schemas)
        self._kept: deque[DeadLetterView] = deque(maxlen=MOST_KEPT)
        self._positions: dict[TopicPartition, int] = {}
        self._version = 0
        self.problem: str | None = "not read yet"
        """Why the dead letters may be old."""

    def add(self, dead_letters: Iterable[DeadLetterView]) -> None:
        """Add dead letters, in the order of their timestamps."""
        new = sorted(dead_letters, key=lambda dead_letter: dead_letter.timestamp_ms)
        if new:
            self._kept.extend(new)
            self._version += 1

    def view(self) -> dict[str, Any]:
        """The letters for the page, the latest first."""
        return {
            "topic": self.topic,
            "problem": self.problem,
            "version": self._version,
            "letters": [dead_letter.as_json() for dead_letter in reversed(self._kept)],
        }

    async def run(self) -> None:
        """Follow the topic, until cancelled."""
        while True:
            try:
                count = await self._partitions()
                if count:
                    await self._follow(count)
                    continue
                self._set_problem(
                    f"the topic {self.topic} is not there yet; 'rollcall router' makes it"
                )
            except (KafkaError, OSError, TimeoutError) as error:
                self._set_problem(
                    f"Kafka at {self._bootstrap} does not answer ({type(error).__name__})"
                )
            await asyncio.sleep(RETRY_SECONDS)

    def _set_problem(self, problem: str | None) -> None:
        if problem != self.problem and problem is not None:
            log.warning("dead letters are not followed: %s", problem)
        self.problem = problem

    async def _partitions(self) -> int:
        admin = AIOKafkaAdminClient(**self._options, request_timeout_ms=_REQUEST_MS)
        try:
            await promptly(admin.start())
            topic = (await promptly(describe_topics(admin, [self.topic]))).topics.get(self.topic)
            return 0 if topic is None else topic.partitions
        finally:
            await close(admin.close())

    async def _follow(self, count: int) -> None:
        """Follow until the number of partitions changes."""
        reader = AIOKafkaConsumer(
            **self._options,
            enable_auto_commit=False,
            auto_offset_reset="none",  # "latest" would skip the first records of a new topic
            isolation_level="read_committed",
            max_partition_fetch_bytes=_FETCH_BYTES,
            request_timeout_ms=_REQUEST_MS,
        )
        try:
            await promptly(reader.start())
            partitions = [TopicPartition(self.topic, number) for number in range(count)]
            reader.assign(partitions)
            await promptly(self._seek(reader, partitions, starting=True))
            if not self._positions:
                self.add(await promptly(self._catch_up(reader, partitions)))
            check_at = time.monotonic() + PARTITIONS_SECONDS
            while True:
                if time.monotonic() >= check_at:
                    check_at = time.monotonic() + PARTITIONS_SECONDS
                    if await self._partitions() != count:
                        return
                self.add(
                    self._letters(
                        await promptly(reader.getmany(timeout_ms=POLL_MS, max_records=MOST_POLLED))
                    )
                )
                self._positions = await promptly(positions_of(reader, partitions))
                self._set_problem(None)
                await asyncio.sleep(PAUSE_SECONDS)
                await promptly(self._seek(reader, partitions))
        finally:
            await stop_reader(reader)

    async def _seek(
        self, reader: AIOKafkaConsumer, partitions: list[TopicPartition], *, starting: bool = False
    ) -> None:
        """Continue at the last position, or shortly before the end if that is too far behind.

        The position may also be outside of the partition, if the topic was created again.
        """
        beginnings: Mapping[TopicPartition, int] = (
            await reader.beginning_offsets(partitions) if starting else {}
        )
        ends = await reader.end_offsets(partitions)
        for place, end in ends.items():
            position = self._positions.get(place, -1)
            if not max(end - MOST_POLLED, beginnings.get(place, 0)) <= position <= end:
                beginnings = beginnings or await reader.beginning_offsets(partitions)
                reader.seek(place, max(beginnings[place], end - BEFORE_THE_END))
            elif starting:
                reader.seek(place, position)

    async def _catch_up(
        self, reader: AIOKafkaConsumer, partitions: list[TopicPartition]
    ) -> list[DeadLetterView]:
        """Read up to the present ends, so that all existing dead letters are sorted by
        timestamp.
        """
        ends = await reader.end_offsets(partitions)
        found: list[DeadLetterView] = []
        # Records behind an open transaction cannot be read.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while any([await reader.position(place) < end for place, end in ends.items()]):
                    found += self._letters(
                        await reader.getmany(timeout_ms=POLL_MS, max_records=MOST_POLLED)
                    )
        return found

    def _letters(
        self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord]]
    ) -> list[DeadLetterView]:
        return [view_of(r, self._words) for records in batch.values() for r in records]
