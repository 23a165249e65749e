"""Patch of fetchers: a consumer ends in any state."""

from __future__ import annotations

import asyncio
import functools

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
