"""Builds the process of the roster application: checks topics and connects the stages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from aiokafka.errors import KafkaError
from faust.types import TP
from prometheus_client import CollectorRegistry

from rollcall.errors import BrokerUnavailableError, RollcallError
from rollcall.events.outcomes import DeadLetter, ErrorCode
from rollcall.events.registry import REGISTRY
from rollcall.kafka.client import client_options
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.rights import check_rights
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.kafka.topics import TimestampWindow, TopicFinding, min_record_bytes
from rollcall.process.breaker import Breaker, BreakerPolicy
from rollcall.process.dead_letter_records import bounded_dead_letter
from rollcall.process.event_types import require_selected
from rollcall.process.metrics import UNKNOWN_NAME, RosterMetrics
from rollcall.process.stream import StreamProcess, Work, barrier_topic_of
from rollcall.record import TRACE_HEADERS, Record, encode_headers
from rollcall.rosters.registry import stages, stages_by_event
from rollcall.rosters.topics import RosterTopics, plan_roster_topics, roster_topics, rosters_rights
from rollcall.settings import Settings
from rollcall.streaming.chunks import Chunk, ChunkAgent, Outputs
from rollcall.streaming.lane import LaneState
from rollcall.streaming.offsets import Offsets
from rollcall.streaming.rows import Rows
from rollcall.streaming.stages.keyed import KeyedPartition, StageContext, StageResult
from rollcall.streaming.stages.stage import Stage, UnusableError
from rollcall.streaming.survey import PartitionStatus

DEFAULT_PORT = 9102

DEFAULT_GATHER_SECONDS = 0.1
"""Each stage and partition has a lane, and each transaction costs milliseconds of CPU time
regardless of its size. At 5,000 events/s, the process used 93 % of a core with the router's 0.03 s,
and 69 % with this value.
"""

COORDINATOR_SECONDS = 30.0
"""Time limit for the group's coordinator to become available."""


class RostersLostError(RollcallError):
    """Topics of earlier work are missing."""


def new_rosters(settings: Settings, bootstrap: str) -> StreamProcess:
    """Build the roster application.

    Raises:
        ConfigurationError: an event type that it reads is not selected.
    """
    require_selected(settings, stages_by_event(), "rosters")
    all_stages = stages(settings.shard)
    metrics = RosterMetrics(CollectorRegistry(), [stage.name for stage in all_stages], REGISTRY)

    async def prepare() -> Work:
        await check_rights(settings, bootstrap, rosters_rights(settings))
        plans = plan_roster_topics(settings)
        topics = await ensure_topics(
            settings,
            bootstrap,
            plans,
            before_creating=lambda missing: _refuse_missing(settings, bootstrap, missing),
        )
        return _new_work(settings, all_stages, metrics, topics)

    return StreamProcess(
        settings,
        bootstrap,
        name="rosters",
        rights=rosters_rights(settings),
        default_port=DEFAULT_PORT,
        default_gather=DEFAULT_GATHER_SECONDS,
        prepare=prepare,
        metrics=metrics,
        gauges={metrics.breaker_open: lambda status: status.state is LaneState.HALTED},
        on_survey=lambda process, statuses: _update_table_metrics(metrics, process, statuses),
    )


async def _refuse_missing(settings: Settings, bootstrap: str, missing: set[str]) -> None:
    """Refuse to create a stage's table or outputs anew after the stage has read its inputs. An
    empty table would not match the published rows, and an empty output would lack rows of the
    table.

    Raises:
        RostersLostError: a stage has committed offsets, and its table or one of its outputs is
            missing.
    """
    names = roster_topics(settings)
    deadline = time.monotonic() + COORDINATOR_SECONDS
    async with Offsets(names.group, client_options(settings, bootstrap)) as offsets:

        async def has_read(inputs: Sequence[TP]) -> bool:
            while True:
                try:
                    return any(
                        known.offset is not None
                        for known in (await offsets.committed(inputs)).values()
                    )
                except KafkaError as error:
                    # a new cluster creates the topic of offsets now
                    if time.monotonic() > deadline:
                        raise BrokerUnavailableError(
                            f"the offsets of group {names.group} cannot be read "
                            f"({type(error).__name__})"
                        ) from None
                    await asyncio.sleep(0.2)

        for stage in stages(settings.shard):
            gone = sorted(missing & {names.changelog(stage), *map(names.full, stage.outputs)})
            inputs = [
                TP(topic, partition)
                for topic in map(names.full, stage.inputs)
                if topic not in missing
                for partition in range(settings.partitions)
            ]
            if gone and inputs and await has_read(inputs):
                raise RostersLostError(
                    f"{', '.join(gone)} is gone, and its inputs are not read again; "
                    "rebuild the rosters (docs/operations.md)"
                )


def _new_work(
    settings: Settings,
    all_stages: Sequence[Stage],
    metrics: RosterMetrics,
    topics: Sequence[TopicFinding],
) -> Work:
    """The work of the process on checked topics."""
    names = roster_topics(settings)
    barrier = barrier_topic_of(topics, names.group)
    limits = [finding.limits for finding in topics if finding.plan.name != barrier.name]
    max_record_bytes = min_record_bytes(limits)
    partition_of = partitioner(settings.partitions)
    window = TimestampWindow.of(limits)
    observer = _Observer(metrics)
    policy = BreakerPolicy(settings.breaker_ratio, settings.breaker_events)

    def accepted() -> tuple[int, int]:
        return window.around(int(time.time() * 1000))

    reject = _rejector(names, partition_of, max_record_bytes, accepted)

    def agent(stage: Stage) -> ChunkAgent:
        context = StageContext(
            stage=stage,
            inputs={names.full(topic): spec for topic, spec in stage.inputs.items()},
            outputs={topic: names.full(topic) for topic in stage.outputs},
            changelog=names.changelog(stage),
            partition_of=partition_of,
            reject=reject,
            accepted=accepted,
            new_breaker=lambda: Breaker(policy),
            observer=observer,
            carried=frozenset() if settings.trace_ratio is None else TRACE_HEADERS,
        )
        return ChunkAgent(
            stage.name,
            tuple(context.inputs),
            f"{names.group}-{stage.name}",
            _handler(context),
            table=stage.name,
        )

    output_topics = (
        topic
        for stage in all_stages
        for topic in (names.changelog(stage), *map(names.full, stage.outputs))
    )
    return Work(
        [agent(stage) for stage in all_stages],
        max_record_bytes,
        barrier,
        frozenset(output_topics) | {names.names.dead_letter},
    )


def _handler(context: StageContext) -> Callable[[int, Rows], KeyedPartition]:
    return lambda partition, rows: KeyedPartition(context, partition, rows)


class _Observer:
    """Implements :class:`rollcall.streaming.stages.keyed.StageObserver`."""

    def __init__(self, metrics: RosterMetrics) -> None:
        self._metrics = metrics

    def chunk_committed(self, stage: Stage, result: StageResult, now: float) -> None:
        """Count the records and rows of a chunk."""
        metrics, name = self._metrics, stage.name
        metrics.stage_records_total.labels(name).inc(result.consumed)
        metrics.stale_events_total.labels(name).inc(result.stale)
        metrics.rows_published_total.labels(name).inc(result.published)
        metrics.rows_withdrawn_total.labels(name).inc(result.withdrawn)
        for topic, code in result.rejected:
            metrics.dead_letters_total.labels(code, _event_name(topic) or UNKNOWN_NAME).inc()
        metrics.event_age_seconds.observe_ages(result.event_times, now)
        if any(output.startswith("rosters.") for output in stage.outputs):
            metrics.pipeline_seconds.observe_ages(
                [stamp / 1000 for stamp in result.timestamps], now
            )


def _rejector(
    names: RosterTopics,
    partition_of: Callable[[bytes], int],
    limit: int,
    accepted: Callable[[], tuple[int, int]],
) -> Callable[[Chunk, Record, UnusableError, Outputs], str]:
    """A function that writes records that a stage cannot use to the dead-letter topic."""

    def reject(chunk: Chunk, record: Record, error: UnusableError, outputs: Outputs) -> str:
        headers = list(record.headers)
        schema = next(
            (
                content.decode(errors="replace")
                for name, content in headers
                if name == "ce_dataschema" and content
            ),
            "",
        )
        dead_letter = DeadLetter(
            ErrorCode.NOT_APPLICABLE,
            error.reason,
            error.path,
            schema,
            _event_name(chunk.topic),
            record.value,
            headers,
            False,
        )
        partition = chunk.partition if record.key is None else partition_of(record.key)
        dead_letter, key, headers = bounded_dead_letter(
            dead_letter, record.key, chunk.topic, chunk.partition, record, limit
        )
        earliest, latest = accepted()
        timestamp = (
            record.timestamp
            if record.timestamp is not None and earliest <= record.timestamp <= latest
            else None
        )
        outputs.append(
            names.names.dead_letter,
            partition,
            key,
            dead_letter.value,
            timestamp,
            encode_headers(headers),
        )
        return dead_letter.code.value

    return reject


def _event_name(topic: str) -> str | None:
    """The event_name of a typed topic; None for other topics."""
    name = topic.rpartition(".events.")[2]
    return name if name in REGISTRY else None


def _update_table_metrics(
    metrics: RosterMetrics, process: StreamProcess, statuses: Sequence[PartitionStatus]
) -> None:
    lanes = {
        (status.agent, status.tp.partition): status for status in statuses
    }.values()  # one status of each lane: a lane's statuses differ only in the input
    for name, table in process.tables:
        metrics.table_rows.labels(name).set(table.row_count)
        metrics.parked_rows.labels(name).set(table.parked_count)
        metrics.rows_to_follow.labels(name).set(
            sum(lane.unfinished for lane in lanes if lane.agent == name)
        )
        metrics.table_recovery_remaining_records.labels(name).set(
            sum(lane.restoring or 0 for lane in lanes if lane.agent == name)
        )
