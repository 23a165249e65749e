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
from rollcall.kafka.errors import TransactionAbortableError
from rollcall.kafka.known_brokers import KnownBrokers

OAUTH_ERROR_TAKEN = b"\x01"
"""What a client answers to a refused token, so that the broker says why (RFC 7628, section 3.2.3).
"""


ANSWER_SECONDS = 5.0
"""How long a broker may let a client wait without a byte, if it does not hold the request on
purpose. A broker that lives answers in milliseconds; one that hangs is given up by its cluster
after some 9 s (``broker.session.timeout.ms``), and until then each wait for it is one for nothing.
"""

WHOLE_MS = 40_000
"""``request_timeout_ms`` of a client that says nothing else."""

SILENT_SECONDS = 30.0
"""For so long a broker that did not answer is asked last, where any broker may be asked."""

HELD = frozenset(
    request.API_KEY
    for request in (
        JoinGroupRequest,
        SyncGroupRequest,
        CreateTopicsRequest,
        DeleteTopicsRequest,
        SaslAuthenticateRequest,
    )
)
"""Requests that a broker holds until others have done their part, such as other members of a group,
or whoever knows passwords. They get the whole ``request_timeout_ms`` of their client, and so does
what waits behind them: a broker answers the requests of a connection one after the other.
"""

OF_ITS_OWN = frozenset(
    request.API_KEY
    for request in (ApiVersionRequest, MetadataRequest, FindCoordinatorRequest, FetchRequest)
)
"""Requests that a broker answers whatever the other brokers do. If it does not, and had nothing to
answer before, it is the broker that is silent.
"""


class Silent:
    """The brokers that did not answer lately, as all clients of the process have found. May be used
    from any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[tuple[str, int], float] = {}

    def add(self, host: str, port: int) -> None:
        """It did not answer."""
        self._since[host, port] = self._clock()

    def remove(self, host: str, port: int) -> None:
        """It has answered."""
        self._since.pop((host, port), None)

    def has(self, host: str, port: int) -> bool:
        """Whether it has not answered lately."""
        since = self._since.get((host, port))
        return since is not None and self._clock() - since < SILENT_SECONDS


SILENT = Silent()


class OAuthAuthenticator(conn.OAuthAuthenticator):  # type: ignore[misc]
    """Takes notice of a token that is refused.

    aiokafka (``conn.py:757``; no issue) takes the broker's first answer for its consent, whatever
    it says, and goes on with a connection that is not authenticated. Test:
    ``tests/security/test_refusals.py::test_every_process_and_command_says_what_is_wrong[token]``.
    """

    async def step(self, payload: bytes | None) -> tuple[bytes | str, bool] | None:
        answer: tuple[bytes | str, bool] | None = (
            (OAUTH_ERROR_TAKEN, True) if payload else await super().step(payload)
        )
        return answer


class Protocol(conn.AIOKafkaProtocol):  # type: ignore[misc]
    """Counts what comes, for :class:`Connection`."""

    received = 0

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self.received += len(data)
        super().data_received(data)


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc]
    """Takes notice at once that it was reset, and waits only as long as it makes sense.

    aiokafka (``conn.py:360``; https://github.com/aio-libs/aiokafka/issues/1038) hears of a reset
    two turns of the event loop later than uvloop, and meanwhile takes the connection for a good
    one. Where asyncio's own loop then says nothing, uvloop raises RuntimeError, which ends whatever
    wanted to send. If that is the task that asks for metadata (``client.py:227``), nobody hears of
    it, and every later question of this client to the cluster waits for ever. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_a_connection_that_was_reset_is_one_that_is_lost``.

    And it takes a connection that cannot be made for want of files (``client.py:233``; no issue)
    for a broker that is away, which it tries again for ever. Test: ``tests/test_open_files.py``.

    aiokafka (``conn.py:417``; no issue; kafka-python's was
    https://github.com/dpkp/kafka-python/pull/3011) has one time-out for all requests, 40 s, because
    a broker holds a request to join a group for long. Whatever else is asked of a broker that hangs
    waits as long, one request after the other. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_a_broker_that_hangs_is_waited_for_a_moment_only``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        _first_connections.get(asyncio.current_task(), []).append(self)
        self._whole: float = options.get("request_timeout_ms", WHOLE_MS) / 1000
        self._patience: float = min(self._whole, ANSWER_SECONDS)
        self._request_timeout = self._patience

    async def connect(self) -> Any:
        """Begin the connection, and ask the broker what it speaks."""
        try:
            streams = await super().connect()
        except TimeoutError:
            SILENT.add(self.host, self.port)
            raise
        except OSError:
            open_files.note_failure()
            raise
        SILENT.remove(self.host, self.port)
        return streams

    def send(self, request: Any, expect_response: bool = True) -> Awaitable[Any]:
        self._request_timeout = self._whole  # the connection is there
        before = {
            waiting.API_KEY for _number, waiting, _future in self._requests if waiting is not None
        }
        with self._lost_if_closed():
            answer: Awaitable[Any] = super().send(request, expect_response)
        if not expect_response or not HELD.isdisjoint({request.API_KEY} | before):
            return answer
        return self._answered(answer, of_its_own=request.API_KEY in OF_ITS_OWN and not before)

    async def _answered(self, answer: Awaitable[Any], *, of_its_own: bool) -> Any:
        """An answer, unless nothing passes on the connection for a while. A large one may take its
        time, up to the ``request_timeout_ms`` of the client.
        """
        waiting = asyncio.ensure_future(answer)
        try:
            while not waiting.done():
                passed = self._passed
                await asyncio.wait({waiting}, timeout=self._patience)
                if not waiting.done() and passed == self._passed:
                    if of_its_own:
                        SILENT.add(self.host, self.port)
                    raise TimeoutError
            return waiting.result()
        finally:
            waiting.cancel()

    @property
    def _passed(self) -> tuple[int, int]:
        """What changes when anything passes: bytes that have come, and bytes that have still to
        go.
        """
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
        except KafkaError:  # is a RuntimeError, too
            raise
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(
                f"Connection at {self.host}:{self.port} broken: {error}"
            ) from error


_first_connections: dict[asyncio.Task[Any] | None, list[Connection]] = {}
"""By the task that begins with a client."""


def with_first_connections(
    upstream: Callable[[AIOKafkaClient], Awaitable[None]],
) -> Callable[[AIOKafkaClient], Awaitable[None]]:
    """``bootstrap`` of a client, which closes what it has connected when it is cancelled.

    aiokafka (``client.py:219``; no issue) leaves the connection over which it first asks who there
    is to the garbage collector, which calls that an error. Test:
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
"""What the coordinator of a transaction answers to a producer that is not, or no longer, the one
with its transactional id.
"""

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
    """``handle_response`` of an answer to a request of a transaction: each of Kafka's codes ends as
    Kafka's own clients have it.

    aiokafka (``producer/sender.py:440`` to ``719``; no issue) knows some codes for each request,
    and ends the producer with an error for all others, with a traceback in the log, also where
    Kafka says that the request may be repeated. Fencing it knows by one code of four. Test:
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
        # How long to wait for the transaction before depends on more than the code, and upstream
        # knows it.
        if any(error.retriable and error is not ConcurrentTransactions for error in errors):
            backoff: float = handler.handle_error()
            return backoff
        return upstream(handler, response)

    return handle_response


async def do_once(handler: Any, node_id: Any) -> bool:
    """``do`` of a request of a transaction. One that was sent and not answered is not repeated by
    the same producer.

    aiokafka (``producer/sender.py:390``; no issue) repeats it on another connection, in the same
    epoch. But what was sent on the first one may still arrive, at any later time, and then ends the
    transaction after next in the middle, or sets an offset back
    (https://issues.apache.org/jira/browse/KAFKA-14402). A lane that opens anew has an epoch of its
    own. Test:
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

    aiokafka (``producer/sender.py:189``; no issue) does not end the requests that are on their way
    when the sender ends with an error, and waits for them for ever when it is cancelled: a commit
    waits for records that nobody sends any more. asyncio complains of both, with tracebacks. Test:
    ``tests/streaming/test_failures.py::test_a_producer_that_is_cut_off_leaves_nothing_behind``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.requests: set[asyncio.Task[Any]] = set()
        """Those that are on their way."""

    async def _sender_routine(self) -> None:
        try:
            await super()._sender_routine()
        finally:
            self.cancel_requests()

    def cancel_requests(self) -> None:
        """End them. Whatever they were to do is then unknown."""
        for request in self.requests:
            request.cancel()


def kept_track_of(
    upstream: Callable[..., Coroutine[Any, Any, Any]],
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A method of the sender that runs as a task of its own."""

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
    """A heartbeat that names the static member."""

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
    """The same, as clients send it."""

    API_KEY = 12

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(
        self, request_struct_class: type[StaticHeartbeatRequestV3]
    ) -> StaticHeartbeatRequestV3:
        """The request itself."""
        return request_struct_class(*self._fields)


class GroupCoordinator(group_coordinator.GroupCoordinator):  # type: ignore[misc]
    """Tells what the group has refused for good, and says in heartbeats which static member it is.

    aiokafka (``consumer/group_coordinator.py:1390``, ``1507`` and ``804``;
    https://github.com/aio-libs/aiokafka/issues/1186) makes of a code that it does not expect an
    error that has lost it. And its heartbeats are of a version that does not name the static member
    (``:750``): one that was replaced hears only that it is unknown, joins again, and replaces the
    one that has replaced it, for ever. Test:
    ``tests/process/test_refusals.py::test_of_two_processes_with_one_name_the_first_ends``.
    """

    _refusal: BrokerResponseError | None = None
    """What the coordinator answered last, if another try does not change it."""

    async def _send_req(self, request: Any) -> Any:
        if isinstance(request, HeartbeatRequest) and self._group_instance_id is not None:
            request = StaticHeartbeatRequest(
                self.group_id, self.generation, self.member_id, self._group_instance_id
            )
        response = await super()._send_req(request)
        error = for_code(getattr(response, "error_code", 0))
        self._refusal = None if error.retriable or error in PASSING else error()
        return response

    def _push_error_to_user(self, exc: BaseException) -> Any:
        return super()._push_error_to_user(self._refusal or exc)


PASSING = (
    NoError,
    IllegalGenerationError,
    UnknownMemberIdError,
    RebalanceInProgressError,
    MemberIdRequired,
    GroupAuthorizationFailedError,
)
"""Answers of a group's coordinator that aiokafka deals with by itself, and the one about rights,
which it tells as it is.
"""


def failure_that_was_seen(upstream: Callable[..., None]) -> Callable[..., None]:
    """``failure`` of a batch, or ``error_transaction`` and ``fatal_error`` of a transaction, after
    which nothing is left that asyncio complains of.

    aiokafka (``producer/message_accumulator.py:266``, ``producer/transaction_manager.py:138`` and
    ``149``; no issue) gives its error to futures for which nobody may be waiting. Who waits for the
    batch or the transaction itself hears of it all the same. Test:
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
        """Without an error where it is gone already."""
        self.discard(batch)


class MessageAccumulator(message_accumulator.MessageAccumulator):  # type: ignore[misc]
    """Lets go of a batch that fails while it waits to be sent once more.

    aiokafka (``producer/message_accumulator.py:459``; no issue) takes each batch that ends for one
    that is being sent, and asyncio logs a KeyError for it. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_a_batch_may_fail_while_it_waits_to_be_sent_once_more``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pending_batches = _Pending()


CANCEL_AGAIN_SECONDS = 0.1
"""A task that has not ended by then took its cancellation for that of a task that it waited for,
and went on.
"""


@functools.wraps(fetcher.Fetcher.close)
async def close_fetcher(fetching: fetcher.Fetcher) -> None:
    """``Fetcher.close``, which ends whatever its tasks are at.

    aiokafka (``consumer/fetcher.py:444``; no issue) waits for each fetch that it has cancelled. One
    that was about to pause, because a broker did not answer (``:755``), hands its cancellation on
    to whoever closes the consumer: the connections and other tasks stay, and the consumer's thread
    ends with a traceback. Test:
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
            task.exception()  # was told to whoever asked for records
    for waiter in fetching._fetch_waiters:
        fetching._notify(waiter)


_avoiding: ContextVar[bool] = ContextVar("avoiding", default=False)
"""Whether a connection is asked for to whichever broker."""

_upstream_metadata_update, _upstream_get_conn = (
    AIOKafkaClient._metadata_update,
    AIOKafkaClient._get_conn,
)


def _is_silent(client: AIOKafkaClient, node: Any) -> bool:
    broker = client.cluster.broker_metadata(node)
    return broker is not None and SILENT.has(broker.host, broker.port)


def get_random_node(client: AIOKafkaClient) -> Any:
    """Prefers brokers that answer.

    aiokafka (``client.py:270``; no issue) picks any, as often as not the one for whose silence it
    has just given up another request. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_another_broker_is_asked_than_the_silent_one``.
    """
    nodes = [broker.nodeId for broker in client.cluster.brokers()]
    answering = [node for node in nodes if not _is_silent(client, node)]
    return random.choice(answering or nodes) if nodes else None  # noqa: S311


async def _metadata_update(client: AIOKafkaClient, cluster_metadata: Any, topics: Any) -> Any:
    """Asks brokers that answer first. aiokafka (``client.py:282``; no issue) goes through all in
    any order, and waits for each. Test: as above.
    """
    if not any(_is_silent(client, broker.nodeId) for broker in client.cluster.brokers()):
        return await _upstream_metadata_update(client, cluster_metadata, topics)
    token = _avoiding.set(True)
    try:
        updated = await _upstream_metadata_update(client, cluster_metadata, topics)
    finally:
        _avoiding.reset(token)
    return updated or await _upstream_metadata_update(client, cluster_metadata, topics)


async def _get_conn(client: AIOKafkaClient, node_id: Any, **options: Any) -> Any:
    if _avoiding.get() and _is_silent(client, node_id):
        return None
    return await _upstream_get_conn(client, node_id, **options)


def hosts(client: AIOKafkaClient) -> list[tuple[str, int, Any]]:
    """The bootstrap servers, silent ones last (``client.py:169``). Test: as above."""
    servers = client._bootstrap_servers
    # Those that are named first: a broker that was seen may be gone, and its address another
    # cluster's.
    parts = [servers.named, servers.seen] if isinstance(servers, KnownBrokers) else [servers]
    found: list[tuple[str, int, Any]] = [
        host for part in parts if part for host in conn.collect_hosts(part)
    ]
    return sorted(found, key=lambda host: SILENT.has(host[0], host[1]))


def build_metadata_request(upstream: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``MetadataRequest.build``: to ask for a topic does not create it.

    aiokafka (``protocol/metadata.py:320``; no issue) has every client let brokers create the topics
    that it asks for. A topic that is gone would come again with the broker's number of partitions
    and cleanup policy. Test: ``tests/kafka/test_auto_creation.py``.
    """

    @functools.wraps(upstream)
    def build(request: Any, struct: Any) -> Any:
        request._allow_auto_topic_creation = False
        return upstream(request, struct)

    return build


def noting_brokers(upstream: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """``bootstrap`` and ``_metadata_update`` of a client: the process takes note of the brokers.

    aiokafka (``client.py:191``; no issue) has each client begin with the servers that were named,
    whatever the others know. Test: ``tests/kafka/test_known_brokers.py``.
    """

    @functools.wraps(upstream)
    async def updated(client: Any, *arguments: Any) -> Any:
        result = await upstream(client, *arguments)
        if result is not False and isinstance(client._bootstrap_servers, KnownBrokers):
            client._bootstrap_servers.saw(
                (broker.host, broker.port) for broker in client.cluster.brokers()
            )
        return result

    return updated


REPEAT_SECONDS = 0.1
"""After so long a client may ask the same again: ``retry_backoff_ms`` of Kafka's own clients."""


def not_at_once_again(
    upstream: Callable[[Any, Any, Any], Awaitable[Any]],
) -> Callable[[Any, Any, Any], Awaitable[Any]]:
    """``_metadata_update`` of a client, which pauses before it asks for the same topics once more.

    aiokafka (``producer/sender.py:170``; no issue) means a producer that knows no leader to wait a
    moment, and has it ask as fast as brokers answer, hundreds of times a second, for as long as the
    topic is gone. Test:
    ``tests/kafka/test_aiokafka_patches.py::test_a_topic_that_is_gone_is_asked_for_now_and_then``.
    """

    @functools.wraps(upstream)
    async def update(client: Any, cluster_metadata: Any, topics: Any) -> Any:
        asked, until = getattr(client, "_asked_until", (None, 0.0))
        if asked == topics and (pause := until - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        try:
            return await upstream(client, cluster_metadata, topics)
        finally:
            client._asked_until = set(topics), time.monotonic() + REPEAT_SECONDS

    return update


for _name in (
    "_send_produce_req",
    "_do_add_partitions_to_txn",
    "_do_add_offsets_to_txn",
    "_do_txn_offset_commit",
    "_do_txn_commit",
):
    setattr(Sender, _name, kept_track_of(getattr(sender.Sender, _name)))
producer.Sender = Sender
producer.MessageAccumulator = MessageAccumulator
conn.OAuthAuthenticator = OAuthAuthenticator
conn.AIOKafkaProtocol = Protocol
conn.AIOKafkaConnection = Connection
consumer.GroupCoordinator = GroupCoordinator
MessageBatch.failure = failure_that_was_seen(MessageBatch.failure)
TransactionManager.error_transaction = failure_that_was_seen(TransactionManager.error_transaction)
TransactionManager.fatal_error = failure_that_was_seen(TransactionManager.fatal_error)
fetcher.Fetcher.close = close_fetcher
for _handler in TRANSACTIONAL_HANDLERS:
    _handler.handle_response = transactional_answer(_handler.handle_response)
    _handler.do = do_once
AIOKafkaClient.get_random_node = get_random_node
AIOKafkaClient._metadata_update = _metadata_update
AIOKafkaClient._get_conn = _get_conn
AIOKafkaClient.hosts = property(hosts)
AIOKafkaClient.bootstrap = noting_brokers(with_first_connections(AIOKafkaClient.bootstrap))
AIOKafkaClient._metadata_update = not_at_once_again(noting_brokers(AIOKafkaClient._metadata_update))
MetadataRequest.build = build_metadata_request(MetadataRequest.build)
