"""Patches of transactional requests: error codes, and requests without an answer."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from aiokafka.errors import (
    ConcurrentTransactions,
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    ProducerFenced,
    RequestTimedOutError,
    for_code,
)
from aiokafka.producer import sender

from rollcall.kafka.errors import TransactionAbortableError

FENCED = (ProducerFenced, InvalidProducerEpoch, InvalidProducerIdMapping, InvalidTxnState)
"""Answers of a transaction coordinator to a producer that no longer owns its transactional id."""

TRANSACTIONAL_HANDLERS = (
    sender.InitPIDHandler,
    sender.AddPartitionsToTxnHandler,
    sender.AddOffsetsToTxnHandler,
    sender.TxnOffsetCommitHandler,
    sender.EndTxnHandler,
)


def transactional_answer(
    upstream: Callable[[Any, Any], float | None],
) -> Callable[[Any, Any], float | None]:
    """``handle_response`` of a transactional request: handles each error code as Kafka's own
    clients do.

    aiokafka (``producer/sender.py:440`` to ``719``; no issue) knows some codes of each request. Any
    other code ends the producer with a traceback in the log, even if Kafka calls it retriable. Of
    four codes for fencing it knows one. Test:
    ``tests/streaming/test_transaction_errors.py``.
    """

    @functools.wraps(upstream)
    def handle_response(handler: Any, response: Any) -> float | None:
        errors = [for_code(code) for code in _codes(response)]
        if fenced := next((error for error in errors if issubclass(error, FENCED)), None):
            raise ProducerFenced(str(fenced())) from fenced()
        transactions = handler._sender._txn_manager
        if TransactionAbortableError in errors and transactions.has_pid():
            transactions.error_transaction(TransactionAbortableError())
            return None
        # Upstream chooses the wait for the previous transaction: it depends on more than the code.
        if any(error.retriable and error is not ConcurrentTransactions for error in errors):
            backoff: float = handler.handle_error()
            return backoff
        return upstream(handler, response)

    return handle_response


async def do_without_repeating(handler: Any, node_id: Any) -> bool:
    """``do`` of a transactional request: the same producer never repeats a request that was sent
    and not answered.

    aiokafka (``producer/sender.py:390``; no issue) repeats it on another connection, in the same
    epoch. The first request may still arrive at any later time. Then it ends a later transaction in
    the middle, or moves an offset back (https://issues.apache.org/jira/browse/KAFKA-14402). A
    reopened lane has a new epoch. Test:
    ``tests/streaming/test_transaction_errors.py::test_what_was_not_answered_is_not_repeated``.
    """
    request = handler.create_request()
    backoff: float = handler._default_backoff
    try:
        response = await handler._sender.client.send(node_id, request, group=handler.group)
    except RequestTimedOutError as error:
        raise KafkaTimeoutError(f"{type(request).__name__} was not answered") from error
    except NodeNotReadyError:
        backoff = handler.handle_error()
    except IncompatibleBrokerVersion:
        raise
    except KafkaError as error:
        sender.log.warning("Could not send %r: %r", type(request), error)
    else:
        wait: float | None = handler.handle_response(response)
        if wait is None:
            return True
        backoff = wait
    await asyncio.sleep(backoff)
    return False


def _codes(response: Any) -> list[int]:
    if hasattr(response, "errors"):
        return [code for _topic, partitions in response.errors for _partition, code in partitions]
    return [response.error_code]
