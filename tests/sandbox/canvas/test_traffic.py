"""The traffic is reproducible and has records of all sorts, and the router's pipeline gives the
expected outcomes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

import pytest

from rollcall.events.outcomes import DeadLetter, ErrorCode, Outcome, Routed
from rollcall.events.pipeline import Pipeline
from rollcall.events.redaction import Redactor
from rollcall.events.registry import REGISTRY
from rollcall.process.topics import EVENT_RECORD_BYTES
from rollcall.record import Header
from rollcall.sandbox.canvas.families import BODIES, UNKNOWN_NAMES, body_name
from rollcall.sandbox.canvas.invalid import LARGE_BYTES
from rollcall.sandbox.canvas.mixes import SHARES, Mix
from rollcall.sandbox.canvas.traffic import (
    CREDENTIAL,
    Destination,
    Expectation,
    TrafficPlan,
    TrafficRecord,
    documented_traffic,
    generate_traffic,
)
from tests.events.schemas.events import VALIDATORS

OF_CANVAS = {name for name, event_type in REGISTRY.items() if event_type.is_of_canvas}

ROUTER_CODES = set(ErrorCode) - {ErrorCode.NOT_APPLICABLE}
"""Error codes of the router."""


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """The router's pipeline with default settings."""
    return Pipeline(
        VALIDATORS, redactor=Redactor(("access_token", "refresh_token", "client_secret"))
    )


@pytest.fixture(scope="module")
def traffic() -> list[TrafficRecord]:
    """Traffic with all sorts of records."""
    return list(generate_traffic(TrafficPlan(count=20_000, seed=11)))


def result_of(outcome: Outcome, record: TrafficRecord) -> Expectation:
    """The pipeline's outcome as an expectation. Outcomes of unknown events lack the event_name."""
    match outcome:
        case Routed():
            return Expectation(Destination.ROUTED, outcome.event_type.name, None)
        case DeadLetter():
            return Expectation(Destination.DEAD_LETTER, outcome.event_name, outcome.code.value)
    return Expectation(Destination.UNKNOWN, record.expected.event_name, None)


def fingerprint(records: Iterable[TrafficRecord]) -> str:
    """A hash of all records."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(repr(record).encode())
    return digest.hexdigest()


def differences(
    pipeline: Pipeline, records: Iterable[TrafficRecord]
) -> Iterator[tuple[TrafficRecord, Expectation]]:
    """Records with another outcome than expected, with the actual outcome."""
    for record in records:
        if (
            record.expected.code != "too_large"
            and (actual := result_of(pipeline(record.value, record.headers), record))
            != record.expected
        ):
            yield record, actual


def test_outcomes_are_the_expected_ones(pipeline: Pipeline, traffic: list[TrafficRecord]) -> None:
    assert not list(islice(differences(pipeline, traffic), 3))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4711])
def test_outcomes_of_more_traffic(pipeline: Pipeline, seed: int) -> None:
    assert not list(
        islice(differences(pipeline, generate_traffic(TrafficPlan(count=20_000, seed=seed))), 3)
    )


def test_documented_events_are_routed(pipeline: Pipeline) -> None:
    records = documented_traffic()
    assert {record.expected.event_name for record in records} == OF_CANVAS
    assert all(result_of(pipeline(record.value), record) == record.expected for record in records)


def test_same_plan_same_records() -> None:
    plan = TrafficPlan(count=2_000, seed=5)
    once = fingerprint(generate_traffic(plan))
    assert once == fingerprint(generate_traffic(plan))
    assert once != fingerprint(generate_traffic(TrafficPlan(count=2_000, seed=6)))


def test_the_traffic_has_all_sorts_of_records(traffic: list[TrafficRecord]) -> None:
    assert {
        record.expected.event_name
        for record in traffic
        if record.expected.destination is Destination.ROUTED
    } == OF_CANVAS
    assert {
        record.expected.event_name
        for record in traffic
        if record.expected.destination is Destination.UNKNOWN
    } == set(UNKNOWN_NAMES)
    assert {record.expected.code for record in traffic} == {None, *ROUTER_CODES}
    violated = {
        record.expected.event_name
        for record in generate_traffic(TrafficPlan(count=5_000, schema_violation=0.5))
        if record.expected.code == "schema_violation"
    }
    assert violated == OF_CANVAS


def test_shares_are_met(traffic: list[TrafficRecord]) -> None:
    plan = TrafficPlan(count=20_000)
    assert plan.counts() == {
        "empty": 200,
        "not_json": 200,
        "not_an_event": 200,
        "caliper": 20,
        "schema_violation": 200,
        "too_large": 2,
        "unknown": 400,
        "duplicates": 400,
    }
    found = Counter(record.expected.code or record.expected.destination for record in traffic)
    duplicates = plan.counts()["duplicates"]  # each is of one of the other sorts
    for sort in ("empty", "not_json", "not_an_event", "schema_violation", "unknown"):
        assert 200 <= found[sort] <= plan.counts()[sort] + duplicates / 10
    assert found["too_large"] == 2
    routed = Counter(
        record.expected.event_name
        for record in traffic
        if record.expected.destination is Destination.ROUTED
    )
    assert 0.27 <= routed["asset_accessed"] / routed.total() <= 0.33


def test_shares_are_those_of_known_types() -> None:
    for shares in SHARES.values():
        assert shares.keys() <= REGISTRY.keys()
        assert sum(shares.values()) <= 100


def test_every_type_has_a_body() -> None:
    bodies = {body_name(name) for name in OF_CANVAS}
    assert not bodies - BODIES.keys(), (
        "add the fields of these bodies, from Canvas's documents or code, to BODIES in "
        "app/rollcall/sandbox/canvas/families.py, or to _OTHER_BODIES there the name of a body "
        "that the event shares"
    )
    assert not BODIES.keys() - bodies, "no event type has these bodies"


def test_a_mix_with_rosters_only() -> None:
    traffic = generate_traffic(TrafficPlan.clean(count=3_000, mix=Mix.ROSTERS))
    routed = Counter(record.expected.event_name for record in traffic)
    assert routed.keys() == SHARES[Mix.ROSTERS].keys()
    enrollments = routed["enrollment_created"] + routed["enrollment_updated"]
    assert 0.37 <= enrollments / routed.total() <= 0.43


def test_bodies_have_the_fields_of_the_schemas() -> None:
    old = {"enrollment_state": "_at", "discussion_entry": "_author_id", "attachment": "integration"}
    for name in OF_CANVAS:
        validator, body = VALIDATORS[name], body_name(name)
        missing = validator.known_body_fields - BODIES[body].keys()
        assert BODIES[body].keys() <= validator.known_body_fields
        assert all(old.get(body, "?") in field for field in missing)


def test_bodies_require_what_the_schemas_require() -> None:
    """Otherwise a valid event would be expected on the dead-letter topic."""
    for name in OF_CANVAS:
        fields = BODIES.get(body_name(name))
        if fields is None:
            continue  # the traffic repeats the schema's example
        required = {field for field in fields if fields[field].required}
        assert required == set(VALIDATORS[name].schema["properties"]["body"].get("required", ())), (
            name
        )


@pytest.mark.parametrize("count", [0, 1, 5, 99, 100, 101])
def test_small_plans(count: int) -> None:
    records = list(generate_traffic(TrafficPlan(count=count)))
    assert len(records) == count
    if count >= 100:
        assert {record.expected.code for record in records} == {None, *ROUTER_CODES}


@pytest.mark.parametrize(
    "options", [{"empty": -0.1}, {"empty": 0.6, "unknown": 0.6}, {"count": -1}, {"disorder": -1}]
)
def test_impossible_plans_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        TrafficPlan(**options)  # type: ignore[arg-type]  # the values include wrong types


def test_clean_traffic_is_valid_events_only() -> None:
    records = list(generate_traffic(TrafficPlan.clean(count=2_000)))
    assert {record.expected.destination for record in records} == {Destination.ROUTED}


def test_records_that_are_too_large_are_above_kafka_s_default_limit(
    traffic: list[TrafficRecord],
) -> None:
    large = [len(record.value or b"") for record in traffic if record.expected.code == "too_large"]
    others = [len(record.value or b"") for record in traffic if record.expected.code != "too_large"]
    assert min(large) > EVENT_RECORD_BYTES < min(LARGE_BYTES)
    assert max(others) < 100_000


def test_duplicates_are_the_same_event_in_the_same_or_in_other_bytes(pipeline: Pipeline) -> None:
    plan = TrafficPlan.clean(count=5_000, duplicates=0.1, disorder=50)
    ids: dict[bytes, set[bytes]] = {}
    seen: Counter[bytes] = Counter()
    for record in generate_traffic(plan):
        outcome = pipeline(record.value)
        assert isinstance(outcome, Routed)
        assert record.value is not None
        seen[record.value] += 1
        ids.setdefault(dict(outcome.headers)["ce_id"] or b"", set()).add(record.value)
    byte_equal = sum(count - 1 for count in seen.values())
    other_bytes = sum(len(values) - 1 for values in ids.values())
    assert 200 <= byte_equal <= 320
    assert 180 <= other_bytes <= 300


def test_events_come_out_of_order_within_the_window(pipeline: Pipeline) -> None:
    plan = TrafficPlan.clean(count=3_000, disorder=40, step_ms=1_000)
    moments = []
    for number, record in enumerate(generate_traffic(plan)):
        assert record.timestamp_ms == plan.start_ms + number * plan.step_ms
        outcome = pipeline(record.value)
        assert isinstance(outcome, Routed)
        assert (
            0
            <= record.timestamp_ms / 1000 - outcome.event_time
            <= plan.disorder * plan.step_ms / 1000
        )
        moments.append(outcome.event_time)
    late = sum(moment < before for before, moment in pairwise(moments))
    assert late > 1_000


def test_credentials_of_the_traffic_are_redacted(
    pipeline: Pipeline, traffic: list[TrafficRecord]
) -> None:
    credential = CREDENTIAL.encode()

    def has_credential(value: bytes | None, headers: Iterable[Header]) -> bool:
        return credential in (value or b"") or any(
            credential in (content or b"") for _, content in headers
        )

    with_credential = [record for record in traffic if has_credential(record.value, record.headers)]
    assert len(with_credential) > 500
    for record in with_credential:
        outcome = pipeline(record.value, record.headers)
        assert outcome.redacted
        assert not has_credential(outcome.value, outcome.headers)


def test_the_traffic_has_all_formats() -> None:
    traffic = list(generate_traffic(TrafficPlan(count=20_000, seed=11, mix=Mix.ROSTERS)))
    values = b"\n".join(record.value or b"" for record in traffic if record.expected.code is None)
    for part in (
        b'"attributes"', b'"enrollment_id":"2107', b'"enrollment_id":2107', b'"course_id":"1',
        b'"group_limit":null', b"-0800", b"+05:30", b" UTC",
        b'"job_tag"', b'"real_user_id"', "李小龍".encode(), b"\\u674e", b"\n  ", b'"iss"',
        b'"pronouns"',
    ):  # fmt: skip
        assert part in values, part
    assert {record.key is None for record in traffic} == {True, False}
    assert {bool(record.headers) for record in traffic} == {True, False}
