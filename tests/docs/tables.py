"""The tables of documents that the code writes, each as its lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby

from prometheus_client import CollectorRegistry, Metric

from rollcall.catalogue.headers import CLOUD_EVENTS, ERRORS, HeaderField
from rollcall.catalogue.plans import required_rights
from rollcall.events.outcomes import DeadLetter, ErrorCode, Routed, UnknownReason
from rollcall.events.pipeline import Pipeline
from rollcall.events.registry import REGISTRY
from rollcall.ingest.https.token import Refusal
from rollcall.ingest.metrics import SqsMetrics, WebhookMetrics
from rollcall.process.dead_letter_records import dead_letter_headers
from rollcall.process.metrics import RosterMetrics, RouterMetrics, ServeMetrics
from rollcall.reconcile.facts import Entity
from rollcall.reconcile.metrics import RunMetrics, RunScope
from rollcall.reconcile.summary import Kind, Summary
from rollcall.record import Header
from rollcall.rosters.registry import RELATIONS, stages
from rollcall.settings import Settings
from tests.docs.markdown import ROOT
from tests.docs.replica_tables import view_columns, view_indexes
from tests.docs.settings_table import settings_tables
from tests.events.schemas.events import VALIDATORS

DEFAULTS = Settings.model_construct()


def table(*head: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def event_types() -> Iterator[str]:
    """All event types by family, with the key of a typed record."""
    rows = (
        (
            f"`{each.family}`",
            f"`{each.name}`",
            "none" if each.key is None else f"`{each.key}`",
            each.cause,
            ", ".join(each.sources),
        )
        for each in REGISTRY.values()
    )
    return table("family", "event", "key", "cause", "known from", rows=rows)


def families() -> Iterator[str]:
    """How many event types and families there are."""
    members = Counter(each.family for each in REGISTRY.values())
    snapshots = members.pop("rollcall_snapshot")
    yield (
        f"There are typed topics for {members.total()} event types of Canvas, in {len(members)}"
        f" families, and for {snapshots} kinds of snapshots, which `rollcall reconcile` writes."
    )


def rights() -> Iterator[str]:
    """The least rights on Kafka, one line for each name."""
    rows = (
        (f"`{who}`", resource, f"`{name}`", pattern, ", ".join(str(acl.operation) for acl in acls))
        for who, needed in required_rights(DEFAULTS).items()
        for (resource, name, pattern), acls in groupby(
            needed.acls,
            lambda acl: (
                acl.resource.value.replace("-", " "),
                acl.name,
                "prefixed" if acl.prefixed else "literal",
            ),
        )
    )
    return table("who", "resource", "name", "pattern", "operations", rows=rows)


def codes() -> Iterator[str]:
    """The codes of dead letters."""
    return table("code", "meaning", rows=((f"`{each}`", each.meaning) for each in ErrorCode))


def typed_headers() -> Iterator[str]:
    """The headers of a typed record."""
    return _headers(CLOUD_EVENTS)


def error_headers() -> Iterator[str]:
    """The headers that a dead letter has besides."""
    return _headers(ERRORS)


def unknown_reasons() -> Iterator[str]:
    """Why an event is unknown."""
    return table("reason", "meaning", rows=((f"`{each}`", each.meaning) for each in UnknownReason))


def _headers(fields: Iterable[HeaderField]) -> Iterator[str]:
    def rows() -> Iterator[tuple[str, str]]:
        for field in fields:
            values = field.schema.get("enum", [field.schema.get("const")])
            shown = ", ".join(f"`{value}`" for value in values if value is not None)
            yield f"`{field.name}`", f"{field.meaning}: {shown}" if shown else field.meaning

    return table("header", "meaning", rows=rows())


def typed_record() -> Iterator[str]:
    """What the router makes of the documented enrollment_created."""
    outcome = _routed(_documented("enrollment_created"))
    parts = (
        ("key", f"`{_key(outcome)}`"),
        ("value", "the raw record's value, byte for byte"),
        ("timestamp", "the raw record's timestamp"),
        *_values(outcome.headers),
        ("(others)", "the raw record's headers, after these"),
    )
    return table("part", "value", rows=parts)


def ids() -> Iterator[str]:
    """The key of the documented enrollment_created, for each way to write the enrollment's id."""
    raw, written = _documented("enrollment_created"), b'"21070000000046825"'
    rows = (
        (f"`{way.decode()}`", f"`{_key(_routed(raw.replace(written, way)))}`")
        for way in (written, b'"46825"', b"46825")
    )
    return table("`enrollment_id` in the event", "key", rows=rows)


def dead_letter() -> Iterator[str]:
    """The headers of the dead letter that the documented user_updated becomes."""
    outcome = Pipeline(VALIDATORS)(_documented("user_updated"))
    assert isinstance(outcome, DeadLetter)
    headers = dead_letter_headers(outcome, "canvas.raw", 1, 1)
    return table("header", "value", rows=_values(headers))


def _documented(name: str) -> bytes:
    return (ROOT / "tests" / "fixtures" / "documented" / f"{name}.json").read_bytes()


def _routed(raw: bytes) -> Routed:
    outcome = Pipeline(VALIDATORS)(raw)
    assert isinstance(outcome, Routed)
    return outcome


def _key(outcome: Routed) -> str:
    return (outcome.key or b"").decode()


def _values(headers: Iterable[Header]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        yield f"`{name}`", f"`{(value or b'').decode()}`"


def router_metrics() -> Iterator[str]:
    """The metrics of the router."""
    router, *_others = registries()
    return _metrics(router.collect())


def roster_metrics() -> Iterator[str]:
    """The metrics of the rosters that the router has not."""
    router, rosters, *_others = registries()
    names = {family.name for family in router.collect()}
    return _metrics(family for family in rosters.collect() if family.name not in names)


def serve_metrics() -> Iterator[str]:
    """The metrics of serve."""
    _router, _rosters, serve, *_others = registries()
    return _metrics(serve.collect())


def ingest_metrics() -> Iterator[str]:
    """The metrics of ingest."""
    *_others, sqs, _webhook, _reconcile = registries()
    return _metrics(
        family for family in sqs.collect() if family.name.startswith("rollcall_ingest_")
    )


def webhook_metrics() -> Iterator[str]:
    """The metrics of ``rollcall ingest https`` that ``rollcall ingest sqs`` has not."""
    *_others, sqs, webhook, _reconcile = registries()
    names = {family.name for family in sqs.collect()}
    return _metrics(family for family in webhook.collect() if family.name not in names)


def reconcile_metrics() -> Iterator[str]:
    """The metrics of runs of ``rollcall reconcile``."""
    return _metrics(registries()[-1].collect())


def registries() -> tuple[CollectorRegistry, ...]:
    """The metrics of router, rosters, serve, ingest sqs, ingest https and reconcile."""
    stage_names = [stage.name for stage in stages(None)]
    router = RouterMetrics(CollectorRegistry(), REGISTRY)
    rosters = RosterMetrics(CollectorRegistry(), stage_names, REGISTRY)
    serve = ServeMetrics(CollectorRegistry(), [relation.name for relation in RELATIONS], ["/"])
    # these have no samples, and so no labels, before there are partitions
    for gauge in (
        router.consumer_lag_records,
        router.breaker_open,
        rosters.consumer_lag_records,
        rosters.breaker_open,
        serve.consumer_lag_records,
    ):
        gauge.labels("topic", "0")
    reconcile, summary = RunMetrics(None, RunScope.ACCOUNT), Summary()
    summary.count(Entity.COURSE, Kind.READ)
    reconcile.observe(summary, 0, 0.0)
    return (
        router.registry,
        rosters.registry,
        serve.registry,
        SqsMetrics(CollectorRegistry()).registry,
        WebhookMetrics(CollectorRegistry(), Refusal).registry,
        reconcile.registry,
    )


def _metrics(families: Iterable[Metric]) -> Iterator[str]:
    def rows() -> Iterator[tuple[str, str]]:
        for family in families:
            if not family.name.startswith("rollcall_") or family.type == "info":
                continue
            found = {
                ",".join(label for label in sample.labels if label != "le")
                for sample in family.samples
            }
            assert len(found) == 1, (
                f"{family.name} has no sample, or samples with different labels: give it its "
                "initial samples in app/rollcall/process/metrics.py, or one in registries() of "
                "tests/docs/tables.py if its labels are not known at the start"
            )
            (labels,) = found
            name = family.name + ("_total" if family.type == "counter" else "")
            yield f"`{name}{{{labels}}}`" if labels else f"`{name}`", family.documentation

    return table("metric", "meaning, and causes of changes", rows=rows())


TABLES: Mapping[str, Callable[[], Iterator[str]]] = {
    "codes": codes,
    "dead letter": dead_letter,
    "error headers": error_headers,
    "ids": ids,
    "ingest metrics": ingest_metrics,
    "event types": event_types,
    "families": families,
    "rights": rights,
    "reconcile metrics": reconcile_metrics,
    "router metrics": router_metrics,
    "roster metrics": roster_metrics,
    "serve metrics": serve_metrics,
    "settings": settings_tables,
    "webhook metrics": webhook_metrics,
    "columns": view_columns,
    "indexes": view_indexes,
    "unknown reasons": unknown_reasons,
    "typed headers": typed_headers,
    "typed record": typed_record,
}
"""By the name in the marker ``<!-- make docs: NAME -->``, which begins them in a document."""
