"""``rollcall dead-letters`` on a real broker: what is found, shown, sent again and written out, and
what it says when it cannot.
"""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from rollcall.dead_letters.reading import read_selected
from rollcall.dead_letters.selection import Selection
from rollcall.events.outcomes import ErrorCode
from rollcall.events.publishing import ERROR_PREFIX
from rollcall.kafka.partitioner import partitioner
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.broker.node import Node
from rollcall.settings import load_settings
from tests.dead_letters.command import environment
from tests.dead_letters.conftest import DeadLetters
from tests.dead_letters.records import dead_letter, event
from tests.kafka_client import (
    Sent,
    admin_client,
    create_topic,
    delete_records,
    headers,
    in_time,
    limit_record_size,
    read_all,
    send,
)
from tests.processes import PROGRAM, RouterProcess, wait_until
from tests.tools import needs_terminal
from tests.waiting import run_bytes, wait_for_exit

PARTITIONS = 3
NOW = int(time.time() * 1000)
MINUTE, HOUR = 60_000, 3_600_000
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e"
STEERS = re.compile("[\x07\x1b\x9b\u202e]")

GOOD, BAD = event("user_created", name="Isaac Newton"), event("user_created", name=5)


@pytest.fixture
def topics(bootstrap: str, prefix: str) -> str:
    """The prefix of topics that are there, and empty."""
    for name in ("raw", "dead-letter", "unknown"):
        create_topic(bootstrap, f"{prefix}.{name}", PARTITIONS)
    return prefix


def readable(bootstrap: str, topic: str, count: int) -> list[Message]:
    """The records of a topic, once readers of what is committed are shown so many: the end that
    they are told lags for a moment.
    """
    messages = read_all(bootstrap, [topic], at_least=count)
    assert len(messages) == count
    return messages


async def offsets(bootstrap: str, prefix: str, **selection: Any) -> list[tuple[int, int]]:
    """Partitions and offsets of the dead letters that are meant."""
    batches = read_selected(
        load_settings(), bootstrap, f"{prefix}.dead-letter", Selection(**selection)
    )
    return [
        (record.partition, record.offset) async for batch in batches for record in batch.records
    ]


async def test_what_is_committed_is_found_wherever_there_are_gaps(
    bootstrap: str, topics: str
) -> None:
    topic = f"{topics}.dead-letter"
    send(bootstrap, topic, [dead_letter(None, ErrorCode.EMPTY, partition=0)] * 3)
    send(
        bootstrap,
        topic,
        [dead_letter(BAD, partition=n % 2) for n in range(4)],
        transactional_id=f"{topics}-1",
    )
    send(
        bootstrap,
        topic,
        [dead_letter(GOOD, partition=n % 3) for n in range(6)],
        transactional_id=f"{topics}-2",
        commit=False,
    )
    send(bootstrap, topic, [dead_letter(BAD, partition=0)], transactional_id=f"{topics}-3")
    delete_records(bootstrap, topic, 0, before=1)
    readable(bootstrap, topic, 7)
    open_one = Producer({"bootstrap.servers": bootstrap, "transactional.id": topics})
    open_one.init_transactions(30)
    open_one.begin_transaction()
    open_one.produce(topic, BAD, partition=1)
    open_one.flush(30)
    # Partition 0: 1 and 2, then two and a marker, two aborted and a marker, one and a marker.
    assert await offsets(bootstrap, topics) == [
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (0, 9),
        (1, 0),
        (1, 1),
    ]
    assert await offsets(bootstrap, topics, partition=0, from_offset=2, to_offset=9) == [
        (0, 2),
        (0, 3),
        (0, 4),
    ]
    assert await offsets(bootstrap, topics, codes=frozenset({ErrorCode.EMPTY})) == [(0, 1), (0, 2)]
    assert await offsets(bootstrap, topics, partition=2) == []
    open_one.abort_transaction(30)


async def test_what_is_written_meanwhile_is_left_out(bootstrap: str, topics: str) -> None:
    """Otherwise a replay would go on with what it has sent itself, and failed again."""
    topic = f"{topics}.dead-letter"
    send(bootstrap, topic, [dead_letter(BAD, partition=n % PARTITIONS) for n in range(3_000)])
    readable(bootstrap, topic, 3_000)
    seen = 0
    async for batch in read_selected(load_settings(), bootstrap, topic, Selection()):
        seen += len(batch.records)
        send(
            bootstrap,
            topic,
            [
                dead_letter(record.value, partition=(record.partition + 1) % PARTITIONS)
                for record in batch.records
            ],
        )
    assert seen == 3_000


async def test_times_are_those_of_records_in_whatever_order(bootstrap: str, topics: str) -> None:
    minutes = [50, 10, 90, 30, 70, 20]
    send(
        bootstrap,
        f"{topics}.dead-letter",
        [dead_letter(BAD, partition=0, timestamp_ms=NOW - minute * MINUTE) for minute in minutes],
    )
    readable(bootstrap, f"{topics}.dead-letter", len(minutes))
    for since, until in ((60, 0), (95, 60), (15, 0), (5, 0), (30, 20), (1_000, 0)):
        meant = [(0, offset) for offset, minute in enumerate(minutes) if since >= minute > until]
        assert (
            await offsets(
                bootstrap, topics, since_ms=NOW - since * MINUTE, until_ms=NOW - until * MINUTE
            )
            == meant
        )


def test_they_are_counted(dead_letters: DeadLetters, bootstrap: str, topics: str) -> None:
    hour = NOW - NOW % HOUR
    records = [
        dead_letter(BAD, timestamp_ms=hour - HOUR),
        dead_letter(BAD, timestamp_ms=hour),
        dead_letter(b"<html>", ErrorCode.NOT_JSON, path="", timestamp_ms=hour),
    ]
    send(bootstrap, f"{topics}.dead-letter", [*records, dead_letter(BAD, timestamp_ms=hour + 1)])
    send(
        bootstrap,
        f"{topics}.unknown",
        [Sent(event("user_created").replace(b"user_created", b"quizzes.item_created"))] * 2,
    )
    readable(bootstrap, f"{topics}.unknown", 2)
    readable(bootstrap, f"{topics}.dead-letter", 4)
    violation = {
        "code": "schema_violation",
        "event_name": "user_created",
        "schema": "urn:rollcall:canvas:user_created:1.0.0",
        "path": "/body/name",
    }
    written = [
        time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(moment // 1000))
        for moment in (hour, hour - HOUR)
    ]
    found = json.loads(dead_letters("list", "--json").stdout)
    assert (found["topic"], found["records"]) == (f"{topics}.dead-letter", 4)
    assert sorted(found["groups"], key=str) == sorted(
        [
            violation | {"hour": written[0], "count": 2},
            violation | {"hour": written[1], "count": 1},
            {
                "code": "not_json",
                "event_name": "",
                "schema": "",
                "path": "",
                "hour": written[0],
                "count": 1,
            },
        ],
        key=str,
    )
    assert (
        json.loads(
            dead_letters("list", "--json", "--event", "user_created", "--since", written[0]).stdout
        )["records"]
        == 2
    )
    (unknown,) = json.loads(dead_letters("list", "--json", "--from", "unknown").stdout)["groups"]
    found = (unknown["event_name"], unknown["code"], unknown["count"])
    assert found == ("quizzes.item_created", "", 2)
    lines = dead_letters("list").lines
    assert lines[2].split()[:5] == [
        "3",
        "schema_violation",
        "user_created",
        "/body/name",
        written[1][:10],
    ]
    assert lines[-1] == f"4 records on {topics}.dead-letter"
    nothing = dead_letters("list", "--code", "too_large")
    assert (nothing.returncode, nothing.stdout.decode()) == (
        0,
        f"0 records on {topics}.dead-letter match, of 4 read\n",
    )


def terminal(bootstrap: str, prefix: str, *arguments: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [*PROGRAM, "dead-letters", *arguments]
    with subprocess.Popen(
        command,
        env=environment(bootstrap, prefix) | {"TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        written = b""
        while chunk := _read(ours):
            written += chunk
        assert wait_for_exit(process) == 0, written
    os.close(ours)
    return written.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # nobody has the other end any more
        return b""


@needs_terminal()
def test_nothing_that_somebody_sent_steers_the_terminal(
    dead_letters: DeadLetters, bootstrap: str, topics: str
) -> None:
    hostile = HOSTILE.encode()
    errors = tuple(
        (f"{ERROR_PREFIX}{name}", hostile)
        for name in ("message", "path", "schema", "topic", "partition", "offset", "attempt", "size")
    )
    value = orjson.dumps(
        {
            "metadata": {"event_name": HOSTILE, "event_time": "2024-01-01T00:00:00Z"},
            "body": {HOSTILE: HOSTILE},
        }
    )
    others = (("ce_type", hostile), (HOSTILE, hostile), (f"{ERROR_PREFIX}code", b"not_json"))
    send(
        bootstrap,
        f"{topics}.dead-letter",
        [
            Sent(value, hostile, 0, (*errors, *others)),
            Sent(b"a\tb\n" + hostile + b"\xff", hostile, 0, (*errors, *others)),
        ],
    )
    readable(bootstrap, f"{topics}.dead-letter", 2)
    for arguments in (["list"], ["show"], ["replay"], ["export", "--raw"]):
        assert not STEERS.search(terminal(bootstrap, topics, *arguments)), arguments
    raw = terminal(bootstrap, topics, "show", "--raw")
    assert not STEERS.search(raw)
    assert raw.splitlines()[1:] == ["a       b", "\\u001b]0;owned\\u0007\\u001b[2J\\u202e\\xff"]
    # Into a pipe or a file goes what is there.
    assert dead_letters("show", "--raw").stdout == value + b"\na\tb\n" + hostile + b"\xff\n"


def test_they_are_shown(dead_letters: DeadLetters, bootstrap: str, topics: str) -> None:
    send(
        bootstrap,
        f"{topics}.dead-letter",
        [dead_letter(BAD, partition=n % PARTITIONS, key=b"%d" % n) for n in range(9)],
    )
    readable(bootstrap, f"{topics}.dead-letter", 9)
    places = re.compile(rf"^{topics}\.dead-letter, partition (\d), offset (\d)$", re.MULTILINE)
    shown = dead_letters("show").stdout.decode()
    assert places.findall(shown) == [("0", "0"), ("0", "1"), ("0", "2"), ("1", "0"), ("1", "1")]
    assert "      name: whole number, 1 digit\n" in shown
    one = dead_letters("show", "--partition", "2", "--offset", "1").stdout.decode()
    assert places.findall(one) == [("2", "1")]
    assert "  from     canvas.raw, partition 2, offset 7\n" in one
    (read,) = [
        message
        for message in read_all(bootstrap, [f"{topics}.dead-letter"])
        if (message.partition(), message.offset()) == (2, 1)
    ]
    assert (
        dead_letters("show", "--partition", "2", "--offset", "1", "--raw").stdout
        == cast(bytes, read.value()) + b"\n"
    )
    process = subprocess.Popen(
        [*PROGRAM, "dead-letters", "show"],
        env=environment(bootstrap, topics),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()  # whoever reads has seen enough
    assert process.stderr is not None
    assert (process.stderr.read(), wait_for_exit(process)) == (b"", 0)
    process.stderr.close()


def test_what_is_sent_again_is_the_raw_record(
    dead_letters: DeadLetters, bootstrap: str, topics: str
) -> None:
    old = NOW - 20 * 24 * HOUR
    own = (("origin", b"sqs"), ("rollcall.redacted", b"access_token"))
    send(
        bootstrap,
        f"{topics}.dead-letter",
        [
            dead_letter(GOOD, key=b"key", partition=1, timestamp_ms=old, headers=own, attempt=2),
            dead_letter(GOOD, partition=2, timestamp_ms=old),
            dead_letter(GOOD, partition=0, attempt=3),
            dead_letter(BAD, partition=0),
            dead_letter(GOOD[:100], ErrorCode.TOO_LARGE, partition=0),
        ],
    )
    readable(bootstrap, f"{topics}.dead-letter", 5)
    result = dead_letters("replay")
    assert (
        result.lines[-1]
        == f"2 of 5 records of {topics}.dead-letter would be sent to {topics}.raw; to send them, "
        "add --send"
    )
    assert not read_all(bootstrap, [f"{topics}.raw"])
    result = dead_letters("replay", "--send")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.lines[2:] == [
        "2 yes user_created is valid now",
        "1 no user_created has failed too often (schema_violation)",
        "1 no is incomplete: too large and cut, or withheld (too_large)",
        "1 no user_created would fail again (schema_violation)",
        f"2 of 5 records of {topics}.dead-letter were sent to {topics}.raw",
    ]
    keyed, unkeyed = sorted(
        readable(bootstrap, f"{topics}.raw", 2), key=lambda message: message.key() is None
    )
    assert (keyed.key(), keyed.value(), unkeyed.key(), unkeyed.value()) == (
        b"key",
        GOOD,
        None,
        GOOD,
    )
    assert (keyed.partition(), unkeyed.partition()) == (partitioner(PARTITIONS)(b"key"), 2)
    assert headers(keyed) == dict(own) | {f"{ERROR_PREFIX}attempt": b"2"}
    assert headers(unkeyed) == {f"{ERROR_PREFIX}attempt": b"1"}
    assert min(keyed.timestamp()[1], unkeyed.timestamp()[1]) >= NOW, (
        "or retention would delete what follows from them"
    )


def test_unknown_events_are_sent_when_they_have_a_schema_now(
    dead_letters: DeadLetters, bootstrap: str, topics: str
) -> None:
    still = event("user_created").replace(b"user_created", b"quizzes.item_created")
    send(bootstrap, f"{topics}.unknown", [Sent(GOOD, b"k"), Sent(still), Sent(BAD)])
    readable(bootstrap, f"{topics}.unknown", 3)
    result = dead_letters("replay", "--from", "unknown", "--send")
    assert result.lines[2:5] == [
        "1 yes user_created is valid now",
        "1 no quizzes.item_created has no schema",
        "1 no user_created would fail again (schema_violation)",
    ]
    (sent,) = readable(bootstrap, f"{topics}.raw", 1)
    assert (sent.key(), sent.value(), sent.headers()) == (b"k", GOOD, None)
    result = dead_letters("replay", "--from", "unknown", "--also-invalid", "--send")
    assert result.lines[-1].startswith("2 of 3 ")
    assert {message.value() for message in readable(bootstrap, f"{topics}.raw", 3)} == {GOOD, BAD}


def test_attempts_are_counted_by_the_router_and_have_an_end(
    dead_letters: DeadLetters, bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    with RouterProcess(tmp_path, bootstrap, prefix, breaker_ratio=0) as router:
        router.wait_ready()
        send(bootstrap, f"{prefix}.raw", [Sent(BAD, b"k", headers=(("origin", b"sqs"),))])
        for attempt in (1, 2):
            found = readable(bootstrap, f"{prefix}.dead-letter", attempt)
            assert [
                headers(message)[f"{ERROR_PREFIX}attempt"]
                for message in sorted(found, key=lambda message: message.timestamp())
            ][-1] == b"%d" % attempt
            # Only the last one: what was replayed before is still there, and would be sent again.
            place = str(max(cast(int, message.offset()) for message in found))
            chosen = ["--partition", str(found[0].partition()), "--from-offset", place]
            result = dead_letters(
                "replay", "--also-invalid", "--send", "--most-attempts", "2", *chosen
            )
            assert result.lines[-1].startswith("1 of 1 " if attempt < 2 else "0 of 1 ")
        assert router.end() == 0
    assert all(
        headers(message)["origin"] == b"sqs"
        for message in readable(bootstrap, f"{prefix}.dead-letter", 2)
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_replay_that_is_broken_off_and_run_again_loses_nothing(
    dead_letters: DeadLetters, bootstrap: str, topics: str, number: signal.Signals
) -> None:
    values = [event("user_created", name=f"Isaac {n}") for n in range(600)]
    send(
        bootstrap,
        f"{topics}.dead-letter",
        [dead_letter(value, partition=n % PARTITIONS) for n, value in enumerate(values)],
    )
    readable(bootstrap, f"{topics}.dead-letter", len(values))
    program = [
        sys.executable,
        str(Path(__file__).with_name("killed.py")),
        number.name,
        "dead-letters",
        "replay",
        "--send",
    ]
    killed = run_bytes(program, env=environment(bootstrap, topics))
    assert killed.returncode != 0
    some = readable(bootstrap, f"{topics}.raw", 200)
    if number is signal.SIGINT:
        assert (
            b"rollcall: interrupted; 200 records were sent; run it again: it starts "
            b"from the beginning, and nothing is lost\n" in killed.stderr
        )
        assert b"Traceback" not in killed.stderr
    assert dead_letters("replay", "--send").returncode == 0
    sent = Counter(message.value() for message in readable(bootstrap, f"{topics}.raw", 800))
    assert sent == Counter(values) + Counter(message.value() for message in some)


def test_a_raw_topic_that_does_not_take_a_record_says_so(
    dead_letters: DeadLetters, bootstrap: str, topics: str
) -> None:
    limit_record_size(bootstrap, f"{topics}.raw", 2_000)
    noise = base64.b64encode(os.urandom(4_000)).decode()
    send(
        bootstrap,
        f"{topics}.dead-letter",
        [
            dead_letter(GOOD, partition=0),
            dead_letter(event("user_created", name=noise), partition=1),
        ],
    )
    readable(bootstrap, f"{topics}.dead-letter", 2)
    refused = dead_letters("replay", "--send")
    assert refused.returncode == 1
    first, last = refused.stderr.decode().splitlines()
    assert first.startswith("rollcall: interrupted; 1 records were sent")
    assert last.startswith(
        f"rollcall: {topics}.raw refuses a record of this size: raise its max.message.bytes"
    )
    limit_record_size(bootstrap, f"{topics}.raw", 20_000)
    assert dead_letters("replay", "--send").returncode == 0
    assert len(readable(bootstrap, f"{topics}.raw", 3)) == 3


def test_an_export_is_for_its_owner_and_holds_every_byte(
    dead_letters: DeadLetters, bootstrap: str, topics: str, tmp_path: Path
) -> None:
    sent = [
        dead_letter(GOOD, key=b"\xff"),
        dead_letter(None, ErrorCode.EMPTY, key=b"k"),
        dead_letter(b"\xff\x00", ErrorCode.NOT_JSON, headers=(("x", b"\xfe"),)),
    ]
    send(bootstrap, f"{topics}.dead-letter", sent)
    messages = readable(bootstrap, f"{topics}.dead-letter", 3)
    file = tmp_path / "letters.jsonl"
    result = dead_letters("export", "--raw", "--output", str(file))
    assert (result.returncode, result.stdout, result.stderr.decode()) == (
        0,
        b"",
        f"3 records in {file}\n",
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]

    def back(written: Any) -> bytes | None:
        return (
            base64.b64decode(written["base64"])
            if isinstance(written, dict)
            else None
            if written is None
            else written.encode()
        )

    found = {
        (line["partition"], line["offset"]): (
            back(line["key"]),
            back(line["value"]),
            [(n, back(c)) for n, c in line["headers"]],
        )
        for line in lines
    }
    assert found == {
        (message.partition(), message.offset()): (message.key(), message.value(), message.headers())
        for message in messages
    }
    redacted = dead_letters("export")
    assert len(redacted.stdout.splitlines()) == 3
    assert b"Newton" not in redacted.stdout
    again = dead_letters("export", "--output", str(file))
    assert again.returncode == 2
    assert b"cannot be written (File exists); name a file that does not exist" in again.stderr
    none = dead_letters("export", "--code", "too_large", "--output", str(tmp_path / "none"))
    assert (none.returncode, (tmp_path / "none").exists()) == (1, False)


def test_what_is_wrong_is_said(dead_letters: DeadLetters, topics: str) -> None:
    for arguments, code, message in (
        ("list --from unknown --code empty", 2, "--code is for dead letters"),
        (
            "replay --from unknown --most-attempts 2",
            2,
            "--most-attempts is for dead letters",
        ),
        ("show --offset 3", 2, "an offset belongs to a partition: add --partition"),
        ("show --partition 0 --offset 3 --from-offset 2", 2, "--offset is one record"),
        ("list --since yesterday", 2, "'yesterday' is not a time: write an age such as 2h or 3d"),
        ("list --code wrong", 2, "is not one of"),
        (
            "list --partition 9",
            2,
            f"{topics}.dead-letter has no partition 9: its partitions are 0 to 2",
        ),
        ("show", 1, f"there is no record on {topics}.dead-letter\n"),
        (
            "replay --event group_created",
            1,
            f"there is no record on {topics}.dead-letter that matches\n",
        ),
        ("export --from unknown", 1, f"there is no record on {topics}.unknown\n"),
    ):
        result = dead_letters(*arguments.split())
        assert (result.returncode, result.stdout) == (code, b""), arguments
        assert message in result.stderr.decode(), arguments


def test_without_a_topic_or_a_broker(
    dead_letters: DeadLetters, bootstrap: str, prefix: str
) -> None:
    missing = dead_letters("list")
    assert (missing.returncode, missing.stderr.count(b"\n")) == (1, 1)
    assert missing.stderr.startswith(
        f"rollcall: there is no topic {prefix}.dead-letter at {bootstrap}, or this user may not "
        "see it".encode()
    )
    nobody = dead_letters("replay", "--send", bootstrap="127.0.0.1:1")
    assert (nobody.returncode, nobody.stderr.count(b"interrupted")) == (3, 0)
    assert nobody.stderr.splitlines()[-1].startswith(
        f"rollcall: {prefix}.raw cannot be read from Kafka at 127.0.0.1:1 ".encode()
    )


def test_without_the_right(
    dead_letters: DeadLetters,
    jars: Path,
    tmp_path: Path,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a broker that has rules for topics: what is not allowed is said, and is no broker that is
    away.
    """
    properties = Node.properties
    rules = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    monkeypatch.setattr(Node, "properties", lambda node, data: properties(node, data) | rules)
    with EmbeddedBroker(tmp_path / "kafka", jars=jars) as broker:
        for name in ("raw", "dead-letter", "unknown"):
            create_topic(broker.bootstrap, f"{prefix}.{name}", 1)
        for name in ("dead-letter", "unknown"):
            send(broker.bootstrap, f"{prefix}.{name}", [dead_letter(GOOD)])
        for name in ("raw", "unknown"):  # with one rule, whatever no rule allows is forbidden
            resource = ResourceType.TOPIC, f"{prefix}.{name}", ResourcePatternType.LITERAL
            binding = AclBinding(
                *resource, "User:ANONYMOUS", "*", AclOperation.DESCRIBE, AclPermissionType.ALLOW
            )
            in_time(
                admin_client(broker.bootstrap).create_acls([binding])[binding].result,
                what="the rule",
            )
        wait_until(
            lambda: (
                dead_letters("list", "--from", "unknown", bootstrap=broker.bootstrap).returncode
            ),
            what="the rules",
        )
        read = dead_letters("list", "--from", "unknown", bootstrap=broker.bootstrap)
        assert read.returncode == 1
        assert f"this user may not read {prefix}.unknown; allow it to".encode() in read.stderr
        written = dead_letters("replay", "--send", bootstrap=broker.bootstrap)
        assert written.returncode == 1
        assert (
            f"this user may not write to {prefix}.raw at {broker.bootstrap}; allow it to".encode()
            in written.stderr
        )
