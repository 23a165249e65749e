"""Health and metrics of serve: ``/livez``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from rollcall.process.metrics import ServeMetrics
from rollcall.serve.context import ServeContext
from rollcall.serve.replica.progress import Progress

router = APIRouter()


class Health:
    """State of a process, for probes and metrics: ``health`` in the application's state."""

    def __init__(self, context: ServeContext) -> None:
        self._context = context
        self._exported = Progress()

    @property
    def freshness_seconds(self) -> float:
        """For how many seconds the replica has lacked something."""
        return self._context.follower.progress.freshness(time.time())

    def problems(self) -> list[str]:
        """Why answers may be incomplete or old; empty: the process is ready."""
        progress, tokens = self._context.follower.progress, self._context.tokens
        problems = []
        if progress.problem is not None:
            problems.append(progress.problem)
        if not progress.complete:
            left = sum(progress.lag.values())
            problems.append(
                f"the replica is being built, {left} records are left"
                if progress.lag
                else "the replica is being built"
            )
        elif (freshness := self.freshness_seconds) > self._context.settings.stale_seconds:
            problems.append(
                f"the replica has lacked something for {freshness:.0f} s "
                f"({sum(progress.lag.values())} records at the last look)"
            )
        if tokens.problem is not None:
            problems.append(tokens.problem)
        return problems

    def export(self, metrics: ServeMetrics) -> None:
        """Set the metrics of the replica."""
        progress, exported = self._context.follower.progress, self._exported
        metrics.replica_freshness_seconds.set(progress.freshness(time.time()))
        metrics.replica_complete.set(progress.complete)
        metrics.ready.set(not self.problems())
        for relation, count in progress.rows.items():
            metrics.replica_rows.labels(relation).set(count)
        metrics.consumer_lag_records.clear()
        for (topic, partition), lag in progress.lag.items():
            metrics.consumer_lag_records.labels(topic, str(partition)).set(lag)
        metrics.replica_records_total.inc(progress.records - exported.records)
        metrics.replica_unusable_records_total.inc(progress.unusable - exported.unusable)
        metrics.replica_rebuilds_total.inc(progress.rebuilds - exported.rebuilds)
        self._exported = progress


async def _health(request: Request) -> Health:
    health: Health = request.app.state.health
    return health


HealthState = Annotated[Health, Depends(_health)]


@router.get("/livez")
async def livez() -> Response:
    """Whether the process runs."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(health: HealthState) -> Response:
    """Whether answers are complete and fresh; 503 if not, with the reasons."""
    problems = health.problems()
    status = {"status": "failing", "reasons": problems} if problems else {"status": "ok"}
    freshness = {"freshness_seconds": round(health.freshness_seconds, 3)}
    return JSONResponse(status | freshness, 503 if problems else 200)


@router.get("/metrics")
async def metrics(request: Request, health: HealthState) -> Response:
    """Metrics of the process, in Prometheus's text format."""
    process_metrics: ServeMetrics = request.app.state.metrics
    health.export(process_metrics)
    return Response(
        generate_latest(process_metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST}
    )
