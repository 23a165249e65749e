"""Patches of connections: refused tokens, resets, hanging brokers, a start that is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiokafka import conn
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.admin import (
    ApiVersionRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    SaslAuthenticateRequest,
)
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest

from rollcall import open_files
from rollcall.kafka.bounded import abandon
from rollcall.kafka.patches.unresponsive_brokers import UNRESPONSIVE

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
    ``tests/kafka/patches/test_connections.py::test_a_connection_that_was_reset_is_one_that_is_lost``.

    It takes a failure to connect at the limit of open files (``client.py:233``; no issue) for an
    unreachable broker, and retries for ever. Test: ``tests/test_open_files.py``.

    aiokafka (``conn.py:417``; no issue; kafka-python's was
    https://github.com/dpkp/kafka-python/pull/3011) has one timeout for all requests, 40 s, because
    a broker holds a join request for long. Every other request to a hanging broker waits as long,
    one after another. Test:
    ``tests/kafka/patches/test_connections.py::test_a_broker_that_hangs_is_waited_for_a_moment_only``.
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
    ``tests/kafka/patches/test_connections.py::test_whoever_is_cancelled_while_it_begins_leaves_no_connection``.
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
