"""Reads the rosters with a plain Kafka consumer: the last row of each key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from rollcall.kafka.bounded import stop_reader
from rollcall.process.topics import TopicNames
from rollcall.sandbox.canvas.simulation.truth import RELATIONS, Rosters, Row
from rollcall.sandbox.demo.reading import SILENCE_SECONDS, ReadingError, high_watermarks

_MAX_RECORDS = 5_000


class RosterView:
    """An async context manager: a consumer of the committed records of the roster topics.

    Args:
        client_options: see :func:`rollcall.kafka.client.client_options`.
        names: names of the topics.
        partitions: number of partitions of each topic.
    """

    def __init__(
        self, client_options: Mapping[str, Any], names: TopicNames, partitions: int
    ) -> None:
        self.rosters: Rosters = {relation: {} for relation in RELATIONS}
        self._relations = {f"{names.prefix}.rosters.{relation}": relation for relation in RELATIONS}
        self._places = [
            TopicPartition(topic, number)
            for topic in self._relations
            for number in range(partitions)
        ]
        self._options = {
            **client_options,
            "enable_auto_commit": False,
            "request_timeout_ms": 20_000,
        }
        self._consumer = AIOKafkaConsumer(
            **self._options,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._consumer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await stop_reader(self._consumer)
            raise _unreadable(error) from None
        self._consumer.assign(self._places)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await stop_reader(self._consumer)

    async def poll(self) -> bool:
        """Read the next records, if there are any; whether there were some.

        Raises:
            ReadingError: the cluster does not answer.
        """
        try:
            found = await self._consumer.getmany(timeout_ms=50, max_records=_MAX_RECORDS)
        except (KafkaError, OSError) as error:
            raise _unreadable(error) from None
        for place, records in found.items():
            rows = self.rosters[self._relations[place.topic]]
            for record in records:
                key = (record.key or b"").decode(errors="backslashreplace")
                if record.value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = _row(record.value)
        return bool(found)

    async def catch_up(self) -> None:
        """Read up to the current ends of the topics.

        Raises:
            ReadingError: the cluster does not answer, or an end is not reached.
        """
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                ends = await high_watermarks(self._options, self._places)
                while any(
                    [await self._consumer.position(place) < end for place, end in ends.items()]
                ):
                    await self.poll()
        except (KafkaError, OSError, TimeoutError) as error:
            raise _unreadable(error) from None


def _unreadable(error: Exception) -> ReadingError:
    return ReadingError(
        f"the rosters could not be read ({type(error).__name__}: {error}); look at the broker's log"
    )


def _row(value: bytes) -> Row:
    """A row; what is none is shown as it is, to differ from whatever should be there."""
    try:
        row = orjson.loads(value)
    except orjson.JSONDecodeError:
        row = None
    return row if isinstance(row, dict) else {"not a row": value.decode(errors="backslashreplace")}
