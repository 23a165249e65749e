"""The parts of the demo that need no cluster."""

from __future__ import annotations

import asyncio
import copy
import itertools
import signal
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from rollcall.events.redaction import REPLACEMENT
from rollcall.events.registry import REGISTRY
from rollcall.ingest.metrics import SqsMetrics, WebhookMetrics
from rollcall.process.metrics import RosterMetrics, RouterMetrics
from rollcall.process.topics import TopicNames
from rollcall.rosters.registry import stages
from rollcall.sandbox.canvas.rest.equality import Fault
from rollcall.sandbox.canvas.simulation.truth import Rosters, Truth
from rollcall.sandbox.canvas.traffic import (
    CREDENTIAL,
    Destination,
    Expectation,
    TrafficPlan,
    TrafficRecord,
    documented_traffic,
    generate_traffic,
)
from rollcall.sandbox.demo.arrivals import Arrivals, RawEvent
from rollcall.sandbox.demo.institution import Institution
from rollcall.sandbox.demo.interrupts import Interrupts
from rollcall.sandbox.demo.ledger import Difference, Ledger, count_records, differences
from rollcall.sandbox.demo.metrics import (
    ROSTER_STAGES,
    IngestReading,
    RouterReading,
    read_ingest,
    read_rosters,
    read_router,
)
from rollcall.sandbox.demo.reading import Outputs, Sample
from rollcall.sandbox.demo.reconciling import CanvasComparison, Command, compare_with_canvas
from rollcall.sandbox.demo.report import excerpt, typed_topics
from rollcall.sandbox.demo.results import IngestResults, RosterResults, RouterResults
from rollcall.sandbox.demo.rosters import Effect, mistakes, record_truth, rows_of_courses
from rollcall.sandbox.demo.run import FullReport, show_rosters, show_topics, show_ways_in
from rollcall.sandbox.demo.screen import Rate, Screen
from tests.rosters.reference import rosters as reference_rosters


@cache
def _thousand() -> Ledger:
    result = Ledger()
    assert (
        sum(1 for _ in count_records(generate_traffic(TrafficPlan(count=1_000)), result)) == 1_000
    )
    return result


def ledger() -> Ledger:
    """What a thousand records come to, the caller's to change."""
    return copy.deepcopy(_thousand())


def sample(value: bytes | None, **headers: bytes) -> Sample:
    """A record as the reader sees it."""
    return Sample(
        "canvas.dead-letter",
        1,
        7,
        None,
        value,
        {name.replace("_", "."): content for name, content in headers.items()},
    )


def test_a_ledger_counts_every_record_once() -> None:
    found = ledger()
    assert found.total == found.total_routed + found.unknown + found.total_dead == 1_000
    assert differences(found, ledger()) == []


def test_differences_are_told_by_type_and_by_code() -> None:
    sent, found = Ledger(), Ledger()
    for expected in (
        Expectation(Destination.ROUTED, "user_created", None),
        Expectation(Destination.UNKNOWN, "logged_in", None),
        Expectation(Destination.DEAD_LETTER, None, "empty"),
    ):
        sent.add(expected)
    found.routed["user_updated"] = 1
    assert differences(sent, found) == [
        Difference("routed user_created", 1, 0),
        Difference("routed user_updated", 0, 1),
        Difference("unknown", 1, 0),
        Difference("dead letters empty", 1, 0),
    ]


def routing_of(sent: Ledger, found: Outputs, router: Ledger) -> RouterResults:
    """Everything that is to be shown."""
    return RouterResults(sent, RouterReading(router.total, router), found, 20)


def test_what_is_as_it_was_sent_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_topics(
        routing_of(ledger(), Outputs(set(), ledger()), ledger()), TopicNames("canvas"), Screen()
    )
    assert "differs" not in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["topics", "router", "bytes", "secrets"])
def test_whatever_is_not_as_it_was_sent_is_shown(
    fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, router = Outputs(set(), ledger()), ledger()
    if fault == "topics":
        found.ledger.dead["not_json"] -= 1
        found.ledger.dead["no code"] += 1
    elif fault == "router":
        router.routed["user_created"] += 1
    elif fault == "bytes":
        found.changed.add(b"{}")
    else:
        found.leaked = 1

    assert not show_topics(routing_of(ledger(), found, router), TopicNames("canvas"), Screen())

    lines = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  {fault} ")
    ]
    told = {
        "topics": "dead letters not_json: sent",
        "router": "routed user_created: sent",
        "bytes": "1 of 20 documented events were changed",
        "secrets": "left in 1",
    }
    assert any(told[fault] in line for line in lines), lines


def test_typed_topics_are_shown_by_family_and_wrong_ones_by_name() -> None:
    sent, found = Ledger(), Ledger()
    for ledgers, names in (
        ((sent, found), ["wiki_page_created", "wiki_page_updated", "wiki_page_updated"]),
        ((sent, found), ["heartbeat", "module_created"]),
        ((sent,), ["module_updated"]),
        ((found,), ["not_a_type"]),
    ):
        for each in ledgers:
            each.routed.update(names)
    console = Console(width=80)
    with console.capture() as capture:
        console.print(typed_topics(TopicNames("canvas"), sent, found))
    lines = [" ".join(line.split()) for line in capture.get().splitlines()]
    for line in (
        "wiki_page (2 types) 3 3 ok",
        "heartbeat (1 type) 1 1 ok",
        "module (1 type) 1 1 ok",
        "module_updated 1 0 differs",
        "not_a_type 0 1 differs",
    ):
        assert any(line in each for each in lines), (line, lines)


def test_credentials_and_changed_bytes_are_found() -> None:
    found = Outputs({b"documented", b"other"})
    found.add(sample(b"documented"), "user_created", dead=False)
    found.add(
        sample(b"url?access_token=" + CREDENTIAL.encode(), rollcall_redacted=b"x"), None, dead=False
    )
    found.add(sample(b"", rollcall_error_code=b"empty"), None, dead=True)
    assert (found.changed, found.redacted, found.leaked) == ({b"other"}, 1, 1)
    assert (found.ledger.routed, found.ledger.unknown, found.ledger.dead) == (
        {"user_created": 1},
        1,
        {"empty": 1},
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (b"", "0 bytes"),
        (b"\x1b[31m\xff\n", r"\x1b[31m\xff\n (7 bytes)"),
        ('{"body":"é\N{RIGHT-TO-LEFT OVERRIDE}"}'.encode(), r'{"body":"é\u202e"} (16 bytes)'),
        (
            b'{"metadata":{"event_name":"x","user_id":"1"},"body":{"a":1}}',
            '{"metadata": {"event_name": "x", ... 1 more}, "body": {"a": 1}} (60 bytes)',
        ),
        (b'{"metadata":[],"body":1}', '{"metadata":[],"body":1} (24 bytes)'),
    ],
)
def test_excerpts_are_one_line_that_no_terminal_misreads(value: bytes | None, shown: str) -> None:
    assert excerpt(value) == shown


def test_long_values_are_shortened() -> None:
    assert excerpt(b"x" * 70_000).endswith("... (70,000 bytes)")
    assert len(excerpt(b"\xff" * 70_000)) < 300


def test_metrics_are_read_as_the_router_writes_them() -> None:
    metrics = RouterMetrics(CollectorRegistry(), REGISTRY)
    metrics.events_received_total.inc(12)
    metrics.events_routed_total.labels("user_created").inc(4)
    metrics.events_unknown_total.inc(1)
    metrics.events_not_selected_total.inc(2)
    metrics.dead_letters_total.labels("empty", "unknown").inc(2)
    metrics.dead_letters_total.labels("too_large", "unknown").inc(1)
    metrics.dead_letters_total.labels("too_large", "user_created").inc(2)
    received, found = read_router(generate_latest(metrics.registry).decode())
    assert (received, found.total) == (12, 12)
    assert (found.routed, found.unknown, found.dead) == (
        {"user_created": 4},
        3,
        {"empty": 2, "too_large": 3},
    )


def test_metrics_are_read_as_the_rosters_write_them() -> None:
    names = [stage.name for stage in stages(None)]
    assert {
        stage.name
        for stage in stages(None)
        if all(output.startswith("rosters.") for output in stage.outputs)
    } == ROSTER_STAGES
    metrics = RosterMetrics(CollectorRegistry(), names, REGISTRY)
    for count, name in enumerate(names, 1):
        metrics.stage_records_total.labels(name).inc(count)
        metrics.rows_published_total.labels(name).inc(10 * count)
        metrics.rows_withdrawn_total.labels(name).inc(100 * count)
    metrics.consumer_lag_records.labels("events", "0").set(5)
    metrics.consumer_lag_records.labels("events", "1").set(2)
    reading = read_rosters(generate_latest(metrics.registry).decode())
    assert (reading.consumed, reading.written, reading.lag) == (1 + 2 + 3 + 4 + 5, 440 + 550, 7)
    assert reading.lags.keys() == {("events", 0), ("events", 1)}


def test_metrics_are_read_as_ingest_writes_them() -> None:
    sqs, webhook = SqsMetrics(CollectorRegistry()), WebhookMetrics(CollectorRegistry(), ())
    sqs.received_total.inc(9)
    sqs.deleted_total.inc(7)
    webhook.request(204, 0.1)
    webhook.request(503, 0.1)
    pages = (generate_latest(metrics.registry).decode() for metrics in (sqs, webhook))
    assert read_ingest(*pages) == IngestReading(deleted=7, accepted=1)


TWO_EVENTS = [b'{"metadata":{"event_name":"a"},"body":{"id":%d}}' % number for number in (1, 2)]


def ingest_results() -> IngestResults:
    """Two events, one of them twice in the queue, and one signed."""
    results = IngestResults(Arrivals(), Arrivals(), 0, IngestReading(deleted=3, accepted=1))
    for value in (*TWO_EVENTS, TWO_EVENTS[0]):
        results.queue.add_sent(value)
        results.queue.add_found(RawEvent("sqs", 0, value))
    results.webhook.add_sent(TWO_EVENTS[1])
    signed = TWO_EVENTS[1][:-1] + b',"iss":"canvas","iat":1}'
    results.webhook.add_found(RawEvent("https", 1, signed))
    return results


def test_the_ways_in_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_ways_in(ingest_results(), TopicNames("canvas"), Screen())
    out = " ".join(capsys.readouterr().out.split())
    assert "SQS queue 3 3 3 deleted ok" in out
    assert "signed HTTPS 1 1 1 answered with 204 ok" in out
    assert "1 events came twice, each into the partition of its twin" in out
    assert "queue empty" in out
    assert "repeated" not in out


def test_a_repeated_delivery_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    results = ingest_results()
    results.queue.add_found(RawEvent("sqs", 1, TWO_EVENTS[1]))
    results.queue.partitions.clear()
    results = results._replace(reading=IngestReading(deleted=4, accepted=1))
    assert show_ways_in(results, TopicNames("canvas"), Screen())
    assert "repeated 1 deliveries" in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["lost", "parted", "left", "not deleted", "not answered"])
def test_what_does_not_arrive_is_shown(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    results = ingest_results()
    match fault:
        case "lost":
            results.queue.add_sent(b'{"metadata":{"event_name":"a"},"body":{"id":3}}')
            results = results._replace(reading=IngestReading(deleted=4, accepted=1))
        case "parted":
            results.queue.add_found(RawEvent("sqs", 1, TWO_EVENTS[0]))
        case "left":
            results = results._replace(left=2)
        case "not deleted":
            results = results._replace(reading=IngestReading(deleted=2, accepted=1))
        case "not answered":
            results = results._replace(reading=IngestReading(deleted=3, accepted=0))
    assert not show_ways_in(results, TopicNames("canvas"), Screen())
    out = capsys.readouterr().out
    assert {
        "lost": "1 missing",
        "parted": "are in two partitions",
        "left": "2 messages are left",
        "not deleted": "2 deleted",
        "not answered": "0 answered",
    }[fault] in out


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.at(0.0, 0) == 0
    assert rate.at(1.0, 100) == 100
    assert rate.at(2.0, 100) == 50
    assert rate.at(10.0, 100) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_once_and_clearing_up_is_not_disturbed(
    number: signal.Signals,
) -> None:
    interrupts, cleared = Interrupts(), []

    async def work() -> None:
        try:
            signal.raise_signal(number)
            await asyncio.sleep(60)
        finally:
            signal.raise_signal(number)
            await asyncio.sleep(0.01)
            cleared.append(True)

    with interrupts.handled(), pytest.raises(KeyboardInterrupt):
        interrupts.run(work())
    assert cleared
    assert interrupts.exit_code == 128 + number


def test_a_signal_outside_of_the_event_loop_is_a_keyboard_interrupt() -> None:
    interrupts = Interrupts()
    with interrupts.handled():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_work_that_is_not_interrupted_has_its_result() -> None:
    async def work() -> int:
        return 7

    assert Interrupts().run(work()) == 7


# --- rosters


def traffic(institution: Institution) -> Iterator[TrafficRecord]:
    """All that the demo sends, a little less of it."""
    return itertools.chain(
        documented_traffic(), generate_traffic(TrafficPlan(count=5_000)), institution.records()
    )


@pytest.fixture(scope="module")
def roster_results() -> RosterResults:
    """A demo in which all is well."""
    institution, truth = Institution(1), Truth(None)
    courses = {institution.example.course.gid, institution.example.other.gid}
    for _ in record_truth(traffic(institution), truth):
        pass
    scenes = []
    for act in (institution.cross_list, institution.delete_course):
        before = truth.rosters()
        (record,) = record_truth([act()], truth)
        assert record.expected.event_name is not None
        scenes.append(
            Effect(
                record.expected.event_name,
                0.25,
                rows_of_courses(before, courses),
                rows_of_courses(truth.rosters(), courses),
            )
        )
    moved, deleted = scenes
    return RosterResults(institution.example, moved, deleted, truth.rosters(), truth.rosters())


def test_a_user_with_the_id_of_a_course_is_not_of_the_course() -> None:
    rosters: Rosters = {
        "courses": {"7": {}, "8": {}},
        "groups": {"7/1": {}, "account:7/2": {}},
        "users": {"7": {}},
    }
    assert rows_of_courses(rosters, {"7"}) == {
        "courses": {"7": {}},
        "groups": {"7/1": {}},
        "users": {},
    }


def test_the_truth_of_all_that_is_sent_is_what_another_reading_of_the_rules_gives() -> None:
    institution, truth = Institution(1), Truth(None)
    valid = [
        (record.expected.event_name, record.value.replace(CREDENTIAL.encode(), REPLACEMENT))
        for record in record_truth(traffic(institution), truth)
        if record.expected.destination is Destination.ROUTED
        and record.value is not None
        and record.expected.event_name is not None
    ]
    found = truth.rosters()
    assert found == reference_rosters(valid)
    assert all(found.values())


@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 8))]
)
def test_every_institution_has_a_story(seed: int) -> None:
    institution, truth = Institution(seed), Truth(None)
    for _ in record_truth(institution.records(), truth):
        pass
    course, section, other = (row.gid for row in institution.example)

    def people(course_id: str) -> list[dict[str, str]]:
        return [
            row for row in truth.rosters()["enrollments"].values() if row["course_id"] == course_id
        ]

    before, there = len(people(course)), len(people(other))
    of_section = sum(row["course_section_id"] == section for row in people(course))
    assert 5 <= of_section < before
    (record,) = record_truth([institution.cross_list()], truth)
    assert record.expected.event_name == "course_section_updated"
    assert (len(people(course)), len(people(other))) == (before - of_section, there + of_section)
    (record,) = record_truth([institution.delete_course()], truth)
    assert record.expected.event_name == "course_updated"
    assert all(row["state"] in ("deleted", "rejected") for row in people(course))
    assert len(people(other)) == there + of_section


def test_the_same_seed_gives_the_same_story() -> None:
    one, other = Institution(3), Institution(3)
    assert [row.gid for row in one.example] == [row.gid for row in other.example]
    assert len(one) == len(other)


def test_the_story_is_shown(
    roster_results: RosterResults, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show_rosters(roster_results, TopicNames("canvas"), Screen())
    out = capsys.readouterr().out
    course, other = roster_results.example.course, roster_results.example.other
    was, is_ = (
        sum(row["course_id"] == course.gid for row in rosters["enrollments"].values())
        for rosters in (roster_results.moved.before, roster_results.moved.after)
    )
    assert f"… and {was - 12} more; in all " in out
    assert f"1 event moved {was - is_} enrollments, 0.2 s after it was sent." in out
    assert f"{is_} deleted" in out
    for name in (course.name, other.name, roster_results.example.section.name):
        assert name in out
    assert out.count("equal\n") == 6
    assert max(map(len, out.splitlines())) <= 80


def test_rows_that_are_not_true_are_shown(
    roster_results: RosterResults, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {relation: dict(rows) for relation, rows in roster_results.truth.items()}
    missing, changed = sorted(found["groups"])[:2]
    del found["groups"][missing]
    found["groups"][changed] = found["groups"][changed] | {"state": "asleep"}
    found["courses"]["nobody's"] = {}
    here = roster_results.example.course.gid
    deleted = {
        relation: {**rows, f"{here}/7": {"not a row": "garbage"}}
        for relation, rows in roster_results.deleted.after.items()
    }
    roster_results = roster_results._replace(
        deleted=roster_results.deleted._replace(after=deleted),
        moved=roster_results.moved._replace(before=deleted),
    )

    assert not show_rosters(roster_results._replace(found=found), TopicNames("canvas"), Screen())

    right = roster_results.truth["groups"][changed]["state"]
    assert mistakes(roster_results.truth, found) == {
        "courses": ["nobody's should not be there"],
        "sections": [],
        "enrollments": [],
        "groups": [
            f"{missing} is missing",
            f'{changed}: state is "asleep", and should be "{right}"',
        ],
        "memberships": [],
        "users": [],
    }
    out = capsys.readouterr().out
    assert "1 wrong\n" in out
    assert "2 wrong\n" in out
    assert "  courses: nobody's should not be there\n" in out


# --- reconcile


def full_report() -> FullReport:
    """A report without results."""
    return FullReport(TopicNames("canvas"), Screen(), Path("demo"))


def rosters_of_events(institution: Institution) -> Rosters:
    """What events say."""
    truth = Truth(None)
    for _ in record_truth(institution.records(), truth):
        pass
    return truth.rosters()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_events_do_not_say_what_canvas_has(seed: int) -> None:
    institution = Institution(seed)
    rosters = rosters_of_events(institution)
    before = compare_with_canvas(institution.world, rosters)
    institution.import_silently()
    after = compare_with_canvas(institution.world, rosters)
    assert {row.fault for row in before.wrong} == {*Fault}
    assert len(after.wrong) > len(before.wrong)
    for relation, required in after.in_canvas.items():
        faults = Counter(row.fault for row in after.wrong if row.relation == relation)
        found = required - faults[Fault.MISSING] + faults[Fault.LEFT_OVER]
        assert after.in_rosters[relation] == found


def test_rows_that_are_not_as_in_canvas_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    institution = Institution(1)
    wrong = compare_with_canvas(institution.world, rosters_of_events(institution))
    report = full_report()
    report.show_older("http://127.0.0.1:7", wrong)
    assert not report.conclude(wrong)
    out = capsys.readouterr().out
    assert f"{len(wrong.wrong):,} rows are not as in Canvas." in out
    for row in wrong.wrong[:5]:
        assert f"{row.relation}: {row.id} is {row.fault}" in out
    assert "ROLLCALL_RECONCILE_MARGIN_SECONDS=10" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_is_not_complete_is_a_fault(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    report = full_report()
    lines = [f"line {number}" for number in range(25)]
    report.show_command(Command("rollcall reconcile", 1.25, code, lines, Path("reconcile.log")))
    assert report.conclude(CanvasComparison(Counter(), Counter(), [])) == (code == 0)
    out = capsys.readouterr().out
    assert ("rollcall reconcile ended with code 1. Its log is reconcile.log" in out) == bool(code)
    assert "line 19\n" in out
    assert "… and 5 more lines\n" in out
