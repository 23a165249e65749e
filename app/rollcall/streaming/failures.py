"""What went wrong with a transactional producer, behind the errors that aiokafka answers with
afterwards.
"""

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

from rollcall.kafka.aiokafka_patches import Sender
from rollcall.kafka.bounded import promptly
from rollcall.kafka.errors import (
    FencedInstanceIdError,
    FencedMemberEpochError,
    StaleMemberEpochError,
    TransactionAbortableError,
    is_passing,
)

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
"""Errors that say that the broker no longer knows this producer: another one with its transactional
id was opened, or the transaction timed out. A lane that opens anew finds out from the committed
offset where to go on.
"""


class TransactionTimeoutError(Exception):
    """A transaction did not end in time. What became of it is told by the committed offset, once a
    lane has opened anew and so ended it.
    """


def fail_unadded_batches(producer: AIOKafkaProducer) -> None:
    """Let a transactional producer send nothing that could not be added to its transaction, because
    a topic is refused, for example.

    aiokafka keeps batches back until their partition is added. When that fails, it forgets which
    partitions these are (``producer/transaction_manager.py:145``), and sends the batches all the
    same. The broker refuses them, unless the marker of the transaction before is not yet written to
    the partition: then they become part of that one, are committed with it, and come a second time
    from whoever reads the input again.
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
    """Why a lane opens anew."""

    reason: str
    fenced: bool = False
    """The partition may be another's by now."""


def reopening_after(error: BaseException | None) -> Reopening | None:
    """Why a lane opens anew after an error, or after one that it came from; None: opening anew
    would not help.
    """
    while error is not None:
        if isinstance(error, TransactionTimeoutError):
            return Reopening("a transaction did not end in time; the partition is opened again")
        if isinstance(error, FENCING_ERRORS):
            return Reopening(
                "this process's transactions were superseded; the partition is another's, or is "
                "opened again",
                fenced=True,
            )
        if isinstance(error, asyncio.CancelledError):
            return Reopening(
                "a client of Kafka has given up what it was doing; the partition is opened again"
            )
        if isinstance(error, TransactionAbortableError):
            return Reopening("the broker gave a transaction up; the partition is opened again")
        if _is_cut_off(error):
            return Reopening(
                "the broker went away in the middle of a transaction; the partition is opened again"
            )
        error = error.__cause__
    return None


def _is_cut_off(error: BaseException) -> bool:
    """Whether the broker went away, or could not do what it was asked for, at a moment that
    aiokafka does not get over by itself: while it looked for the coordinator of a transaction
    (``producer/sender.py:240``), or for longer than a batch may wait. A lane that opens anew waits
    for the broker.
    """
    return isinstance(error, KafkaError) and is_passing(error)


def root_cause(producer: AIOKafkaProducer | None, error: BaseException) -> BaseException:
    """Why the producer's transaction failed.

    When the sender in aiokafka's background has met a fatal error, such as being fenced, whatever
    call comes next fails with an error of its own, such as ``IllegalOperation: Can't send messages
    while not in transaction``. The true one is kept by the sender's task, or by the transaction.
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
    """End a producer that did not stop, because a broker does not answer: nothing is written any
    more, and no connection, task or future is left.
    """
    sender: Sender = producer._sender
    tasks = {*sender.requests, *({sender.sender_task} if sender.sender_task is not None else ())}
    sender.cancel_requests()
    for task in tasks:
        task.cancel()
    if tasks:
        _, pending = await asyncio.wait(tasks, timeout=1)
        if not pending:  # or a commit would go on without these records
            producer._message_accumulator.fail_all(KafkaConnectionError("the producer was cut off"))
    with contextlib.suppress(Exception):
        await promptly(producer.client.close(), 1)
