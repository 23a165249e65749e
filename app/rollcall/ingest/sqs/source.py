"""Moves messages from a queue to the sink: receives, writes, deletes.

    poller ──▶ ledger ──▶ sink ──▶ ledger ──▶ deleter
                 ▲ heartbeat

All decisions are the ledger's. An error of SQS ends nothing: each loop tries again, after a pause
that grows.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from rollcall.ingest.metrics import Call, SqsMetrics
from rollcall.ingest.raw_records import RawKeys, RawRecord, sqs_headers
from rollcall.ingest.sink import KafkaAwayError, KafkaSink, RecordRefusedError, pause_seconds
from rollcall.ingest.sqs.client import BatchResult, Message, Queue
from rollcall.ingest.sqs.errors import QueueError, Reason
from rollcall.ingest.sqs.ledger import BATCH, Ledger, Receipt, Reception
from rollcall.settings import Settings

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.2
"""How long a call to delete waits for more messages."""

DELETERS = 4
"""Concurrent calls to delete, and to extend."""

ROOM_SECONDS = 0.1
"""Interval in which a poller that must not receive looks again."""

ANSWER_SECONDS = 10.0
"""A call that receives may take so much longer than it waits."""

EMPTY_PAUSE_SECONDS = 0.5
"""Pause after an empty answer that came long before the wait was over."""

ATTRIBUTES_SECONDS = 60.0
REMINDER_SECONDS = 60.0
"""Interval of log lines while SQS refuses."""

DELETE_PAUSE_SECONDS = 0.5
"""Pause after the queue has refused to delete a message."""

END_SECONDS = 2.4
"""Time limit of the end, besides the open call."""

WRITE_SECONDS, DELETE_SECONDS, RELEASE_SECONDS = 0.8, 0.7, 0.7
"""Times that are left for each step of the end at least."""

_STATES = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}

_T = TypeVar("_T")


class SqsSource:
    """Moves messages until it is stopped. :meth:`run` is called once."""

    def __init__(
        self,
        settings: Settings,
        *,
        queue: Queue,
        sink: KafkaSink,
        keys: RawKeys,
        metrics: SqsMetrics,
    ) -> None:
        self._wait = settings.sqs_wait_seconds
        self._visibility = settings.sqs_visibility_seconds
        self._most_pollers = settings.sqs_pollers
        self._queue = queue
        self._sink = sink
        self._keys = keys
        self._metrics = metrics
        self._ledger = Ledger(self._visibility)
        self._pollers = 1
        """Pollers that may receive now."""
        self._open_polls = 0
        self._writes: set[asyncio.Task[None]] = set()
        self._deletable = asyncio.Event()
        self._no_more_writes = asyncio.Event()
        self._stop = asyncio.Event()
        self._problems: dict[Call, QueueError] = {}
        self._reminded: dict[Call, tuple[Reason, float]] = {}
        self._failures: dict[Call, int] = {}
        """Failed calls in a row."""
        self._received = time.monotonic()
        """When the queue has last answered a call to receive; at first, the start."""
        self._latest_sent_ms: int | None = None
        """When the queue took the oldest message of the last delivery."""
        metrics.in_hand_messages.set_function(lambda: len(self._ledger))
        metrics.in_hand_bytes.set_function(lambda: self._ledger.bytes)
        metrics.oldest_message_seconds.set_function(self._oldest_seconds)

    @property
    def problems(self) -> list[str]:
        """Why the queue is not read, for readiness: what to do, one sentence for each call."""
        return list(dict.fromkeys(str(problem) for problem in self._problems.values()))

    async def run(self, stop: asyncio.Event) -> None:
        """Move messages until ``stop`` is set. Then end the open calls, write and delete what has
        come, and release the rest.
        """
        pollers = [asyncio.create_task(self._poll(number)) for number in range(self._most_pollers)]
        others = [
            asyncio.create_task(work)
            for work in (self._heartbeat(), self._let_go(), self._watch_attributes())
        ]
        deleters = [asyncio.create_task(self._delete()) for _ in range(DELETERS)]
        stopped = asyncio.create_task(stop.wait())
        tasks = {stopped, *pollers, *others, *deleters}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._stop.set()
            for task in done:
                task.result()  # a loop ends by an error in the code only
            await self._finish(pollers, deleters)
        finally:
            for task in (*tasks, *self._writes):
                task.cancel()
            await asyncio.gather(*tasks, *self._writes, return_exceptions=True)

    async def _finish(
        self, pollers: Sequence[asyncio.Task[None]], deleters: Sequence[asyncio.Task[None]]
    ) -> None:
        """End the open calls, write and delete what has come, and release the rest."""
        end = time.monotonic() + self._wait + END_SECONDS

        def left(reserved: float) -> float:
            return max(end - reserved - time.monotonic(), 0)

        await asyncio.wait(pollers, timeout=left(WRITE_SECONDS + DELETE_SECONDS + RELEASE_SECONDS))
        if self._writes:
            await asyncio.wait(self._writes, timeout=left(DELETE_SECONDS + RELEASE_SECONDS))
        self._no_more_writes.set()
        self._deletable.set()
        await asyncio.wait(deleters, timeout=left(RELEASE_SECONDS))
        await self._release(max(left(0), RELEASE_SECONDS))

    async def _poll(self, number: int) -> None:
        """Receive messages as long as there is room. The first poller always does, the others while
        there is a backlog.
        """
        while not self._stop.is_set():
            if number >= self._pollers or not self._may_receive():
                await self._pause(ROOM_SECONDS)
                continue
            self._open_polls += 1
            asked = time.monotonic()
            try:
                messages = await self._try(Call.RECEIVE, self._queue.receive)
            finally:
                self._open_polls -= 1
            if messages is None:
                self._pollers = 1
                await self._pause(pause_seconds(self._failures[Call.RECEIVE]))
            else:
                self._take(messages, asked)
                if not messages and time.monotonic() - asked < self._wait / 2:
                    await self._pause(EMPTY_PAUSE_SECONDS)

    def _may_receive(self) -> bool:
        return self._sink.unavailable_reason is None and self._ledger.has_room(self._open_polls + 1)

    def _take(self, messages: Sequence[Message], asked: float) -> None:
        metrics = self._metrics
        self._received = time.monotonic()
        sent = [message.sent_ms for message in messages if message.sent_ms is not None]
        self._latest_sent_ms = min(sent, default=None)
        if not messages:
            metrics.empty_receives_total.inc()
            self._pollers = max(self._pollers - 1, 1)
            return
        if len(messages) == BATCH:
            self._pollers = min(self._pollers + 1, self._most_pollers)
        metrics.received_total.inc(len(messages))
        metrics.last_received_timestamp_seconds.set_to_current_time()
        for message in messages:
            metrics.event_bytes.observe(len(message.body))
            if message.receives is not None and message.receives > 1:
                metrics.redelivered_total.inc()
            reception = self._ledger.receive(
                message.receipt, size=len(message.body), sent_ms=message.sent_ms, asked=asked
            )
            if reception is Reception.PRODUCE:
                write = asyncio.create_task(self._write(message))
                self._writes.add(write)
                write.add_done_callback(self._written)
                continue
            metrics.known_total.inc()
            if reception is Reception.DELETE:
                self._deletable.set()

    async def _write(self, message: Message) -> None:
        message_id = message.receipt.message_id
        try:
            record = RawRecord(
                self._keys.key(message.body),
                message.body,
                sqs_headers(message_id, message.sent_ms, message.receives),
            )
            await self._sink.send(record)
        except KafkaAwayError:
            pass  # the process ends
        except RecordRefusedError as error:
            self._metrics.refused_total.inc()
            if self._ledger.refused(message_id):
                log.warning(
                    "%s; the message stays in the queue", error, extra={"message_id": message_id}
                )
        except Exception:
            self._ledger.dropped(message_id)  # the queue delivers it again
            raise
        else:
            self._metrics.produced_total.inc()
            self._ledger.produced(message_id)
            self._deletable.set()

    def _written(self, write: asyncio.Task[None]) -> None:
        self._writes.discard(write)
        if not write.cancelled() and (error := write.exception()) is not None:
            # not its text, which may contain parts of the message
            log.error(
                "a message cannot be written (%s); it stays in the queue", type(error).__name__
            )

    async def _delete(self) -> None:
        """Delete what Kafka has acknowledged, several messages with a call."""
        while not self._no_more_writes.is_set() or self._ledger.deletable:
            await self._deletable.wait()
            if self._ledger.deletable < BATCH:
                await self._pause(GATHER_SECONDS)
            if not (batch := self._ledger.to_delete()):
                if self._no_more_writes.is_set():
                    return
                self._deletable.clear()
                continue
            answered = await self._delete_batch(batch)
            if self._stop.is_set() and not answered:
                return
            self._deletable.set()  # another deleter may have found nothing meanwhile

    async def _delete_batch(self, batch: Sequence[Receipt]) -> bool:
        """Returns whether the queue has answered."""
        try:
            result = await self._try(Call.DELETE, lambda: self._queue.delete(batch))
        except asyncio.CancelledError:
            self._ledger.postponed(batch)
            raise
        if result is None:
            self._ledger.postponed(batch)
            await self._pause(pause_seconds(self._failures[Call.DELETE]))
            return False
        for receipt in result.done:
            self._ledger.deleted(receipt)
        self._metrics.deleted_total.inc(len(result.done))
        if result.failed:
            self._metrics.delete_failures_total.inc(len(result.failed))
            for receipt, code in result.failed:
                if not self._ledger.not_deleted(receipt):
                    log.warning(
                        "the queue does not delete a message (%s); it will deliver it again",
                        code,
                        extra={"message_id": receipt.message_id},
                    )
            await self._pause(DELETE_PAUSE_SECONDS)
        return True

    async def _heartbeat(self) -> None:
        """Keep what is in hand invisible."""
        visibility = self._visibility
        while not self._stop.is_set():
            pause = max(visibility / 20, pause_seconds(self._failures.get(Call.EXTEND, 0)))
            await self._pause(min(pause, visibility / 4))
            await self._extend_all(self._ledger.to_extend(time.monotonic()))
            if self._ledger.unproduced == len(self._ledger):
                self._settle(Call.DELETE)

    async def _extend_all(self, due: Sequence[Receipt]) -> None:
        """Extend messages. When a call fails, the others are left to the next round."""
        batches = [due[start : start + BATCH] for start in range(0, len(due), BATCH)]
        turns = asyncio.Semaphore(DELETERS)

        async def extend_next(batch: Sequence[Receipt]) -> None:
            async with turns:
                if not self._failures[Call.EXTEND]:
                    await self._extend(batch)

        if not batches:
            self._settle(Call.EXTEND)
        elif await self._extend(batches[0]):
            await asyncio.gather(*map(extend_next, batches[1:]))

    async def _extend(self, batch: Sequence[Receipt]) -> bool:
        """Returns whether the queue has answered."""
        asked = time.monotonic()
        result = await self._try(
            Call.EXTEND, lambda: self._queue.set_visibility(batch, self._visibility)
        )
        if result is None:
            return False
        for receipt in result.done:
            self._ledger.extended(receipt, asked)
        self._metrics.extended_total.inc(len(result.done))
        self._metrics.extend_failures_total.inc(len(result.failed))
        return True

    async def _let_go(self) -> None:
        """Let go what Kafka does not take for too long."""
        while not self._stop.is_set():
            await self._pause(self._visibility / 20)
            if ids := self._ledger.let_go(time.monotonic()):
                self._metrics.let_go_total.inc(len(ids))
                log.warning(
                    "Kafka has not acknowledged messages for too long; they are left to the queue",
                    extra={"messages": len(ids)},
                )

    async def _release(self, seconds: float) -> None:
        """Make what was not written visible again at once."""
        receipts = list(self._ledger.to_release())
        if not receipts:
            return
        batches = [receipts[start : start + BATCH] for start in range(0, len(receipts), BATCH)]
        released: Awaitable[list[BatchResult | None]] = asyncio.gather(
            *(
                self._try(Call.EXTEND, lambda batch=batch: self._queue.set_visibility(batch, 0))  # type: ignore[misc]
                for batch in batches
            )
        )
        try:
            async with asyncio.timeout(seconds):
                await released
        except TimeoutError:
            log.warning("SQS does not answer: messages are delivered again after their visibility")
        self._metrics.let_go_total.inc(len(receipts))
        log.info("messages that were not written are released", extra={"messages": len(receipts)})

    async def _watch_attributes(self) -> None:
        """Measure the queue's depth. Without the right to do so, it is unknown."""
        while not self._stop.is_set():
            try:
                attributes = await self._queue.attributes()
            except QueueError as error:
                self._metrics.call_failures_total.labels(Call.ATTRIBUTES, error.reason).inc()
                attributes = {}  # the retention remains: an alert compares with it
            for name, state in _STATES.items():
                self._metrics.queue_messages.labels(state).set(float(attributes.get(name, "nan")))
            if (retention := attributes.get("MessageRetentionPeriod")) is not None:
                self._metrics.retention_seconds.set(float(retention))
            await self._pause(ATTRIBUTES_SECONDS)

    async def _try(self, call: Call, work: Callable[[], Awaitable[_T]]) -> _T | None:
        """The result of a call; None if it failed, which is counted and reported."""
        try:
            result = await work()
        except QueueError as error:
            self._problems[call] = error
            self._failures[call] = self._failures.get(call, 0) + 1
            self._metrics.call_failures_total.labels(call, error.reason).inc()
            reason, reminded = self._reminded.get(call, (None, -math.inf))
            if reason is not error.reason or time.monotonic() - reminded > REMINDER_SECONDS:
                self._reminded[call] = error.reason, time.monotonic()
                log.warning(str(error), extra={"call": call.value, "reason": error.reason.value})
            return None
        if self._settle(call):
            log.info("SQS answers again", extra={"call": call.value})
        return result

    def _settle(self, call: Call) -> bool:
        """A call has succeeded, or there is nothing left to call for. Returns whether it had
        failed.
        """
        self._failures[call] = 0
        self._reminded.pop(call, None)
        return self._problems.pop(call, None) is not None

    async def _pause(self, seconds: float) -> None:
        """Sleep, or less if the process stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    def _oldest_seconds(self) -> float:
        sent = [
            moment
            for moment in (self._ledger.oldest_sent_ms, self._latest_sent_ms)
            if moment is not None
        ]
        age = max(time.time() - min(sent) / 1000, 0.0) if sent else 0.0
        # What has come meanwhile is not known, and may be as old as that.
        silence = time.monotonic() - self._received
        return age if silence < 2 * (self._wait + ANSWER_SECONDS) else max(age, silence)
