"""Batches that are refused: the error says where, and asyncio has nothing to complain of."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from app.streaming.batches import BatchedOutputs


class Batch:
    """As much of a batch builder as is needed."""

    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: object) -> object:
        """There is always room."""
        return self

    def close(self) -> None:
        """Nothing."""


class Producer:
    """Takes no batches of one topic, and delivers none of another."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []

    def create_batch(self) -> Batch:
        """A batch."""
        return Batch()

    async def send_batch(self, _batch: Batch, topic: str, *, partition: int) -> asyncio.Future[object]:
        """Take a batch, or not."""
        if topic == "untaken":
            raise UnknownTopicOrPartitionError
        self.sent.append((topic, partition))
        delivered: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if topic == "undelivered":
            delivered.set_exception(MessageSizeTooLargeError("too large"))
        elif topic == "fine":
            delivered.set_result(None)
        return delivered


@pytest.mark.parametrize(("topic", "kind"), [("untaken", UnknownTopicOrPartitionError), ("undelivered", MessageSizeTooLargeError)])
async def test_an_error_says_where(topic: str, kind: type[KafkaError], caplog: pytest.LogCaptureFixture) -> None:
    outputs = BatchedOutputs(Producer())
    for name, partition in (("fine", 0), ("never", 1), (topic, 3)):
        outputs.append(name, partition, None, b"", None, [])
    with pytest.raises(kind) as raised:
        await outputs.send()
    assert raised.value.__notes__ == [f"topic {topic}, partition 3"]
    del outputs, raised
    gc.collect()
    await asyncio.sleep(0)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
