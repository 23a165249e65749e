"""Survey of a streaming application: state of the cluster and of the consumer, every second from
the start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from aiokafka.errors import KafkaError
from faust.types import TP

from rollcall.errors import BrokerUnavailableError, RollcallError, describe
from rollcall.kafka.bounded import promptly
from rollcall.open_files import raise_if_exhausted
from rollcall.streaming.faust.transport import ChunkConsumer
from rollcall.streaming.lane import LaneState
from rollcall.streaming.lanes import Lanes
from rollcall.streaming.offsets import Bounds, Offsets
from rollcall.streaming.watchdog import Watchdog

SURVEY_SECONDS = 1.0
"""Interval of measurements."""

COORDINATOR_LOST_SECONDS = 30.0
"""How long a consumer with partitions may be without its group's coordinator while the cluster
answers other requests.
"""

RECENT_ANSWER_SECONDS = 5.0
"""A cluster counts as answering for this long after an answer."""

MEASURE_SECONDS = 10.0
"""Time limit for an answer of the cluster."""

SILENT_SECONDS = 120.0
"""Without an answer for this long, all clients are replaced: an aiokafka client keeps the broker
addresses from its start.
"""


STANDSTILL_SECONDS = 5.0
"""After a standstill of this length, topics are checked for existence."""


class TopicsGoneError(RollcallError):
    """Output topics were deleted while the process ran."""


class StreamingError(RollcallError):
    """The process had to stop; nothing is committed that was not written."""


class Membership(Enum):
    """State of a process in its consumer group, in words for people."""

    NEW = "the consumer group has not given this process its partitions yet"
    REBALANCING = "the consumer group is sharing its partitions out anew"
    COORDINATOR_AWAY = (
        "the coordinator of the consumer group is away; this process keeps its "
        "partitions, and consumes them as far as it can"
    )
    JOINED = "the consumer group has given this process its partitions"


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """Status of one input partition."""

    agent: str
    tp: TP
    state: LaneState
    halt_reason: str | None
    committed: int | None
    lag: int | None
    """High watermark minus committed offset; None until first measured."""
    oldest_pending: int | None
    """Timestamp (ms) of the first record that is read and not committed."""
    restoring: int | None
    """Maximum number of changelog records left to load, while the table is loading."""
    unfinished: int
    """Amount of the handler's work that needs no further input."""


class Survey:
    """Measures every second, and fails if the application cannot continue.

    Args:
        group: the consumer group.
        servers: the bootstrap servers, for messages.
        inputs: topics that are read.
        outputs: topics that are written.
        watchdog: gets the position of everything that should move.
        rebalance_timeout: seconds that a rebalance may take.
        on_survey: called every second with the status of all assigned partitions.
    """

    def __init__(
        self,
        *,
        group: str,
        servers: str,
        lanes: Lanes,
        offsets: Offsets,
        inputs: Collection[str],
        outputs: Collection[str],
        watchdog: Watchdog,
        rebalance_timeout: float,
        on_survey: Callable[[list[PartitionStatus]], None],
    ) -> None:
        self._group = group
        self._servers = servers
        self._lanes = lanes
        self._offsets = offsets
        self._inputs = frozenset(inputs)
        self._outputs = frozenset(outputs)
        self._watchdog = watchdog
        self._rebalance_timeout = rebalance_timeout
        self._on_survey = on_survey
        self._bounds: dict[TP, Bounds] = {}
        self._member = True
        self._unassigned_since: float | None = None
        self._silent_since: float | None = None
        self.missing_inputs: list[str] = []
        """Input topics that do not exist."""
        self.answered_at: float | None = None
        """Time of the cluster's last answer (monotonic seconds)."""
        self.unmeasured_since: float | None = None
        """Since when the ends of the inputs could not be measured; None: they could."""

    @property
    def membership(self) -> Membership:
        """State of the process in its group. A process that got no partition, because there are
        more processes than partitions, has joined, too.
        """
        if self._lanes.assigned:
            return Membership.JOINED if self._member else Membership.COORDINATOR_AWAY
        return Membership.REBALANCING if self._lanes.assigned_once else Membership.NEW

    @property
    def statuses(self) -> list[PartitionStatus]:
        """Status of the assigned partitions."""
        statuses = []
        for lane in self._lanes:
            for tp in sorted(lane.inputs):
                committed, bounds = lane.committed.get(tp), self._bounds.get(tp)
                lag = (
                    None if committed is None or bounds is None else max(bounds.end - committed, 0)
                )
                halt_reason = lane.halted.reason if lane.halted else None
                statuses.append(
                    PartitionStatus(
                        lane.agent.name,
                        tp,
                        lane.state,
                        halt_reason,
                        committed,
                        lag,
                        lane.oldest_pending,
                        lane.restoring,
                        lane.unfinished,
                    )
                )
        return statuses

    async def run(self, consumer: Callable[[], ChunkConsumer]) -> None:
        """Survey until something fails.

        Args:
            consumer: returns the consumer.

        Raises:
            BrokerUnavailableError: the clients' brokers have not answered for
                :data:`SILENT_SECONDS`, or half of the watchdog's limit if that is less.
            TopicsGoneError: partitions stand still, and output topics do not exist.
            OpenFilesError: connections fail because of the limit of open files.
            StreamingError: the consumer cannot join its group, or has lost it.
        """
        tasks = [
            asyncio.ensure_future(task)
            for task in (
                self._measure(),
                self._report(),
                self._check_membership(consumer),
                self._check_topics(),
            )
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _measure(self) -> None:
        """Measure the ends of the inputs, even while nothing moves."""
        while True:
            started = time.monotonic()
            partitions = [tp for lane in self._lanes for tp in lane.inputs]
            measured = (
                await self._succeeds(self._measure_bounds(partitions)) if partitions else False
            )
            self.unmeasured_since = (
                None if measured or not partitions else self.unmeasured_since or started
            )
            # a partition may have no leader
            if not measured and not await self._succeeds(self._offsets.ping()):
                self._silent_since = self._silent_since or started
                self._give_up_if_silent()
            await asyncio.sleep(SURVEY_SECONDS)

    async def _measure_bounds(self, partitions: list[TP]) -> None:
        self._bounds = await self._offsets.bounds(partitions)

    async def _succeeds(self, request: Coroutine[object, object, None]) -> bool:
        with suppress(KafkaError, OSError, TimeoutError):
            await promptly(request, MEASURE_SECONDS)
            self.answered_at, self._silent_since = time.monotonic(), None
            return True
        return False

    def _give_up_if_silent(self) -> None:
        limit = (
            SILENT_SECONDS
            if self._watchdog.limit <= 0
            else min(SILENT_SECONDS, self._watchdog.limit / 2)
        )
        assert self._silent_since is not None
        if time.monotonic() - self._silent_since > limit:
            raise BrokerUnavailableError(
                f"the brokers that Kafka at {self._servers} named have not answered for "
                f"{limit:.0f} s; all connections are made anew from ROLLCALL_KAFKA"
            )

    async def _check_topics(self) -> None:
        """Check that the topics exist while there is no partition, or one stands still: a lane
        waits for the leader of a deleted topic as for any other leader.
        """
        while True:
            await asyncio.sleep(SURVEY_SECONDS)
            if (
                list(self._lanes)
                and not self.missing_inputs
                and self._watchdog.longest_standstill < STANDSTILL_SECONDS
            ):
                continue
            with suppress(KafkaError, OSError, TimeoutError):
                missing = await promptly(
                    self._offsets.missing_topics(self._inputs | self._outputs), MEASURE_SECONDS
                )
                # their producers create them again
                self.missing_inputs = sorted(missing & self._inputs)
                if list(self._lanes) and not missing.isdisjoint(self._outputs):
                    lost = ", ".join(sorted(missing & self._outputs))
                    raise TopicsGoneError(
                        f"partitions stand still, and topics that they write are gone: {lost}"
                    )

    async def _report(self) -> None:
        """Report the status every second, even if the cluster does not answer."""
        while True:
            statuses = self.statuses
            progress: dict[str, object] = {
                f"{status.tp.topic}[{status.tp.partition}] has lag, and nothing of it was "
                "committed": (
                    status.committed,
                    status.restoring,
                    status.unfinished,
                )
                for status in statuses
                if self._has_work(status)
            }
            now = time.monotonic()
            self._unassigned_since = None if self._lanes.assigned else self._unassigned_since or now
            if (
                self._unassigned_since is not None
                and now - self._unassigned_since > self._rebalance_timeout
            ):
                progress[
                    f"the consumer group {self._group} has given this process no partitions"
                ] = None
            self._watchdog.beat(progress)
            self._on_survey(statuses)
            await asyncio.sleep(SURVEY_SECONDS)

    def _has_work(self, status: PartitionStatus) -> bool:
        """Whether a partition should move. Records of open transactions do not count: they cannot
        be read.
        """
        if status.state is LaneState.HALTED:
            return False
        if status.state is not LaneState.OPEN or status.committed is None or status.unfinished:
            return True
        bounds = self._bounds.get(status.tp)
        return bounds is not None and bounds.readable_end > status.committed

    async def _check_membership(self, consumer: Callable[[], ChunkConsumer]) -> None:
        """Check the consumer's membership and errors."""
        lost_since: float | None = None
        while True:
            await asyncio.sleep(SURVEY_SECONDS)
            raise_if_exhausted()
            now = time.monotonic()
            answers = (
                self.answered_at is not None and now - self.answered_at < RECENT_ANSWER_SECONDS
            )
            lost_since = (
                (lost_since or now)
                if answers and self._lanes.assigned and not self._member
                else None
            )
            if lost_since is not None and now - lost_since > COORDINATOR_LOST_SECONDS:
                # aiokafka may wait for ever (kafka/patches/connections.py fixes the known case).
                # Meanwhile the group has given the partitions to others. This process does not
                # know, and would take them back again and again.
                raise StreamingError(
                    f"the cluster answers, but the coordinator of group {self._group} has not "
                    f"been found for {COORDINATOR_LOST_SECONDS:.0f} s"
                )
            if not consumer().has_started:
                continue
            try:
                member = await consumer().check_membership()
                # without an assignment the answer means nothing
                self._member = member or not self._lanes.assigned
            except KafkaError as error:
                raise StreamingError(
                    f"the consumer group {self._group} cannot be joined: {describe(error)}"
                ) from error
