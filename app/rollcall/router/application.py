"""The router as a process: topics checked, pipeline built."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from rollcall.events.pipeline import Pipeline
from rollcall.events.scan.scannable import Scanner
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.rights import check_rights
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.kafka.topics import TimestampWindow, TopicFinding, min_record_bytes
from rollcall.process.breaker import BreakerPolicy
from rollcall.process.event_types import event_types
from rollcall.process.metrics import RouterMetrics
from rollcall.process.stream import StreamProcess, Work, barrier_topic_of
from rollcall.process.topics import TopicNames
from rollcall.router.handler import RouterContext, RouterHandler
from rollcall.router.pipeline_factory import new_pipeline
from rollcall.router.topics import plan_router_topics, router_rights
from rollcall.settings import Settings
from rollcall.streaming.chunks import ChunkAgent
from rollcall.streaming.lane import LaneState

log = logging.getLogger(__name__)

DEFAULT_PORT = 9101
DEFAULT_GATHER_SECONDS = 0.03


def new_router(settings: Settings, bootstrap: str) -> StreamProcess:
    """The router."""
    metrics = RouterMetrics(CollectorRegistry(), event_types(settings).selected)
    pipeline = new_pipeline(settings)

    async def prepare() -> Work:
        await check_rights(settings, bootstrap, router_rights(settings))
        return _new_work(
            settings,
            pipeline,
            metrics,
            await ensure_topics(settings, bootstrap, plan_router_topics(settings)),
        )

    return StreamProcess(
        settings,
        bootstrap,
        name="router",
        rights=router_rights(settings),
        default_port=DEFAULT_PORT,
        default_gather=DEFAULT_GATHER_SECONDS,
        prepare=prepare,
        metrics=metrics,
        gauges={metrics.breaker_open: lambda status: status.state is LaneState.HALTED},
    )


def _new_work(
    settings: Settings, pipeline: Pipeline, metrics: RouterMetrics, topics: Sequence[TopicFinding]
) -> Work:
    """The router's work, on checked topics."""
    names = TopicNames(settings.topic_prefix)
    barrier = barrier_topic_of(topics, settings.group("router"))
    written = [finding for finding in topics if finding.plan.name not in (names.raw, barrier.name)]
    outputs = [finding.limits for finding in written]
    most_bytes = min_record_bytes(outputs)
    context = RouterContext(
        pipeline=pipeline,
        names=names,
        topics={
            name: names.typed(event_type)
            for name, event_type in event_types(settings).selected.items()
        },
        partitions=settings.partitions,
        partition_of=partitioner(settings.partitions),
        max_record_bytes=most_bytes,
        retention_ms=min(
            (
                limits.retention_ms
                for limits in outputs
                if limits.retention_ms is not None and limits.retention_ms >= 0
            ),
            default=None,
        ),
        window=TimestampWindow.of(outputs),
        breaker=BreakerPolicy(settings.breaker_ratio, settings.breaker_events),
        metrics=metrics,
    )
    if Scanner is None:
        log.info(
            "the router is not compiled: it takes half as much CPU time again (docs/deployment.md)"
        )
    agent = ChunkAgent(
        "router",
        (names.raw,),
        settings.group("router"),
        lambda _partition, _rows: RouterHandler(context),
    )
    return Work(
        [agent],
        context.max_record_bytes,
        barrier,
        frozenset(finding.plan.name for finding in written),
    )
