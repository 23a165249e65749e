"""How a streaming application stands: asked of the cluster and of the consumer every second, from
the first moment on.
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
"""How often lag is measured."""

LOST_SECONDS = 30.0
"""So long may a consumer that has partitions be without the coordinator of its group, while the
cluster answers others.
"""

ANSWERED_SECONDS = 5.0
"""A cluster that answered so recently answers."""

MEASURE_SECONDS = 10.0
"""How long the cluster may take to answer."""

SILENT_SECONDS = 120.0
"""Without an answer for so long, all clients are made anew: a client of aiokafka knows the brokers'
addresses from its start on, and asks nobody else.
"""


STILL_SECONDS = 5.0
"""When a partition that should move has not done so for as long, a topic may be gone."""


class TopicsGoneError(RollcallError):
    """Topics that are written were deleted while the process ran."""


class StreamingError(RollcallError):
    """The process had to stop; nothing that was not written is committed."""


class Membership(Enum):
    """How a process stands in its consumer group."""

    NEW = "the consumer group has not given this process its partitions yet"
    REBALANCING = "the consumer group is sharing its partitions out anew"
    COORDINATOR_AWAY = (
        "the coordinator of the consumer group is away; this process keeps its "
        "partitions, and consumes them as far as it can"
    )
    JOINED = "the consumer group has given this process its partitions"


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How one input partition stands."""

    agent: str
    tp: TP
    state: LaneState
    halt_reason: str | None
    committed: int | None
    lag: int | None
    """High watermark minus committed offset; None until first measured."""
    oldest_pending: int | None
    """Timestamp (ms) of the first record that was read and is not committed."""
    restoring: int | None
    """While the table is loaded: how many records are left, at most."""
    unfinished: int
    """How much the handler has still to do that needs no further input."""


class Survey:
    """Looks every second, and ends with an error when the application cannot go on.

    Args:
        group: the consumer group.
        servers: the bootstrap servers, for messages.
        inputs: the topics that are read.
        outputs: those that are written.
        watchdog: told of everything that should move.
        patience: seconds that the group may take to share its partitions out.
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
        patience: float,
        on_survey: Callable[[list[PartitionStatus]], None],
    ) -> None:
        self._group = group
        self._servers = servers
        self._lanes = lanes
        self._offsets = offsets
        self._inputs = frozenset(inputs)
        self._outputs = frozenset(outputs)
        self._watchdog = watchdog
        self._patience = patience
        self._on_survey = on_survey
        self._bounds: dict[TP, Bounds] = {}
        self._member = True
        self._apart_since: float | None = None
        self._silent_since: float | None = None
        self.gone: list[str] = []
        """Topics that are read and are not there."""
        self.answered_at: float | None = None
        """When the cluster last answered anything (monotonic seconds)."""
        self.unmeasured_since: float | None = None
        """Since when it has not told where all inputs end, though it was asked; None: it has."""

    @property
    def membership(self) -> Membership:
        """How the process stands in its group. One that was given no partition, because there are
        more processes than partitions, has joined, too.
        """
        if self._lanes.assigned:
            return Membership.JOINED if self._member else Membership.COORDINATOR_AWAY
        return Membership.REBALANCING if self._lanes.assigned_once else Membership.NEW

    @property
    def statuses(self) -> list[PartitionStatus]:
        """How the assigned partitions stand."""
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
        """Look, until something is wrong.

        Args:
            consumer: gives the consumer.

        Raises:
            BrokerUnavailableError: the clients' brokers have not answered for
                :data:`SILENT_SECONDS`, or half of the watchdog's time if that is less.
            TopicsGoneError: partitions stand still, and topics that are written are not there.
            OpenFilesError: connections cannot be made for want of files.
            StreamingError: the consumer cannot be, or stay, a member of its group.
        """
        looks = [
            asyncio.ensure_future(look)
            for look in (
                self._measure(),
                self._report(),
                self._check(consumer),
                self._look_for_topics(),
            )
        ]
        try:
            await asyncio.gather(*looks)
        finally:
            for look in looks:
                look.cancel()

    async def _measure(self) -> None:
        """Ask the cluster where the inputs end, for as long as the process lives, also when nothing
        moves.
        """
        while True:
            begun = time.monotonic()
            partitions = [tp for lane in self._lanes for tp in lane.inputs]
            measured = (
                await self._answered(self._look_at_bounds(partitions)) if partitions else False
            )
            self.unmeasured_since = (
                None if measured or not partitions else self.unmeasured_since or begun
            )
            # of one partition there may be no leader
            if not measured and not await self._answered(self._offsets.reach()):
                self._silent_since = self._silent_since or begun
                self._give_up_if_silent()
            await asyncio.sleep(SURVEY_SECONDS)

    async def _look_at_bounds(self, partitions: list[TP]) -> None:
        self._bounds = await self._offsets.bounds(partitions)

    async def _answered(self, question: Coroutine[object, object, None]) -> bool:
        with suppress(KafkaError, OSError, TimeoutError):
            await promptly(question, MEASURE_SECONDS)
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

    async def _look_for_topics(self) -> None:
        """Ask for the topics when there is no partition, or one stands still: a lane waits for the
        leader of a topic that is gone as for any other.
        """
        while True:
            await asyncio.sleep(SURVEY_SECONDS)
            if (
                list(self._lanes)
                and not self.gone
                and self._watchdog.longest_standstill < STILL_SECONDS
            ):
                continue
            with suppress(KafkaError, OSError, TimeoutError):
                absent = await promptly(
                    self._offsets.absent(self._inputs | self._outputs), MEASURE_SECONDS
                )
                # to make them anew is for those who write them
                self.gone = sorted(absent & self._inputs)
                if list(self._lanes) and not absent.isdisjoint(self._outputs):
                    lost = ", ".join(sorted(absent & self._outputs))
                    raise TopicsGoneError(
                        f"partitions stand still, and topics that they write are gone: {lost}"
                    )

    async def _report(self) -> None:
        """Report how things stand, every second, also when the cluster does not answer."""
        while True:
            statuses = self.statuses
            behind: dict[str, object] = {
                f"{status.tp.topic}[{status.tp.partition}] has lag, and nothing of it was "
                "committed": (
                    status.committed,
                    status.restoring,
                    status.unfinished,
                )
                for status in statuses
                if self._has_to_do(status)
            }
            now = time.monotonic()
            self._apart_since = None if self._lanes.assigned else self._apart_since or now
            if self._apart_since is not None and now - self._apart_since > self._patience:
                behind[f"the consumer group {self._group} has given this process no partitions"] = (
                    None
                )
            self._watchdog.beat(behind)
            self._on_survey(statuses)
            await asyncio.sleep(SURVEY_SECONDS)

    def _has_to_do(self, status: PartitionStatus) -> bool:
        """Whether a partition should move. What belongs to transactions that are open cannot be
        read, and is no reason to move.
        """
        if status.state is LaneState.HALTED:
            return False
        if status.state is not LaneState.OPEN or status.committed is None or status.unfinished:
            return True
        bounds = self._bounds.get(status.tp)
        return bounds is not None and bounds.readable_end > status.committed

    async def _check(self, consumer: Callable[[], ChunkConsumer]) -> None:
        """Ask the consumer whether it is a member of its group, and let its failure be this
        process's.
        """
        lost_since: float | None = None
        while True:
            await asyncio.sleep(SURVEY_SECONDS)
            raise_if_exhausted()
            now = time.monotonic()
            answers = self.answered_at is not None and now - self.answered_at < ANSWERED_SECONDS
            lost_since = (
                (lost_since or now)
                if answers and self._lanes.assigned and not self._member
                else None
            )
            if lost_since is not None and now - lost_since > LOST_SECONDS:
                # aiokafka may stand still for ever (kafka/aiokafka_patches.py mends the known way
                # to that). Meanwhile the group has given the partitions to others, and this
                # process, which does not know, would take them back again and again.
                raise StreamingError(
                    f"the cluster answers, but the coordinator of group {self._group} has not "
                    f"been found for {LOST_SECONDS:.0f} s"
                )
            if not consumer().begun:
                continue
            try:
                member = await consumer().check()
                # what is asked before partitions are given says nothing of when they are
                self._member = member or not self._lanes.assigned
            except KafkaError as error:
                raise StreamingError(
                    f"the consumer group {self._group} cannot be joined: {describe(error)}"
                ) from error
