"""Reading to a known end, with a client that hangs."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from rollcall.kafka.reader import read_to
from tests.waiting import eventually

PLACE = TopicPartition("canvas.raw", 0)
SHORT = 0.05


class LostConsumer:
    """Never answers, and mistakes a cancellation for that of an inner task."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    def seek(self, _place: TopicPartition, _position: int) -> None:
        """Nothing is fetched."""

    def resume(self, _place: TopicPartition) -> None:
        """Likewise."""

    async def getmany(
        self, *_places: TopicPartition, **_options: Any
    ) -> dict[TopicPartition, list[Any]]:
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
        return {}


async def read_all(consumer: LostConsumer) -> None:
    async for _ in read_to(
        cast(AIOKafkaConsumer, consumer), {PLACE: 0}, {PLACE: 1}, lambda _place, _position: None
    ):
        pass


async def test_whoever_waits_can_stop_waiting() -> None:
    consumer = LostConsumer()
    reading = asyncio.create_task(asyncio.wait_for(read_all(consumer), SHORT))
    await eventually(reading.done, what="the end of waiting")
    consumer.let_go.set()
    with pytest.raises(TimeoutError):
        await reading
