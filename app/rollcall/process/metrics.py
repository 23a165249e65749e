"""Catalogue of all metrics, with their units and meaning. Base units, prefix ``rollcall_``.

Label values come from the registry only, so their number is bounded; an unknown event_name is
``unknown``. Every counter starts at zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from platform import python_version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)
from prometheus_client.process_collector import ProcessCollector

from rollcall.events.outcomes import ErrorCode
from rollcall.process.chunk_histogram import ChunkHistogram
from rollcall.version import package_version

# prometheus-client would add a series with the creation time to every counter.
disable_created_metrics()  # type: ignore[no-untyped-call]

_WITHOUT_NAME = frozenset({ErrorCode.EMPTY, ErrorCode.NOT_AN_EVENT, ErrorCode.CALIPER})
"""Codes of dead letters that have no event_name."""

UNKNOWN_NAME = "unknown"
"""Label value of names that are not in the registry."""

LATENCY_BUCKETS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
AGE_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0, 604_800.0)


class ProcessMetrics:
    """Metrics of every process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        self.build = Info("rollcall_build", "Version of Rollcall and of Python.", registry=registry)
        self.build.info({"version": package_version(), "python": python_version()})
        self.ready = Gauge(
            "rollcall_ready",
            "1: /readyz answers with 200; 0: with 503, and with the reasons.",
            registry=registry,
        )


class StreamMetrics(ProcessMetrics):
    """Metrics of every process that consumes chunks."""

    def __init__(
        self,
        registry: CollectorRegistry,
        stages: Sequence[str],
        codes: Iterable[ErrorCode],
        event_names: Iterable[str],
    ) -> None:
        super().__init__(registry)
        self.chunk_seconds = ChunkHistogram(
            "rollcall_chunk_seconds",
            "Computing time of a stage for one chunk.",
            LATENCY_BUCKETS,
            registry,
            label="stage",
            values=stages,
        )
        self.event_age_seconds = ChunkHistogram(
            "rollcall_event_age_seconds",
            "From event_time, as Canvas writes it, to the acknowledged output. Rises with lag, "
            "with a late bridge and with replays.",
            AGE_BUCKETS,
            registry,
        )
        self.pipeline_seconds = ChunkHistogram(
            "rollcall_pipeline_seconds",
            "From the record's timestamp on the input topic to the acknowledged output. Rises "
            "when this process falls behind.",
            LATENCY_BUCKETS,
            registry,
        )
        self.consumer_lag_records = Gauge(
            "rollcall_consumer_lag_records",
            "High watermark minus committed offset, measured at the broker every second, also "
            "when nothing moves. It should return to zero.",
            ["topic", "partition"],
            registry=registry,
        )
        self.oldest_unprocessed_seconds = Gauge(
            "rollcall_oldest_unprocessed_seconds",
            "Age of the oldest record that was read and is not committed; with lag and nothing "
            "read, time for which a partition has not moved.",
            registry=registry,
        )
        self.last_progress_timestamp_seconds = Gauge(
            "rollcall_last_progress_timestamp_seconds",
            "When the last chunk was committed, Unix time; 0: none yet.",
            registry=registry,
        )
        self.expired_records_total = Counter(
            "rollcall_expired_records_total",
            "Offsets that the topic's retention deleted before they were read: lost data. "
            "Should stay zero.",
            registry=registry,
        )
        self.produce_failures_total = Counter(
            "rollcall_produce_failures_total",
            "Chunks that could not be written. The process ends; nothing of the chunk is "
            "committed.",
            registry=registry,
        )

        self.dead_letters_total = Counter(
            "rollcall_dead_letters_total",
            "Records that are no valid event, or that a stage cannot use, by reason. A sudden "
            "rise is a broken producer or a wrong schema.",
            ["code", "event_name"],
            registry=registry,
        )
        self.breaker_open = Gauge(
            "rollcall_breaker_open",
            "1: the partition is no longer consumed, because too many of its events became dead "
            "letters.",
            ["topic", "partition"],
            registry=registry,
        )
        names = (*event_names, UNKNOWN_NAME)
        for code in codes:
            for name in (UNKNOWN_NAME,) if code in _WITHOUT_NAME else names:
                self.dead_letters_total.labels(code.value, name)


class RouterMetrics(StreamMetrics):
    """Metrics of the router. At every scrape, received = routed + unknown + not selected + dead
    letters.
    """

    def __init__(self, registry: CollectorRegistry, event_names: Iterable[str]) -> None:
        names = tuple(event_names)
        super().__init__(
            registry,
            ("router",),
            (code for code in ErrorCode if code is not ErrorCode.NOT_APPLICABLE),
            names,
        )
        self.events_received_total = Counter(
            "rollcall_events_received_total",
            "Raw records that were processed and committed.",
            registry=registry,
        )
        self.events_routed_total = Counter(
            "rollcall_events_routed_total",
            "Valid events written to their typed topic.",
            ["event_name"],
            registry=registry,
        )
        self.events_unknown_total = Counter(
            "rollcall_events_unknown_total",
            "Events whose name has no schema, written to the unknown topic. A rise after a Canvas "
            "release is a new kind of event.",
            registry=registry,
        )
        self.events_not_selected_total = Counter(
            "rollcall_events_not_selected_total",
            "Events of known types that ROLLCALL_EVENTS leaves out, written to the unknown topic.",
            registry=registry,
        )
        self.unknown_fields_total = Counter(
            "rollcall_unknown_fields_total",
            "Fields of valid events that their schema does not name: Canvas has added something.",
            ["event_name"],
            registry=registry,
        )
        self.unknown_values_total = Counter(
            "rollcall_unknown_values_total",
            "States and types in valid events that Canvas is not known to write: Canvas has added "
            "something.",
            ["event_name"],
            registry=registry,
        )
        self.redacted_total = Counter(
            "rollcall_redacted_total",
            "Records in which a credential was replaced.",
            registry=registry,
        )
        for name in names:
            self.events_routed_total.labels(name)
            self.unknown_fields_total.labels(name)
            self.unknown_values_total.labels(name)


class RosterMetrics(StreamMetrics):
    """Metrics of the rosters.

    ``event_age_seconds`` covers the stages that read typed events, ``pipeline_seconds`` those that
    write rosters. Records keep the timestamp of their typed event, so the latter spans all stages.
    """

    def __init__(
        self, registry: CollectorRegistry, stages: Iterable[str], event_names: Iterable[str]
    ) -> None:
        names = tuple(stages)
        super().__init__(
            registry, names, (ErrorCode.NOT_APPLICABLE, ErrorCode.TOO_LARGE), event_names
        )
        self.table_rows = Gauge(
            "rollcall_table_rows",
            "Rows in the partitions of a table that this process has. The sum over processes grows "
            "forever, because nothing is deleted.",
            ["table"],
            registry=registry,
        )
        self.parked_rows = Gauge(
            "rollcall_parked_rows",
            "Rows that publish nothing yet: a state without its enrollment, a membership without "
            "its group. Many at first; a lasting increase means that enrollment or group events "
            "are missing.",
            ["stage"],
            registry=registry,
        )
        self.rows_to_follow = Gauge(
            "rollcall_rows_to_follow",
            "Rows not yet updated after a change of their section, group or course. While there "
            "are any, rosters are behind although there is no lag.",
            ["stage"],
            registry=registry,
        )
        self.table_recovery_remaining_records = Gauge(
            "rollcall_table_recovery_remaining_records",
            "Changelog records still to be loaded before the table can be used. Should fall to "
            "zero.",
            ["table"],
            registry=registry,
        )
        self.stage_records_total = Counter(
            "rollcall_stage_records_total",
            "Records of a stage's inputs that were processed and committed. For the stage course, "
            "this includes the outputs of the three stages before it.",
            ["stage"],
            registry=registry,
        )
        self.stale_events_total = Counter(
            "rollcall_stale_events_total",
            "Records that changed nothing: repeated, or older than what is known. Topics are read "
            "in parallel, so some are always older. Many during a backlog, and after a replay.",
            ["stage"],
            registry=registry,
        )
        self.rows_published_total = Counter(
            "rollcall_rows_published_total",
            "Records with a row that a stage has written, for the next stage or as a roster. A "
            "jump without events comes from one course or section with many dependent rows.",
            ["stage"],
            registry=registry,
        )
        self.rows_withdrawn_total = Counter(
            "rollcall_rows_withdrawn_total",
            "Tombstones that a stage has written: a row is no longer under its key. For the stage "
            "course: cross-listed sections, moved groups and enrollments.",
            ["stage"],
            registry=registry,
        )
        for name in names:
            for gauge in (
                self.table_rows,
                self.parked_rows,
                self.rows_to_follow,
                self.table_recovery_remaining_records,
            ):
                gauge.labels(name)
            for counter in (
                self.stage_records_total,
                self.stale_events_total,
                self.rows_published_total,
                self.rows_withdrawn_total,
            ):
                counter.labels(name)


class ServeMetrics(ProcessMetrics):
    """Metrics of serve."""

    def __init__(
        self, registry: CollectorRegistry, relations: Iterable[str], routes: Iterable[str]
    ) -> None:
        super().__init__(registry)
        self.consumer_lag_records = Gauge(
            "rollcall_consumer_lag_records",
            "Records of the roster topics that are not in the replica yet.",
            ["topic", "partition"],
            registry=registry,
        )
        self.replica_freshness_seconds = Gauge(
            "rollcall_replica_freshness_seconds",
            "How long the replica has been behind the roster topics; 0: it is up to date.",
            registry=registry,
        )
        self.replica_complete = Gauge(
            "rollcall_replica_complete",
            "1: the replica has been complete once, and is served; 0: it is being built.",
            registry=registry,
        )
        self.replica_rows = Gauge(
            "rollcall_replica_rows",
            "Rows in the replica, including all old rows of the rosters.",
            ["relation"],
            registry=registry,
        )
        self.replica_records_total = Counter(
            "rollcall_replica_records_total",
            "Records of the roster topics taken into the replica.",
            registry=registry,
        )
        self.replica_unusable_records_total = Counter(
            "rollcall_replica_unusable_records_total",
            "Records of the roster topics that are no rows, and were skipped: another program "
            "writes there. Should stay zero.",
            registry=registry,
        )
        self.replica_rebuilds_total = Counter(
            "rollcall_replica_rebuilds_total",
            "Times that the replica was unusable and was rebuilt; the log says why.",
            registry=registry,
        )
        self.http_requests_total = Counter(
            "rollcall_http_requests_total",
            "Requests answered, by route and class of status. Unknown routes and refused requests "
            "(401, 405, 421, 503) have the route other. Health and metrics are not counted.",
            ["route", "status"],
            registry=registry,
        )
        self.http_request_seconds = Histogram(
            "rollcall_http_request_seconds",
            "Time from a request's head to the end of its response. For the page's streams: their "
            "duration.",
            ["route"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._routes = frozenset(routes)
        for relation in relations:
            self.replica_rows.labels(relation)
        for route in self._routes:
            self.http_request_seconds.labels(route)
            for status in ("2xx", "3xx", "4xx", "5xx"):
                self.http_requests_total.labels(route, status)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self.http_requests_total.labels(route, f"{status // 100}xx").inc()
        self.http_request_seconds.labels(route).observe(seconds)
