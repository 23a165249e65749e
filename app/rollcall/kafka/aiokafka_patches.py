"""Process-wide patches of aiokafka 0.14, each with a name. Importing this module applies them;
:mod:`rollcall.kafka.client` imports it.

Each patch names the line of aiokafka that it corrects, the upstream issue if there is one, the
reason, and the test that fails without it. A patch may go when that test passes without it on a
newer aiokafka. ``tests/streaming/faust/test_upstream.py`` fails when a patched function changes.
Patches of single objects stand beside the code that makes the object
(``app/rollcall/streaming/failures.py``, ``app/rollcall/kafka/decoding.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

from aiokafka import conn
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import consumer, fetcher, group_coordinator
from aiokafka.errors import (
    BrokerResponseError,
    ConcurrentTransactions,
    GroupAuthorizationFailedError,
    IllegalGenerationError,
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MemberIdRequired,
    NodeNotReadyError,
    NoError,
    ProducerFenced,
    RebalanceInProgressError,
    RequestTimedOutError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.producer import message_accumulator, producer, sender
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.admin import (
    ApiVersionRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    SaslAuthenticateRequest,
)
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import (
    HeartbeatRequest,
    HeartbeatResponse_v1,
    JoinGroupRequest,
    SyncGroupRequest,
)
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.types import Int32, Schema, String

from rollcall import open_files
from rollcall.kafka.bounded import abandon
from rollcall.kafka.errors import TransactionAbortableError
from rollcall.kafka.known_brokers import KnownBrokers

OAUTH_ERROR_RECEIVED = b"\x01"
"""Client's reply to a refused token, after which the broker sends the reason (RFC 7628, section
3.2.3).
"""


ANSWER_SECONDS = 5.0
"""Time limit for a broker to send a byte, unless it holds the request on purpose. A healthy broker
answers in milliseconds. The cluster gives up a hanging one after some 9 s
(``broker.session.timeout.ms``); until then every wait for it is wasted.
"""

KNOWN_HANGING_SECONDS = 2.0
"""The same for a broker that did not answer recently, according to any connection of the process.
Until the cluster gives it up, it is named as coordinator and leader, and clients ask it again and
again, on each of their connections. With longer waits, members of a group find their new
coordinator only after their session.
"""

STEP_SECONDS = 0.5
"""Silence is counted in such steps. A step counts once if this process itself stood still."""

DEFAULT_TIMEOUT_MS = 40_000
"""``request_timeout_ms`` of a client that does not set it."""

UNRESPONSIVE_SECONDS = 30.0
"""After not answering, a broker is the last choice for this long, where any broker may be asked."""

SLOW_REQUESTS = frozenset(
    request.API_KEY
    for request in (
        JoinGroupRequest,
        SyncGroupRequest,
        CreateTopicsRequest,
        DeleteTopicsRequest,
        SaslAuthenticateRequest,
    )
)
"""Requests that a broker holds until others have acted, such as other group members or a password
store. They have the full ``request_timeout_ms`` of their client, and so have requests behind them:
a broker answers the requests of a connection in order. Silence does not show that the broker hangs;
the process learns that from its other connections.
"""

LOCAL_REQUESTS = frozenset(
    request.API_KEY
    for request in (ApiVersionRequest, MetadataRequest, FindCoordinatorRequest, FetchRequest)
)
"""Requests that a broker answers without other brokers. If one stays unanswered, with no other
request before it, the broker itself is unresponsive.
"""


class UnresponsiveBrokers:
    """Brokers that recently did not answer a client of this process. Safe in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[tuple[str, int], float] = {}

    def add(self, host: str, port: int) -> None:
        """Record that a broker did not answer."""
        self._since[host, port] = self._clock()

    def remove(self, host: str, port: int) -> None:
        """Record that a broker has answered."""
        self._since.pop((host, port), None)

    def has(self, host: str, port: int) -> bool:
        """Whether a broker did not answer recently."""
        since = self._since.get((host, port))
        return since is not None and self._clock() - since < UNRESPONSIVE_SECONDS


UNRESPONSIVE = UnresponsiveBrokers()


class OAuthAuthenticator(conn.OAuthAuthenticator):  # type: ignore[misc]
    """Detects a refused token.

    aiokafka (``conn.py:757``; no issue) takes the broker's first answer for its consent, without
    reading it, and continues with an unauthenticated connection. Test:
    ``tests/security/test_refusals.py::test_every_process_and_command_says_what_is_wrong[token]``.
    """

    async def step(self, payload: bytes | None) -> tuple[bytes | str, bool] | None:
        answer: tuple[bytes | str, bool] | None = (
            (OAUTH_ERROR_RECEIVED, True) if payload else await super().step(payload)
        )
        return answer


class Protocol(conn.AIOKafkaProtocol):  # type: ignore[misc]
    """Counts received bytes, for :class:`Connection`."""

    received = 0

    def data_received(self, data: bytes) -> None:
        """Count bytes."""
        self.received += len(data)
        super().data_received(data)


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc]
    """Detects a reset at once, and does not wait for hanging brokers.

    aiokafka (``conn.py:360``; https://github.com/aio-libs/aiokafka/issues/1038) learns of a reset
    two event loop iterations later than uvloop, and meanwhile uses the connection. asyncio's own
    loop then does nothing; uvloop raises RuntimeError, which ends the sending task. If that is the
    task that requests metadata (``client.py:227``), nobody notices, and every later request of this
    client for metadata waits for ever. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_a_connection_that_was_reset_is_one_that_is_lost``.

    It takes a failure to connect at the limit of open files (``client.py:233``; no issue) for an
    unreachable broker, and retries for ever. Test: ``tests/test_open_files.py``.

    aiokafka (``conn.py:417``; no issue; kafka-python's was
    https://github.com/dpkp/kafka-python/pull/3011) has one timeout for all requests, 40 s, because
    a broker holds a join request for long. Every other request to a hanging broker waits as long,
    one after another. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_a_broker_that_hangs_is_waited_for_a_moment_only``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        _first_connections.get(asyncio.current_task(), []).append(self)
        self._full_timeout: float = options.get("request_timeout_ms", DEFAULT_TIMEOUT_MS) / 1000

    @property
    def _known_to_hang(self) -> bool:
        return UNRESPONSIVE.has(self.host, self.port)

    def _limit(self, known_to_hang: bool) -> float:
        """Longest silence that is no sign of a hanging broker, in seconds."""
        limit = KNOWN_HANGING_SECONDS if known_to_hang else ANSWER_SECONDS
        return min(limit, self._full_timeout)

    async def connect(self) -> Any:
        """Connect, and ask the broker for its API versions."""
        known = self._known_to_hang
        self._request_timeout = self._limit(known)
        try:
            streams = await super().connect()
        except TimeoutError:
            if not known:  # else the short wait shows nothing new: it may be slow
                UNRESPONSIVE.add(self.host, self.port)
            raise
        except OSError:
            open_files.note_failure()
            raise
        UNRESPONSIVE.remove(self.host, self.port)
        return streams

    def send(self, request: Any, expect_response: bool = True) -> Awaitable[Any]:
        self._request_timeout = (
            self._full_timeout
        )  # connected: from now on _answered limits the wait
        before = {
            waiting.API_KEY for _number, waiting, _future in self._requests if waiting is not None
        }
        with self._lost_if_closed():
            answer: Awaitable[Any] = super().send(request, expect_response)
        if not expect_response:
            return answer
        return self._answered(
            answer,
            slow=not SLOW_REQUESTS.isdisjoint({request.API_KEY} | before),
            local=request.API_KEY in LOCAL_REQUESTS and not before,
        )

    async def _answered(self, answer: Awaitable[Any], *, slow: bool, local: bool) -> Any:
        """The answer, unless the connection has no traffic for a while. A large answer may take up
        to the client's ``request_timeout_ms``, and so may a slow one of a broker that does not
        hang.
        """
        waiting = asyncio.ensure_future(answer)
        step = min(STEP_SECONDS, self._limit(known_to_hang=False))
        silence = 0.0
        try:
            while not waiting.done():
                traffic = self._traffic
                await asyncio.wait({waiting}, timeout=step)
                silence = 0.0 if traffic != self._traffic else silence + step
                known = self._known_to_hang
                if waiting.done() or silence < self._limit(known) or (slow and not known):
                    continue
                if local and not slow and not known:
                    UNRESPONSIVE.add(self.host, self.port)
                raise TimeoutError
            result = waiting.result()
        except BaseException:
            abandon(waiting)
            raise
        UNRESPONSIVE.remove(self.host, self.port)
        return result

    @property
    def _traffic(self) -> tuple[int, int]:
        """Changes with any traffic: bytes received, and bytes left to send."""
        if self._writer is None:
            return 0, 0
        return self._protocol.received, self._writer.transport.get_write_buffer_size()

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Awaitable[Any]:
        with self._lost_if_closed():
            answer: Awaitable[Any] = super()._send_sasl_token(payload, expect_response)
        return answer

    @contextlib.contextmanager
    def _lost_if_closed(self) -> Iterator[None]:
        try:
            yield
        except KafkaError:  # also a RuntimeError
            raise
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(
                f"Connection at {self.host}:{self.port} broken: {error}"
            ) from error


_first_connections: dict[asyncio.Task[Any] | None, list[Connection]] = {}
"""By the task that starts a client."""


def closing_first_connections(
    upstream: Callable[[AIOKafkaClient], Awaitable[None]],
) -> Callable[[AIOKafkaClient], Awaitable[None]]:
    """``bootstrap`` of a client: closes its connections if it is cancelled.

    aiokafka (``client.py:219``; no issue) leaves the first connection to the garbage collector,
    which logs an error. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_whoever_is_cancelled_while_it_begins_leaves_no_connection``.
    """

    @functools.wraps(upstream)
    async def bootstrap(client: AIOKafkaClient) -> None:
        task = asyncio.current_task()
        connections = _first_connections[task] = []
        try:
            await upstream(client)
        except BaseException:
            for each in connections:
                each.close()
            raise
        finally:
            del _first_connections[task]

    return bootstrap


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


def _codes(response: Any) -> list[int]:
    if hasattr(response, "errors"):
        return [code for _topic, partitions in response.errors for _partition, code in partitions]
    return [response.error_code]


class StaticHeartbeatRequestV3(RequestStruct):  # type: ignore[misc]
    """Heartbeat with the id of the static member."""

    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = type("HeartbeatResponseV3", (HeartbeatResponse_v1,), {"API_VERSION": 3})
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class StaticHeartbeatRequest(Request[StaticHeartbeatRequestV3]):  # type: ignore[misc]
    """The same request, as clients send it."""

    API_KEY = 12

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(
        self, request_struct_class: type[StaticHeartbeatRequestV3]
    ) -> StaticHeartbeatRequestV3:
        """Build the request."""
        return request_struct_class(*self._fields)


class GroupCoordinator(group_coordinator.GroupCoordinator):  # type: ignore[misc]
    """Reports permanent errors of the group, and sends the static member's id in heartbeats.

    aiokafka (``consumer/group_coordinator.py:1390``, ``1507`` and ``804``;
    https://github.com/aio-libs/aiokafka/issues/1186) turns an unexpected code into an error without
    the code. Its heartbeats are of a version without the static member's id (``:750``): a replaced
    member only learns that it is unknown, joins again, and replaces its replacement, for ever.
    Test:
    ``tests/process/test_refusals.py::test_of_two_processes_with_one_name_the_first_ends``.
    """

    _refusal: BrokerResponseError | None = None
    """Last answer of the coordinator, if it is a permanent error."""

    async def _send_req(self, request: Any) -> Any:
        if isinstance(request, HeartbeatRequest) and self._group_instance_id is not None:
            request = StaticHeartbeatRequest(
                self.group_id, self.generation, self.member_id, self._group_instance_id
            )
        response = await super()._send_req(request)
        error = for_code(getattr(response, "error_code", 0))
        self._refusal = None if error.retriable or error in HANDLED else error()
        return response

    def _push_error_to_user(self, exc: BaseException) -> Any:
        return super()._push_error_to_user(self._refusal or exc)


HANDLED = (
    NoError,
    IllegalGenerationError,
    UnknownMemberIdError,
    RebalanceInProgressError,
    MemberIdRequired,
    GroupAuthorizationFailedError,
)
"""Coordinator answers that aiokafka handles itself, or reports unchanged (authorization)."""


def with_retrieved_exceptions(upstream: Callable[..., None]) -> Callable[..., None]:
    """``failure`` of a batch, or ``error_transaction`` and ``fatal_error`` of a transaction,
    without complaints of asyncio afterwards.

    aiokafka (``producer/message_accumulator.py:266``, ``producer/transaction_manager.py:138`` and
    ``149``; no issue) sets its error on futures that may have no waiter. Waiters of the batch or
    the transaction still get the error. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_nothing_is_left_of_a_transaction_that_failed``.
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
    ``tests/kafka/test_aiokafka_patches.py::test_a_batch_may_fail_while_it_waits_to_be_sent_once_more``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pending_batches = _Pending()


CANCEL_AGAIN_SECONDS = 0.1
"""A task still running after this time mistook its cancellation for that of an inner task."""


@functools.wraps(fetcher.Fetcher.close)
async def close_fetcher(fetching: fetcher.Fetcher) -> None:
    """``Fetcher.close`` that ends its tasks in any state.

    aiokafka (``consumer/fetcher.py:444``; no issue) waits for each fetch that it has cancelled. A
    fetch that was about to pause because a broker did not answer (``:755``) passes its cancellation
    on to the closing task: connections and other tasks stay open, and the consumer's thread ends
    with a traceback. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_a_consumer_is_stopped_while_a_fetch_pauses``.
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


_avoid_unresponsive: ContextVar[bool] = ContextVar("avoid_unresponsive", default=False)
"""Whether connections to unresponsive brokers are refused now."""

_upstream_metadata_update, _upstream_get_conn = (
    AIOKafkaClient._metadata_update,
    AIOKafkaClient._get_conn,
)


def _is_unresponsive(client: AIOKafkaClient, node: Any) -> bool:
    broker = client.cluster.broker_metadata(node)
    return broker is not None and UNRESPONSIVE.has(broker.host, broker.port)


def get_random_node(client: AIOKafkaClient) -> Any:
    """Prefers brokers that answer.

    aiokafka (``client.py:270``; no issue) picks any broker, often the one whose silence it has just
    noticed. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_another_broker_is_asked_than_the_silent_one``.
    """
    nodes = [broker.nodeId for broker in client.cluster.brokers()]
    answering = [node for node in nodes if not _is_unresponsive(client, node)]
    return random.choice(answering or nodes) if nodes else None  # noqa: S311


async def _metadata_update(client: AIOKafkaClient, cluster_metadata: Any, topics: Any) -> Any:
    """Asks responsive brokers first. aiokafka (``client.py:282``; no issue) tries all in random
    order, and waits for each. Test: as above.
    """
    if not any(_is_unresponsive(client, broker.nodeId) for broker in client.cluster.brokers()):
        return await _upstream_metadata_update(client, cluster_metadata, topics)
    token = _avoid_unresponsive.set(True)
    try:
        updated = await _upstream_metadata_update(client, cluster_metadata, topics)
    finally:
        _avoid_unresponsive.reset(token)
    return updated or await _upstream_metadata_update(client, cluster_metadata, topics)


async def _get_conn(client: AIOKafkaClient, node_id: Any, **options: Any) -> Any:
    if _avoid_unresponsive.get() and _is_unresponsive(client, node_id):
        return None
    return await _upstream_get_conn(client, node_id, **options)


def hosts(client: AIOKafkaClient) -> list[tuple[str, int, Any]]:
    """The bootstrap servers, unresponsive ones last (``client.py:169``). Test: as above."""
    servers = client._bootstrap_servers
    # Configured servers come first: a discovered broker may be gone, and another cluster may have
    # its address.
    parts = (
        [servers.configured, servers.discovered] if isinstance(servers, KnownBrokers) else [servers]
    )
    found: list[tuple[str, int, Any]] = [
        host for part in parts if part for host in conn.collect_hosts(part)
    ]
    return sorted(found, key=lambda host: UNRESPONSIVE.has(host[0], host[1]))


def build_metadata_request(upstream: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``MetadataRequest.build``: a request for a topic does not create it.

    aiokafka (``protocol/metadata.py:320``; no issue) lets brokers create requested topics. A
    deleted topic would come back with the broker's default partitions and cleanup policy. Test:
    ``tests/kafka/test_auto_creation.py``.
    """

    @functools.wraps(upstream)
    def build(request: Any, struct: Any) -> Any:
        request._allow_auto_topic_creation = False
        return upstream(request, struct)

    return build


def recording_brokers(upstream: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """``bootstrap`` and ``_metadata_update`` of a client: record the brokers for the whole process.

    aiokafka (``client.py:191``; no issue) starts each client from the configured servers only.
    Test: ``tests/kafka/test_known_brokers.py``.
    """

    @functools.wraps(upstream)
    async def updated(client: Any, *arguments: Any) -> Any:
        result = await upstream(client, *arguments)
        if result is not False and isinstance(client._bootstrap_servers, KnownBrokers):
            client._bootstrap_servers.update(
                (broker.host, broker.port) for broker in client.cluster.brokers()
            )
        return result

    return updated


REPEAT_SECONDS = 0.1
"""Pause before a client repeats a request for metadata: ``retry_backoff_ms`` of Kafka's own
clients.
"""


def with_pause(
    upstream: Callable[[Any, Any, Any], Awaitable[Any]],
) -> Callable[[Any, Any, Any], Awaitable[Any]]:
    """``_metadata_update`` of a client: pauses before it requests the same topics again.

    aiokafka (``producer/sender.py:170``; no issue) intends a pause of a producer without a known
    leader, but sends requests as fast as brokers answer, hundreds per second, while the topic does
    not exist. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_a_topic_that_is_gone_is_asked_for_now_and_then``.
    """

    @functools.wraps(upstream)
    async def update(client: Any, cluster_metadata: Any, topics: Any) -> Any:
        last_topics, until = getattr(client, "_requested_until", (None, 0.0))
        if last_topics == topics and (pause := until - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        try:
            return await upstream(client, cluster_metadata, topics)
        finally:
            client._requested_until = set(topics), time.monotonic() + REPEAT_SECONDS

    return update


for _name in (
    "_send_produce_req",
    "_do_add_partitions_to_txn",
    "_do_add_offsets_to_txn",
    "_do_txn_offset_commit",
    "_do_txn_commit",
):
    setattr(Sender, _name, tracked(getattr(sender.Sender, _name)))
producer.Sender = Sender
producer.MessageAccumulator = MessageAccumulator
conn.OAuthAuthenticator = OAuthAuthenticator
conn.AIOKafkaProtocol = Protocol
conn.AIOKafkaConnection = Connection
consumer.GroupCoordinator = GroupCoordinator
MessageBatch.failure = with_retrieved_exceptions(MessageBatch.failure)
TransactionManager.error_transaction = with_retrieved_exceptions(
    TransactionManager.error_transaction
)
TransactionManager.fatal_error = with_retrieved_exceptions(TransactionManager.fatal_error)
fetcher.Fetcher.close = close_fetcher
for _handler in TRANSACTIONAL_HANDLERS:
    _handler.handle_response = transactional_answer(_handler.handle_response)
    _handler.do = do_without_repeating
AIOKafkaClient.get_random_node = get_random_node
AIOKafkaClient._metadata_update = _metadata_update
AIOKafkaClient._get_conn = _get_conn
AIOKafkaClient.hosts = property(hosts)
AIOKafkaClient.bootstrap = recording_brokers(closing_first_connections(AIOKafkaClient.bootstrap))
AIOKafkaClient._metadata_update = with_pause(recording_brokers(AIOKafkaClient._metadata_update))
MetadataRequest.build = build_metadata_request(MetadataRequest.build)
