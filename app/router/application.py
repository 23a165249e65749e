"""The router as a process: topics checked, pipeline built."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from app.breaker import BreakerPolicy
from app.events.dropping import MetadataDropper
from app.events.pipeline import Pipeline
from app.events.redaction import Redactor
from app.events.registry import REGISTRY
from app.events.validation import load_validators
from app.metrics import RouterMetrics
from app.process import StreamProcess
from app.records import TimestampWindow
from app.router.handler import RouterHandler, RouterKit
from app.settings import Settings
from app.streaming.chunks import ChunkAgent
from app.streaming.lane import LaneState
from app.streaming.partitioner import partitioner
from app.topics import TopicFinding, TopicNames, ensure_topics, least_record_bytes, plan_router_topics

DEFAULT_PORT = 9101
DEFAULT_GATHER_SECONDS = 0.03


async def start_router(settings: Settings, bootstrap: str) -> StreamProcess:
    """Check the topics and make the process. Raises a :class:`app.errors.RollcallError` for whatever a person can mend."""
    return new_router(settings, bootstrap, await ensure_topics(settings, bootstrap, plan_router_topics(settings)))


def new_router(settings: Settings, bootstrap: str, topics: Sequence[TopicFinding]) -> StreamProcess:
    """The router, on topics that were found fine."""
    names = TopicNames(settings.topic_prefix)
    metrics = RouterMetrics(CollectorRegistry(), REGISTRY)
    redactor = Redactor(settings.redact_parameters) if settings.redact and settings.redact_parameters else None
    dropper = MetadataDropper(settings.drop_metadata) if settings.drop_metadata else None
    outputs = [finding.limits for finding in topics if finding.plan.name != names.raw]
    kit = RouterKit(
        pipeline=Pipeline(load_validators(), shard=settings.shard, redactor=redactor, dropper=dropper),
        names=names,
        partitions=settings.partitions,
        partition_of=partitioner(settings.partitions),
        max_record_bytes=least_record_bytes(outputs),
        retention_ms=min((limits.retention_ms for limits in outputs if limits.retention_ms is not None and limits.retention_ms >= 0), default=None),
        window=TimestampWindow.of(outputs),
        breaker=BreakerPolicy(settings.breaker_ratio, settings.breaker_events),
        metrics=metrics,
    )
    return StreamProcess(
        settings,
        bootstrap,
        name="router",
        default_port=DEFAULT_PORT,
        default_gather=DEFAULT_GATHER_SECONDS,
        agents=[ChunkAgent("router", (names.raw,), settings.group("router"), lambda _partition, _rows: RouterHandler(kit))],
        metrics=metrics,
        max_record_bytes=kit.max_record_bytes,
        gauges={metrics.breaker_open: lambda status: status.state is LaneState.HALTED},
    )
