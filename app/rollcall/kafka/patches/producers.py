"""Patches of producers: nothing is left of a sender, a batch or a transaction that failed."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from aiokafka.producer import message_accumulator, sender
from aiokafka.producer.message_accumulator import MessageBatch


class Sender(sender.Sender):  # type: ignore[misc]
    """Leaves nothing running when it ends.

    aiokafka (``producer/sender.py:189``; no issue) does not end requests in flight when the sender
    fails, and waits for them for ever when it is cancelled: a commit waits for records that nobody
    sends. asyncio logs tracebacks for both. Test:
    ``tests/streaming/test_failures.py::test_a_producer_that_is_cut_off_leaves_nothing_behind``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.requests: set[asyncio.Task[Any]] = set()
        """Requests in flight."""

    async def _sender_routine(self) -> None:
        try:
            await super()._sender_routine()
        finally:
            self.cancel_requests()

    def cancel_requests(self) -> None:
        """End the requests in flight. Their outcome is unknown."""
        for request in self.requests:
            request.cancel()


def tracked(
    upstream: Callable[..., Coroutine[Any, Any, Any]],
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A method of the sender that runs as a separate task, added to its ``requests``."""

    @functools.wraps(upstream)
    async def request(of: Sender, *arguments: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None
        of.requests.add(task)
        try:
            return await upstream(of, *arguments)
        finally:
            of.requests.discard(task)

    return request


for _name in (
    "_send_produce_req",
    "_do_add_partitions_to_txn",
    "_do_add_offsets_to_txn",
    "_do_txn_offset_commit",
    "_do_txn_commit",
):
    setattr(Sender, _name, tracked(getattr(sender.Sender, _name)))


def with_retrieved_exceptions(upstream: Callable[..., None]) -> Callable[..., None]:
    """``failure`` of a batch, or ``error_transaction`` and ``fatal_error`` of a transaction,
    without complaints of asyncio afterwards.

    aiokafka (``producer/message_accumulator.py:266``, ``producer/transaction_manager.py:138`` and
    ``149``; no issue) sets its error on futures that may have no waiter. Waiters of the batch or
    the transaction still get the error. Test:
    ``tests/kafka/patches/test_producers.py::test_nothing_is_left_of_a_transaction_that_failed``.
    """

    @functools.wraps(upstream)
    def fail(failed: Any, *arguments: Any, **named: Any) -> None:
        futures = [future for *_, future in getattr(failed, "_pending_txn_offsets", ())]
        upstream(failed, *arguments, **named)
        futures += [future for future, _ in getattr(failed, "_msg_futures", ())]
        futures += [
            future
            for name in ("future", "_drain_waiter", "_transaction_waiter")
            if (future := getattr(failed, name, None)) is not None
        ]
        for future in futures:
            if future.done() and not future.cancelled():
                future.exception()

    return fail


class _Pending(set[MessageBatch]):
    def remove(self, batch: MessageBatch) -> None:
        """Remove a batch, if it is still there."""
        self.discard(batch)


class MessageAccumulator(message_accumulator.MessageAccumulator):  # type: ignore[misc]
    """Accepts the failure of a batch that waits for a retry.

    aiokafka (``producer/message_accumulator.py:459``; no issue) expects that every batch that ends
    is in flight; otherwise asyncio logs a KeyError. Test:
    ``tests/kafka/patches/test_producers.py::test_a_batch_may_fail_while_it_waits_to_be_sent_once_more``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pending_batches = _Pending()
