"""Questions to Kafka, and the ends of its clients, that take no longer than they may.

``asyncio.timeout`` is not enough for that, because aiokafka cannot tell the cancellation of a
caller from that of a task of its own. It takes the one for the other, and goes on to whatever comes
next, which may never come; so here nobody waits for what was cancelled. And where it cancels a task
that it waits for (``consumer/fetcher.py:456``), the caller gets the ``CancelledError``, and
whatever it runs in ends without a word; so here that is an error like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError, KafkaError

ANSWER_SECONDS = 30.0
"""Longer than any client waits for an answer, and asks again."""

CLOSE_SECONDS = 2.0

_T = TypeVar("_T")

_left: set[asyncio.Future[Any]] = set()
"""What nobody waits for any more, until it has ended: the loop alone does not keep it."""


async def promptly(work: Awaitable[_T], seconds: float = ANSWER_SECONDS) -> _T:
    """The result of work that takes no longer than this.

    Raises:
        TimeoutError: it takes longer. It is cancelled, and may still end later: so it must not
            change anything that whoever goes on looks at.
        KafkaConnectionError: a client has cancelled the work, and nobody else.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            _leave(task)
    if not task.done():
        raise TimeoutError
    if task.cancelled():
        raise KafkaConnectionError("a client has given up what it was doing")
    return task.result()


def is_cancelled() -> bool:
    """Whether somebody has cancelled the task that asks. If not, a ``CancelledError`` in it is that
    of a task of a client's.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def close(closing: Awaitable[object]) -> None:
    """Let a client end. One that lost its connection at a bad moment can wait for ever, and must
    not hold up whoever goes on without it.

    It ends also when whoever waits for that is cancelled, at once or once more.
    """
    task = asyncio.ensure_future(closing)
    limit = asyncio.get_running_loop().call_later(CLOSE_SECONDS, task.cancel)
    task.add_done_callback(lambda _task: limit.cancel())
    _keep(task)
    await asyncio.wait({task}, timeout=CLOSE_SECONDS)
    if (
        task.done()
        and not task.cancelled()
        and not isinstance(task.exception(), (TimeoutError, KafkaError, OSError))
    ):
        task.result()


async def stop_reader(reader: AIOKafkaConsumer) -> None:
    """Stop a consumer without a group, at whatever moment."""

    async def stop() -> None:
        # It cancels tasks of its own and waits for them. One that has not begun yet would end all
        # of that, and leave connections.
        await asyncio.sleep(0)
        await reader.stop()

    await close(stop())


def _leave(task: asyncio.Future[Any]) -> None:
    _keep(task)
    task.cancel()


def _keep(task: asyncio.Future[Any]) -> None:
    _left.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Future[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()  # nobody else asks, and asyncio would complain of that
