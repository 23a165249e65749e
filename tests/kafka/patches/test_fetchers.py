"""The patches in app/rollcall/kafka/patches/fetchers.py."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import NoOffsetForPartitionError

from rollcall.kafka.client import client_options
from rollcall.settings import load_settings
from tests.waiting import DEADLINE_SECONDS


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "as aiokafka does"])
async def test_a_consumer_is_stopped_while_a_fetch_pauses(
    bootstrap: str, mended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not mended:
        monkeypatch.setattr(Fetcher, "close", Fetcher.close.__wrapped__)
    consumer = AIOKafkaConsumer(**client_options(load_settings(), bootstrap))
    await consumer.start()
    await asyncio.sleep(0)  # what fetches waits for partitions now
    pause = asyncio.create_task(asyncio.sleep(1_000))
    consumer._fetcher._pending_tasks.add(pause)
    await asyncio.sleep(0)
    with contextlib.nullcontext() if mended else pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(consumer.stop(), DEADLINE_SECONDS)
    assert pause.cancelled()
    assert (consumer._client._sync_task is None) is mended, "which its client ends last"
    await consumer._client.close()


async def test_a_consumer_is_stopped_though_a_task_takes_its_cancellation_for_that_of_another(
    bootstrap: str,
) -> None:
    consumer = AIOKafkaConsumer(**client_options(load_settings(), bootstrap))
    await consumer.start()
    mistakes = 0

    async def mistake() -> None:
        nonlocal mistakes
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            mistakes += 1
        await asyncio.sleep(1_000)

    await asyncio.sleep(0)  # what fetches waits for partitions now
    task = asyncio.create_task(mistake())
    consumer._fetcher._pending_tasks.add(task)
    await asyncio.sleep(0)
    await asyncio.wait_for(consumer.stop(), DEADLINE_SECONDS)
    assert task.cancelled()
    assert mistakes == 1


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "as aiokafka does"])
async def test_a_second_error_of_a_partition_ends_nothing(
    bootstrap: str, mended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is kept, until somebody reads it."""
    if not mended:
        monkeypatch.setattr(Fetcher, "_set_error", Fetcher._set_error.__wrapped__)
    consumer = AIOKafkaConsumer(**client_options(load_settings(), bootstrap))
    await consumer.start()
    await asyncio.sleep(0)  # what fetches waits for partitions now
    fetching, tp = consumer._fetcher, TopicPartition("topic", 0)
    first = NoOffsetForPartitionError(tp)
    fetching._set_error(tp, first)
    with contextlib.nullcontext() if mended else pytest.raises(AssertionError):
        fetching._set_error(tp, NoOffsetForPartitionError(tp))
    with pytest.raises(NoOffsetForPartitionError) as raised:
        fetching._records[tp].check_raise()
    assert raised.value is first
    await consumer.stop()
