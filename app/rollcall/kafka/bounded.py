"""Awaits Kafka clients with a time limit, and closes them.

``asyncio.timeout`` is not enough. aiokafka cannot tell the cancellation of a caller from that of
one of its own tasks: it may mistake one for the other and continue with a wait that never ends. So
nobody waits here for a cancelled task. And where it cancels a task that it awaits
(``consumer/fetcher.py:456``), the caller gets the ``CancelledError``, and the caller's task would
end silently. Here that becomes an ordinary error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError, KafkaError

ANSWER_SECONDS = 30.0
"""Longer than any client's own timeout and retry."""

CLOSE_SECONDS = 2.0

_T = TypeVar("_T")

_left: set[asyncio.Future[Any]] = set()
"""Abandoned futures, until they end: the event loop alone does not keep them alive."""


async def promptly(work: Awaitable[_T], seconds: float = ANSWER_SECONDS) -> _T:
    """The result of ``work``, with a time limit.

    To be awaited where it is called. In a task of its own, which may be cancelled before it starts,
    a coroutine given to it would never be awaited, and Python would warn: there, create the
    coroutine inside the task.

    Raises:
        TimeoutError: it takes longer. It is cancelled but may end later, so it must not change
            state that its caller uses.
        KafkaConnectionError: a client has cancelled the work by itself.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except BaseException:  # the caller is cancelled
        abandon(task)
        raise
    if not task.done():
        abandon(task)
        raise TimeoutError
    if task.cancelled():
        raise KafkaConnectionError("a client has given up its own request")
    return task.result()


def abandon(task: asyncio.Future[Any]) -> None:
    """Cancel a task whose result is no longer needed, without waiting for its end.

    It may have failed already, or may still fail: asyncio then reports no error that was never
    retrieved. After ``asyncio.wait``, ``task.cancel()`` alone is not enough.
    """
    _keep(task)
    task.cancel()


def is_cancelled() -> bool:
    """Whether the current task was cancelled. If not, a ``CancelledError`` in it comes from a
    client's task.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def close(closing: Awaitable[object]) -> None:
    """Close a client, with a time limit. A client that lost its connection at a bad moment can wait
    for ever.

    The client is closed even if the caller is cancelled, before or during the wait.
    """
    task = asyncio.ensure_future(closing)
    # A task that is cancelled before its first steps closes nothing. On a busy machine they can
    # take longer than the limit, so the limit counts from then on.
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.call_soon, _limit, task)
    _keep(task)
    await asyncio.wait({task}, timeout=CLOSE_SECONDS)
    if (
        task.done()
        and not task.cancelled()
        and not isinstance(task.exception(), (TimeoutError, KafkaError, OSError))
    ):
        task.result()


async def stop_reader(reader: AIOKafkaConsumer) -> None:
    """Stop a consumer without a group, in any state."""

    async def stop() -> None:
        # It cancels its own tasks and waits for them. A task that has not started yet would abort
        # the stop, and leave connections.
        await asyncio.sleep(0)
        await reader.stop()

    await close(stop())


def _limit(task: asyncio.Future[Any]) -> None:
    timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, task.cancel)
    task.add_done_callback(lambda _task: timer.cancel())


def _keep(task: asyncio.Future[Any]) -> None:
    _left.add(task)
    task.add_done_callback(_left.discard)
    ignore_error(task)


def ignore_error(future: asyncio.Future[Any]) -> None:
    """Let asyncio report no error of ``future`` that was never retrieved."""
    future.add_done_callback(_retrieve)


def _retrieve(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
