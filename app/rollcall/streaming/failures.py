"""Errors of transactional producers: root causes, and which ones a lane survives."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaConnectionError,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)

from rollcall.kafka.bounded import abandon, promptly
from rollcall.kafka.errors import (
    FencedInstanceIdError,
    FencedMemberEpochError,
    StaleMemberEpochError,
    TransactionAbortableError,
    is_passing,
)
from rollcall.kafka.patches.producers import Sender

FENCING_ERRORS = (
    ProducerFenced,  # and PRODUCER_FENCED, which is one
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    OutOfOrderSequenceNumber,
    UnknownProducerId,
    FencedInstanceIdError,
    FencedMemberEpochError,
    StaleMemberEpochError,
)
"""Errors of a producer that the broker no longer knows: another producer with its transactional id
was opened, or the transaction timed out. A reopened lane continues from the committed offset.
"""


class TransactionTimeoutError(Exception):
    """A transaction did not end in time. A reopened lane has ended it, and learns its outcome from
    the committed offset.
    """


def fail_unadded_batches(producer: AIOKafkaProducer) -> None:
    """Fail batches whose partition could not be added to the transaction, for example because Kafka
    refuses the topic.

    aiokafka holds batches back until their partition is added. If that fails, it forgets these
    partitions (``producer/transaction_manager.py:145``) and sends the batches all the same. The
    broker refuses them, unless the marker of the previous transaction is not yet written to the
    partition. Then they join that transaction, are committed with it, and appear a second time when
    the input is read again.
    """
    transactions, batches = producer._txn_manager, producer._message_accumulator
    upstream = transactions.error_transaction

    def error_transaction(error: BaseException) -> None:
        upstream(error)
        for batch in itertools.chain(*batches._batches.values()):
            batch.failure(error)
        batches._batches.clear()

    transactions.error_transaction = error_transaction


class Reopening(NamedTuple):
    """Why a lane reopens."""

    reason: str
    fenced: bool = False
    """Another process may own the partition now."""


def reopening_after(error: BaseException | None) -> Reopening | None:
    """Why a lane reopens after an error or one of its causes; None: reopening does not help."""
    while error is not None:
        if isinstance(error, TransactionTimeoutError):
            return Reopening("a transaction timed out; the partition is opened again")
        if isinstance(error, FENCING_ERRORS):
            return Reopening(
                "this process's transactions were superseded; the partition is another process's, "
                "or is opened again",
                fenced=True,
            )
        if isinstance(error, asyncio.CancelledError):
            return Reopening(
                "a Kafka client has cancelled its own request; the partition is opened again"
            )
        if isinstance(error, TransactionAbortableError):
            return Reopening("a transaction must be aborted; the partition is opened again")
        if _is_cut_off(error):
            return Reopening(
                "the broker failed during a transaction; the partition is opened again"
            )
        error = error.__cause__
    return None


def _is_cut_off(error: BaseException) -> bool:
    """Whether the broker failed in a way from which aiokafka does not recover by itself: while it
    looked up the transaction coordinator (``producer/sender.py:240``), or for longer than a batch
    may wait. A reopened lane waits for the broker.
    """
    return isinstance(error, KafkaError) and is_passing(error)


def root_cause(producer: AIOKafkaProducer | None, error: BaseException) -> BaseException:
    """Root cause of a failed transaction.

    After a fatal error in aiokafka's background sender, such as fencing, the next call fails with a
    secondary error, such as ``IllegalOperation: Can't send messages while not in transaction``. The
    first error is in the sender's task or in the transaction.
    """
    if producer is None:
        return error
    ended, failed = (
        _exception_of(producer._sender.sender_task),
        _exception_of(producer._txn_manager._transaction_waiter),
    )
    return error if isinstance(error, FENCING_ERRORS) else ended or failed or error


def _exception_of(future: asyncio.Future[Any] | None) -> BaseException | None:
    return None if future is None or not future.done() or future.cancelled() else future.exception()


async def terminate(producer: AIOKafkaProducer) -> None:
    """End a producer whose ``stop`` did not return because a broker does not answer. Afterwards it
    writes nothing, and no connection, task or future is left.
    """
    sender: Sender = producer._sender
    tasks = {*sender.requests, *({sender.sender_task} if sender.sender_task is not None else ())}
    for task in tasks:
        abandon(task)
    if tasks:
        _, pending = await asyncio.wait(tasks, timeout=1)
        if not pending:  # otherwise a pending commit would commit without these records
            producer._message_accumulator.fail_all(KafkaConnectionError("the producer was cut off"))
    with contextlib.suppress(Exception):
        await promptly(producer.client.close(), 1)
