"""The parts of the demo that need no cluster."""

from __future__ import annotations

import asyncio
import signal

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.canvas.traffic import CREDENTIAL, Expectation, Kind, TrafficPlan, generate_traffic
from app.demo.interrupts import Interrupts
from app.demo.ledger import Difference, Ledger, counted, differences
from app.demo.reading import Found, Sample
from app.demo.report import excerpt
from app.demo.router_process import Reading, parse_metrics
from app.demo.run import Outcome, show
from app.demo.screen import Rate, Screen
from app.events.registry import REGISTRY
from app.metrics import RouterMetrics
from app.topics import TopicNames


def ledger(seed: int = 1) -> Ledger:
    """What a thousand records come to."""
    result = Ledger()
    assert sum(1 for _ in counted(generate_traffic(TrafficPlan(count=1_000, seed=seed)), result)) == 1_000
    return result


def sample(value: bytes | None, **headers: bytes) -> Sample:
    """A record as the reader sees it."""
    return Sample("canvas.dead-letter", 1, 7, None, value, {name.replace("_", "."): content for name, content in headers.items()})


def test_a_ledger_counts_every_record_once() -> None:
    found = ledger()
    assert found.total == found.total_routed + found.unknown + found.total_dead == 1_000
    assert differences(found, ledger()) == []


def test_differences_are_told_by_type_and_by_code() -> None:
    sent, found = Ledger(), Ledger()
    for expected in (
        Expectation(Kind.ROUTED, "user_created", None),
        Expectation(Kind.UNKNOWN, "logged_in", None),
        Expectation(Kind.DEAD_LETTER, None, "empty"),
    ):
        sent.add(expected)
    found.routed["user_updated"] = 1
    assert differences(sent, found) == [
        Difference("routed user_created", 1, 0),
        Difference("routed user_updated", 0, 1),
        Difference("unknown", 1, 0),
        Difference("dead letters empty", 1, 0),
    ]


def outcome_of(sent: Ledger, found: Found, router: Ledger) -> Outcome:
    """Everything that is to be shown."""
    return Outcome(sent, Reading(router.total, router), found, 20)


def test_what_is_as_it_was_sent_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(outcome_of(ledger(), Found(set(), ledger()), ledger()), TopicNames("canvas"), Screen())
    assert "differs" not in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["topics", "router", "bytes", "secrets"])
def test_whatever_is_not_as_it_was_sent_is_shown(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    found, router = Found(set(), ledger()), ledger()
    if fault == "topics":
        found.ledger.dead["not_json"] -= 1
        found.ledger.dead["no code"] += 1
    elif fault == "router":
        router.routed["user_created"] += 1
    elif fault == "bytes":
        found.changed.add(b"{}")
    else:
        found.leaked = 1

    assert not show(outcome_of(ledger(), found, router), TopicNames("canvas"), Screen())

    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  {fault} ")]
    told = {
        "topics": "dead letters not_json: sent",
        "router": "routed user_created: sent",
        "bytes": "1 of 20 documented events did not",
        "secrets": "left in 1",
    }
    assert any(told[fault] in line for line in lines), lines


def test_credentials_and_changed_bytes_are_found() -> None:
    found = Found({b"documented", b"other"})
    found.add(sample(b"documented"), "user_created", dead=False)
    found.add(sample(b"url?access_token=" + CREDENTIAL.encode(), rollcall_redacted=b"x"), None, dead=False)
    found.add(sample(b"", rollcall_error_code=b"empty"), None, dead=True)
    assert (found.changed, found.redacted, found.leaked) == ({b"other"}, 1, 1)
    assert (found.ledger.routed, found.ledger.unknown, found.ledger.dead) == ({"user_created": 1}, 1, {"empty": 1})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (b"", "0 bytes"),
        (b"\x1b[31m\xff\n", r"\x1b[31m\xff\n (7 bytes)"),
        ('{"body":"é\N{RIGHT-TO-LEFT OVERRIDE}"}'.encode(), r'{"body":"é\u202e"} (16 bytes)'),
        (b'{"metadata":{"event_name":"x","user_id":"1"},"body":{"a":1}}', '{"metadata": {"event_name": "x", ... 1 more}, "body": {"a": 1}} (60 bytes)'),
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
    metrics.events_received_total.inc(10)
    metrics.events_routed_total.labels("user_created").inc(4)
    metrics.events_unknown_total.inc(1)
    metrics.dead_letters_total.labels("empty", "unknown").inc(2)
    metrics.dead_letters_total.labels("too_large", "unknown").inc(1)
    metrics.dead_letters_total.labels("too_large", "user_created").inc(2)
    received, found = parse_metrics(generate_latest(metrics.registry).decode())
    assert (received, found.total) == (10, 10)
    assert (found.routed, found.unknown, found.dead) == ({"user_created": 4}, 1, {"empty": 2, "too_large": 3})


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.at(0.0, 0) == 0
    assert rate.at(1.0, 100) == 100
    assert rate.at(2.0, 100) == 50
    assert rate.at(10.0, 100) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_once_and_clearing_up_is_not_disturbed(number: signal.Signals) -> None:
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
