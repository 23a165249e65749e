"""A sink without a broker: its producers are the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from rollcall.ingest.sink import KafkaSink
from rollcall.settings import load_settings


class FakeProducer:
    """Acknowledges all records but those for which ``fault`` has an error.

    Args:
        fault: the error for a record's key; None: none; a future without an end: no answer.
    """

    def __init__(self, fault: Callable[[bytes], BaseException | None]) -> None:
        self._fault = fault
        self.sent: list[bytes] = []
        """Keys."""

    async def send(
        self, topic: str, value: bytes, *, key: bytes, headers: Sequence[Any]
    ) -> asyncio.Future[None]:
        """As aiokafka's."""
        self.sent.append(key)
        answer = asyncio.get_running_loop().create_future()
        error = self._fault(key)
        if isinstance(error, NoAnswer):
            return answer
        asyncio.get_running_loop().call_later(0.01, _end, answer, error)
        return answer

    async def partitions_for(self, topic: str) -> set[int]:
        """As aiokafka's."""
        return {0}

    def create_batch(self) -> Any:
        """As aiokafka's."""
        batch = SimpleNamespace(close=lambda: None, key=b"")
        batch.append = lambda *, key, **_others: setattr(batch, "key", key)
        return batch

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[None]:
        """As aiokafka's."""
        return await self.send(topic, b"", key=batch.key, headers=())

    async def stop(self) -> None:
        """As aiokafka's."""


class NoAnswer(Exception):
    """There is no answer."""


class FakeSink(KafkaSink):
    """A sink with producers of the test.

    Args:
        make: makes a producer, or raises what opening raises.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__(load_settings(), "fake:9092")
        self._make = make
        self.openings = 0

    async def _open(self) -> None:
        self.openings += 1
        self._producer = self._make()
        self._problem = None
        self._opened.set()


def _end(answer: asyncio.Future[None], error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)
