"""Writes raw records to Kafka, each acknowledged by all replicas before its sender goes on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    PolicyViolationError,
    RecordListTooLargeError,
    UnknownError,
    UnsupportedForMessageFormatError,
)

from rollcall.errors import BrokerUnavailableError, RollcallError, describe
from rollcall.ingest.raw_records import RawRecord
from rollcall.ingest.rights import ingest_rights
from rollcall.kafka.bounded import abandon, is_cancelled, promptly
from rollcall.kafka.client import client_options
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.rights import check_rights
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.kafka.topics import min_record_bytes
from rollcall.process.topics import EVENT_RECORD_BYTES, TopicNames, plan_raw_topic
from rollcall.settings import Settings
from rollcall.streaming.failures import terminate

log = logging.getLogger(__name__)

LINGER_MS = 20
BATCH_BYTES = 256 * 1024
"""Most bytes of a batch with several records."""

SLOW_SECONDS = 5.0
"""Kafka counts as away after this time without any acknowledgement, if one is due."""

REFUSALS = 3
"""Refusals of a record that is alone in its batch, after which it is not sent again."""

LEAST_SECONDS = 1.0
"""Between two replacements of a producer whose records Kafka has refused."""

OPENING_SECONDS = 60.0
STOP_SECONDS = 5.0
CLOSE_SECONDS = 1.5
END_SECONDS = 0.7
"""Time limit for what follows the end of a producer."""

FIRST_PAUSE_SECONDS = 0.2
MOST_PAUSE_SECONDS = 15.0
REMINDER_SECONDS = 60.0
"""Interval of log lines while Kafka is away."""

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_REFUSED = (
    CorruptRecordException,
    InvalidTimestampError,
    PolicyViolationError,
    UnknownError,  # also all that the client does not know, such as INVALID_RECORD
    UnsupportedForMessageFormatError,
)
"""Errors that concern records."""

_NO_LEADER = (LeaderNotAvailableError, NotLeaderForPartitionError)
"""Errors that concern a partition. The client gives a batch up after its time limit."""


class RecordRefusedError(RollcallError):
    """Kafka does not take this record, and takes others."""


class RecordTooLargeError(RecordRefusedError):
    """The raw topic takes no record of this size."""


class KafkaAwayError(RollcallError):
    """A record was not acknowledged, because the sink has stopped. It may be in Kafka all the
    same.
    """


@dataclass(slots=True)
class _Delivery:
    """A record that is not acknowledged yet."""

    size: int
    started: float
    producer: AIOKafkaProducer | None = None
    """The one that has the record."""
    is_forsaken: bool = False
    """The producer has ended without an answer."""
    is_alone: bool = False
    """Kafka has refused a batch with it: it is sent in a batch of its own."""
    refusals: int = 0
    """How often Kafka has refused it alone."""
    failures: int = 0
    """How often it has failed. Each time, it waits longer."""


class KafkaSink:
    """Producer of the raw topic, for many concurrent senders.

    It goes on by itself after an outage of Kafka: until then, :meth:`send` waits. It bounds no
    memory: the callers do, with :attr:`unavailable_reason` and :attr:`pending_bytes`.
    """

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._topic = TopicNames(settings.topic_prefix).raw
        self._producer: AIOKafkaProducer | None = None
        self._opened = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._deliveries: dict[asyncio.Task[None], _Delivery] = {}
        """The oldest first."""
        self._pending_bytes = 0
        self._failures = 0
        """Producers that failed in a row, without an acknowledgement in between."""
        self._problem: str | None = f"there is no connection to Kafka at {bootstrap} yet"
        self._acknowledged = -math.inf
        """When the latest acknowledgement came."""
        self._next_replacement = -math.inf
        """When a producer may be replaced again whose records were refused."""
        self._batch_bytes = BATCH_BYTES
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Connect, and create the raw topic if it is missing. If Kafka does not answer, the sink
        goes on trying in the background.

        Raises:
            RightsError, TopicsError, ConfigurationError: an operator must act.
        """
        try:
            await self._open()
        except BrokerUnavailableError as error:
            self._problem = str(error)
            _warn(f"{error}; waiting for it")
            self._reopen()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def start_unless(self, stop: asyncio.Event) -> bool:
        """:meth:`start`. False: ``stop`` was set before it had ended."""
        starting, stopped = asyncio.ensure_future(self.start()), asyncio.ensure_future(stop.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not starting.done():
            abandon(starting)
            return False
        starting.result()
        return True

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Wait for the acknowledgement of all records, for at most so long. Senders that still wait
        then get :class:`KafkaAwayError`.
        """
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=seconds)
        self._stopped.set()
        ending = set(self._closing)
        if self._opening is not None:
            abandon(self._opening)
            ending.add(self._opening)
        self._opened.set()
        if (producer := self._producer) is not None:
            self._producer = None
            ending.add(asyncio.ensure_future(self._retire(producer)))
        if remaining := {*self._deliveries, *ending}:
            await asyncio.wait(remaining, timeout=CLOSE_SECONDS + END_SECONDS)

    @property
    def unavailable_reason(self) -> str | None:
        """Why Kafka takes no records at the moment, for readiness; None: it does."""
        if self._problem is not None:
            return self._problem
        due = (each.started for each in self._deliveries.values() if not each.failures)
        if (oldest := next(due, None)) is None:
            return None
        age = time.monotonic() - max(oldest, self._acknowledged)
        if age <= SLOW_SECONDS:
            return None
        return f"Kafka at {self._bootstrap} has not acknowledged a record for {age:.0f} s"

    @property
    def pending_bytes(self) -> int:
        """Bytes of all records that are not acknowledged, even if their sender waits no more."""
        return self._pending_bytes

    async def send(self, record: RawRecord) -> None:
        """Write a record. Returns when all replicas in sync have it.

        If the caller is cancelled, the record is written all the same, unless the sink is stopped.

        Raises:
            RecordTooLargeError: Kafka takes no record of this size.
            RecordRefusedError: Kafka does not take this record, and takes others.
            KafkaAwayError: the sink has stopped; the record may have been written.
        """
        await asyncio.shield(self.begin(record))

    def begin(self, record: RawRecord) -> asyncio.Task[None]:
        """:meth:`send`, as a task that the caller must not cancel. Costs less for many records.

        Raises:
            RecordTooLargeError: as does the task.
        """
        size = _size(record)
        if size > EVENT_RECORD_BYTES:
            raise self._too_large(size)
        delivery = _Delivery(size, time.monotonic())
        task = asyncio.ensure_future(self._deliver(record, delivery))
        self._deliveries[task] = delivery
        self._pending_bytes += size
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._pending_bytes -= self._deliveries.pop(task).size
        if not task.cancelled():
            task.exception()  # mark it as retrieved: its sender may wait no more

    async def _deliver(self, record: RawRecord, delivery: _Delivery) -> None:
        while True:
            delivery.producer = None
            if delivery.failures:
                await self._rest(pause_seconds(delivery.failures))
            delivery.producer = producer = await self._next_producer()
            try:
                await self._write(producer, record, alone=delivery.is_alone)
            except (KafkaError, OSError) as error:
                self._failed(delivery, producer, error)
            except asyncio.CancelledError:
                if delivery.is_forsaken:
                    delivery.is_forsaken = False
                    _uncancel()
                elif is_cancelled():
                    raise
                else:  # the client has cancelled its own request
                    self._replace(producer, None)
            else:
                self._acknowledged = time.monotonic()
                if producer is self._producer:
                    self._problem = None
                    self._failures = 0
                return

    def _failed(
        self, delivery: _Delivery, producer: AIOKafkaProducer, error: KafkaError | OSError
    ) -> None:
        """Decide what follows when a record was not acknowledged.

        Raises:
            RecordTooLargeError, RecordRefusedError: nothing: it is not sent again.
        """
        if isinstance(error, KafkaTimeoutError):
            return  # no room in the producer: the record was not taken
        if not isinstance(error, _TOO_LARGE):
            delivery.failures += 1
        if isinstance(error, _NO_LEADER):
            return
        if not isinstance(error, (*_TOO_LARGE, *_REFUSED)):
            self._replace(producer, error)
            return
        # The broker does not tell which record of a batch it refuses. The producer has counted the
        # batch, so that the broker will refuse its next ones.
        self._replace(producer, None)
        if not delivery.is_alone and delivery.size <= self._batch_bytes:
            delivery.is_alone = True
        elif isinstance(error, _TOO_LARGE):
            raise self._too_large(delivery.size) from None
        else:
            delivery.refusals += 1
            if delivery.refusals >= REFUSALS:
                raise RecordRefusedError(
                    f"{self._topic} takes others, but not this record ({describe(error)}); look at "
                    "the topic's settings and at the brokers' logs"
                ) from None

    async def _rest(self, seconds: float) -> None:
        """Sleep, or less if the sink stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    async def _next_producer(self) -> AIOKafkaProducer:
        while not self._stopped.is_set():
            await self._opened.wait()
            if self._producer is not None and not self._stopped.is_set():
                return self._producer
        raise KafkaAwayError(f"Kafka at {self._bootstrap} did not acknowledge a record")

    async def _write(self, producer: AIOKafkaProducer, record: RawRecord, *, alone: bool) -> None:
        """Write a record with a producer, alone in its batch or with others."""
        if not alone:
            await (
                await producer.send(
                    self._topic, record.value, key=record.key, headers=list(record.headers)
                )
            )
            return
        partitions = await producer.partitions_for(self._topic)
        batch = producer.create_batch()
        batch.append(
            timestamp=None, key=record.key, value=record.value, headers=list(record.headers)
        )
        batch.close()
        partition = partitioner(len(partitions))(record.key)
        await (await producer.send_batch(batch, self._topic, partition=partition))

    def _too_large(self, size: int) -> RecordTooLargeError:
        return RecordTooLargeError(
            f"{self._topic} takes no record of {size} bytes; raise its max.message.bytes to "
            f"{EVENT_RECORD_BYTES}"
        )

    def _replace(self, failed: AIOKafkaProducer, error: BaseException | None) -> None:
        """Use another producer instead of one that has failed, unless that has happened already.

        Args:
            error: None: Kafka is well.
        """
        if self._producer is not failed:
            return
        self._producer = None
        self._opened.clear()
        pause = 0.0
        if error is None:
            pause = max(self._next_replacement - time.monotonic(), 0)
            self._next_replacement = time.monotonic() + pause + LEAST_SECONDS
        else:
            self._problem = f"Kafka at {self._bootstrap} refuses records ({describe(error)})"
            self._failures += 1
            _warn(f"{self._problem}; trying again with another producer")
        closing = asyncio.ensure_future(self._retire(failed))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._reopen(pause)

    async def _retire(self, producer: AIOKafkaProducer) -> None:
        """Close a producer. A record that it has not answered for is sent with another one.

        A batch that comes while a producer closes is forgotten
        (``aiokafka/producer/message_accumulator.py:590``): its answer would never come.
        """
        try:
            await _close(producer)
        except Exception:
            log.exception("a producer cannot be closed; its records are sent with another one")
        finally:
            for task, delivery in self._deliveries.items():
                if delivery.producer is producer and not task.done():
                    delivery.is_forsaken = True
                    task.cancel()

    def _reopen(self, pause: float = 0) -> None:
        self._opening = asyncio.ensure_future(self._open_at_last(pause))

    async def _open_at_last(self, pause: float) -> None:
        await asyncio.sleep(pause)
        reminded = -math.inf
        while not self._stopped.is_set():
            await asyncio.sleep(pause_seconds(self._failures))
            try:
                await self._open()
                return
            except Exception as error:
                self._failures += 1
                self._problem = str(error) if isinstance(error, RollcallError) else describe(error)
                if time.monotonic() - reminded > REMINDER_SECONDS:
                    reminded = time.monotonic()
                    if isinstance(error, (RollcallError, KafkaError, OSError)):
                        _warn(f"{self._problem}; waiting for it")
                    else:
                        log.exception("there is no new producer; trying again")

    async def _open(self) -> None:
        """Check the topic, and start a producer."""
        settings, bootstrap = self._settings, self._bootstrap
        try:
            await promptly(check_rights(settings, bootstrap, ingest_rights(settings)))
            findings = await promptly(
                ensure_topics(settings, bootstrap, [plan_raw_topic(settings)]), OPENING_SECONDS
            )
            limit = min_record_bytes(finding.limits for finding in findings)
            self._batch_bytes = min(BATCH_BYTES, limit * 7 // 8)
            producer = self._new_producer(self._batch_bytes)
            try:
                await promptly(producer.start())
            except BaseException:
                await _close(producer)
                raise
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
            raise BrokerUnavailableError(
                f"Kafka at {bootstrap} does not answer ({type(error).__name__}); look at the "
                "brokers' logs, or check ROLLCALL_KAFKA"
            ) from error
        if self._stopped.is_set():
            await _close(producer)
            return
        self._producer = producer
        self._problem = None
        self._opened.set()

    def _new_producer(self, batch_bytes: int) -> AIOKafkaProducer:
        """A producer. A record above ``batch_bytes`` is alone in its batch."""
        return AIOKafkaProducer(
            **client_options(self._settings, self._bootstrap),
            acks="all",
            enable_idempotence=True,
            linger_ms=LINGER_MS,
            compression_type="zstd",
            max_batch_size=batch_bytes,
            max_request_size=2 * EVENT_RECORD_BYTES,  # _size limits records
            partitioner=_partition,
        )


def pause_seconds(failures: int) -> float:
    """Pause before an attempt after so many failed ones, with jitter."""
    if not failures:
        return 0.0
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 30), MOST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def _warn(text: str) -> None:
    """Log a text that is a template of its own: the log leaves out repetitions of a template."""
    log.warning(text)


def _size(record: RawRecord) -> int:
    return (
        len(record.key)
        + len(record.value)
        + sum(len(name) + len(content or b"") + 4 for name, content in record.headers)
    )


def _uncancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()


_partitioner = lru_cache(maxsize=4)(partitioner)


def _partition(key: bytes, partitions: Sequence[int], _available: Sequence[int]) -> int:
    return _partitioner(len(partitions))(key)


async def _close(producer: AIOKafkaProducer) -> None:
    """Close a producer. Its records are acknowledged, or fail, within the time limit."""
    with contextlib.suppress(KafkaError):
        try:
            await promptly(producer.stop(), CLOSE_SECONDS)
        except (TimeoutError, OSError):
            await terminate(producer)
