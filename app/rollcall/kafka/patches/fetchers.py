"""Patches of fetchers: a consumer ends in any state, and goes on after any error."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from aiokafka.consumer import fetcher

CANCEL_AGAIN_SECONDS = 0.1
"""A task still running after this time mistook its cancellation for that of an inner task."""


@functools.wraps(fetcher.Fetcher.close)
async def close_fetcher(fetching: fetcher.Fetcher) -> None:
    """``Fetcher.close`` that ends its tasks in any state.

    aiokafka (``consumer/fetcher.py:444``; no issue) waits for each fetch that it has cancelled. A
    fetch that was about to pause because a broker did not answer (``:755``) passes its cancellation
    on to the closing task: connections and other tasks stay open, and the consumer's thread ends
    with a traceback. Test:
    ``tests/kafka/patches/test_fetchers.py::test_a_consumer_is_stopped_while_a_fetch_pauses``.
    """
    fetching._closed = True
    tasks = pending = {fetching._fetch_task, *fetching._pending_tasks}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # the caller that requested records got it
    for waiter in fetching._fetch_waiters:
        fetching._notify(waiter)


@functools.wraps(fetcher.Fetcher._set_error)
def set_error(fetching: fetcher.Fetcher, tp: Any, error: Exception) -> None:
    """``Fetcher._set_error`` that keeps what nobody has read yet.

    aiokafka (``consumer/fetcher.py:916``; no issue) asserts that there is nothing: two tasks that
    find no committed offset of a partition, one for each leader, end the fetcher with a traceback,
    and with it the process. What is true later is found again. Test:
    ``tests/kafka/patches/test_fetchers.py::test_a_second_error_of_a_partition_ends_nothing``.
    """
    if tp not in fetching._records:
        set_error.__wrapped__(fetching, tp, error)
