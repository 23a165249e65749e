"""``rollcall roster``: parsing of ids, building of a roster from records, its output, and the
command on a real cluster.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from rollcall.cli.roster_reading import (
    COURSE_RELATIONS,
    Roster,
    RosterBuilder,
    RosterError,
    read_roster,
)
from rollcall.cli.roster_report import report
from rollcall.errors import ConfigurationError
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.topics import TopicsError
from rollcall.printable import printable
from rollcall.rosters.context import Context, parse_context, resolve_context
from rollcall.settings import load_settings
from tests.kafka_client import (
    Sent,
    alter_topic,
    create_topic,
    delete_records,
    partitions_of,
    read_all,
    send,
)
from tests.processes import wait_until
from tests.waiting import wait_for_exit

COURSE = "21070000000001533"
ACCOUNT = "21070000000000002"
SECTION = "21070000000004811"
AS_OF = "2024-03-29T22:43:25.189Z"
PARTITIONS = 4

Row = dict[str, Any]
Rows = dict[str, Row | None]
"""Rows by record key; None: a tombstone."""


def user(number: int) -> str:
    """A user's id."""
    return str(21070000000020000 + number)


def course(identity: str = COURSE, **fields: Any) -> Rows:
    """A row of courses."""
    return {
        identity: {
            "course_id": identity,
            "name": "Linear Algebra",
            "state": "available",
            "state_reason": "course",
            "as_of": AS_OF,
        }
        | fields
    }


def section(identity: str = COURSE, **fields: Any) -> Rows:
    """A row of sections."""
    return {
        f"{identity}/{SECTION}": {
            "course_section_id": SECTION,
            "name": "Morning",
            "state": "active",
            "state_reason": "section",
            "as_of": AS_OF,
        }
        | fields
    }


def enrollment(
    number: int,
    name: str | None = None,
    state: str = "active",
    identity: str = COURSE,
    **fields: Any,
) -> Rows:
    """A row of enrollments."""
    row = {
        "course_id": identity,
        "course_section_id": SECTION,
        "enrollment_id": str(number),
        "type": "StudentEnrollment",
        "user_id": user(number),
    }
    user_name = {} if name is None else {"user_name": name}
    return {
        f"{identity}/{number}": row
        | user_name
        | {"state": state, "state_reason": "dates", "as_of": AS_OF}
        | fields
    }


def group(number: int, name: str, context: str = COURSE, **fields: Any) -> Rows:
    """A row of groups."""
    row = {"group_id": str(number), "group_name": name, "group_category_name": "Projects"}
    return {
        f"{context}/{number}": row
        | {"state": "available", "state_reason": "group", "as_of": AS_OF}
        | fields
    }


def membership(
    number: int, group_number: int, member: int, context: str = COURSE, **fields: Any
) -> Rows:
    """A row of memberships."""
    row = {
        "group_membership_id": str(number),
        "group_id": str(group_number),
        "user_id": user(member),
    }
    return {
        f"{context}/{number}": row
        | {"state": "accepted", "state_reason": "membership", "as_of": AS_OF}
        | fields
    }


def value_of(row: Row | None) -> bytes | None:
    """A record's value."""
    return None if row is None else orjson.dumps(row)


# --- ids


@pytest.mark.parametrize(
    ("text", "shard", "key", "find_shard"),
    [
        (COURSE, None, COURSE, False),
        (COURSE, 9, COURSE, False),
        ("1533", 2107, COURSE, False),
        ("1533", None, "1533", True),
        ("001533", None, "1533", True),
        ("2107~1533", None, COURSE, False),
        ("2107~1533", 9, COURSE, False),
        ("~1533", None, "1533", False),
        ("~1533", 2107, "1533", False),
        (f"account:{ACCOUNT}", None, f"account:{ACCOUNT}", False),
        ("account:2", 2107, f"account:{ACCOUNT}", False),
        ("account:2", None, "account:2", True),
        ("account:2107~2", None, f"account:{ACCOUNT}", False),
    ],
)
def test_forms_of_ids(text: str, shard: int | None, key: str, find_shard: bool) -> None:
    context, searched = parse_context(text, shard)
    assert (context.key, searched) == (key, find_shard)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-5",
        "algebra",
        "1533.0",
        " 1533",
        "١٥٣٣",
        "2107~",
        "~",
        "2107~0",
        f"2107~{COURSE}",
        "0~5",
        "1~2~3",
        "9999999~5",
        "account:",
        "g:5",
        "9" * 20,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no course: give an id"):
        parse_context(text, 2107)


def test_a_local_id_of_one_course_is_resolved() -> None:
    others = {
        "21070000000011533",
        "21070000000001534",
        "15330",
        f"account:{COURSE}",
        "1" + "0" * 13,
    }
    local = Context("", "1533")
    assert resolve_context(local, others | {COURSE}).key == COURSE
    assert resolve_context(local, others | {"1533"}).key == "1533"
    assert resolve_context(local, others).key == "1533"
    assert (
        resolve_context(Context("account:", "1533"), others | {COURSE}).key == f"account:{COURSE}"
    )


def test_a_local_id_of_several_courses_is_refused_with_their_ids() -> None:
    with pytest.raises(
        ConfigurationError,
        match=rf"course 1533 is on several shards: use one of ~1533, 90000000001533, {COURSE}, or",
    ):
        resolve_context(Context("", "1533"), {COURSE, "90000000001533", "1533"})
    with pytest.raises(
        ConfigurationError, match=r"one of account:10000000000002, .* and 5 more, or"
    ):
        resolve_context(
            Context("account:", "2"), {f"account:{shard}0000000000002" for shard in range(1, 16)}
        )


# --- building a roster


def build(records: Iterable[tuple[str, str, Row | None]], key: str = COURSE) -> Roster:
    """The roster of some records (relation, key, row)."""
    builder = RosterBuilder(parse_context(key, None)[0])
    for relation, record_key, row in records:
        builder.take(relation, record_key.encode(), value_of(row))
    return builder.roster()


def roster(**relations: Rows) -> Roster:
    """The roster of some rows."""
    return build(
        (relation, key, row) for relation, rows in relations.items() for key, row in rows.items()
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(COURSE_RELATIONS),
            st.sampled_from(
                [
                    COURSE,
                    f"{COURSE}/1",
                    f"{COURSE}/2",
                    f"{COURSE}0/1",
                    f"account:{COURSE}/1",
                    "1533/1",
                ]
            ),
            st.none() | st.integers(0, 5).map(lambda number: {"n": number}),
        )
    )
)
def test_the_last_record_of_a_key_counts_with_and_without_compaction(
    records: list[tuple[str, str, Row | None]],
) -> None:
    last = {(relation, key): row for relation, key, row in records}
    found = build(records)
    assert found == build(
        (relation, key, row) for (relation, key), row in last.items() if row is not None
    )
    for relation in COURSE_RELATIONS[1:]:
        keys = sorted(
            key
            for (name, key), row in last.items()
            if name == relation and row is not None and key.split("/")[0] == COURSE
        )
        assert getattr(found, relation) == tuple(last[relation, key] for key in keys)


def test_a_roster_may_be_without_its_course() -> None:
    assert roster(enrollments=enrollment(1)).course is None
    assert not roster(enrollments=enrollment(1)).is_empty
    assert roster(enrollments={f"{COURSE}/1": None}, courses=course("1")).is_empty


@pytest.mark.parametrize("value", [b"", b"[]", b"{", b"\xff", b"1"])
def test_a_record_that_is_no_row_is_an_error_with_its_key(value: bytes) -> None:
    builder = RosterBuilder(Context("", COURSE))
    builder.take("groups", f"{COURSE}/7".encode(), value)
    builder.take("groups", b"another/7", b"no row either")
    builder.take("groups", None, b"nor this")
    with pytest.raises(
        RosterError, match=rf"the record '{COURSE}/7' of rosters\.groups is not a row"
    ):
        builder.roster()


# --- output


def rendered(content: Roster, *states: str, width: int = 200) -> list[str]:
    """The lines on a terminal of a width."""
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=True,
        color_system=None,
        highlight=False,
        emoji=False,
        markup=False,
    )
    with console.capture() as captured:
        for part in report(content, states):
            console.print(part)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_enrollments_are_sorted_by_type_and_name_and_counted_by_state() -> None:
    rows = (
        enrollment(1, "zoe")
        | enrollment(2, "Ann", "invited")
        | enrollment(3, "Tom", type="TeacherEnrollment")
        | enrollment(4, "Bob", course_section_id="9")
    )
    lines = rendered(roster(courses=course(), sections=section(), enrollments=rows))
    assert lines[:4] == [
        "course  Linear Algebra",
        f"id      {COURSE}",
        "state   available (course)",
        f"as of   {AS_OF}",
    ]
    table = [line.split() for line in lines[7:11]]
    assert [line[0] for line in table] == ["Ann", "Bob", "zoe", "Tom"]
    assert table[0] == [
        "Ann",
        "Student",
        "invited",
        "dates",
        "Morning",
        user(2),
        "2024-03-29",
        "22:43:25",
    ]
    assert "section 9" in lines[8]
    assert table[3][1] == "Teacher"
    assert lines[11] == "4 enrollments: 3 active, 1 invited"
    assert lines[-1] == "no groups"


def test_states_filter_enrollments_only() -> None:
    content = roster(
        enrollments=enrollment(1, "Ann")
        | enrollment(2, "Bob", "invited")
        | enrollment(3, "Eve", "deleted"),
        groups=group(5, "Red", state="deleted"),
        memberships=membership(6, 5, 3, state="deleted"),
    )
    lines = rendered(content, "active", "invited")
    assert "2 enrollments of 3: 1 active, 1 invited" in lines
    assert [line for line in lines if "Eve" in line] == [
        line for line in lines if line.startswith("  Eve")
    ]
    assert lines[-1] == "1 group: 1 deleted; 1 member: 1 deleted"
    assert (
        "no enrollment is completed or nonsense; there are 1 active, 1 deleted, 1 invited"
        in rendered(content, "completed", "nonsense")
    )
    assert "no enrollments" in rendered(roster(courses=course()), "active")


def test_groups_have_their_members_with_the_names_of_the_latest_enrollments() -> None:
    content = roster(
        enrollments=enrollment(1, "Ann Old", as_of="2020-01-01T00:00:00.000Z")
        | enrollment(2, "Ann New", user_id=user(1))
        | enrollment(3, "Bob"),
        groups=group(11, "Red") | group(10, "Blue"),
        memberships=membership(20, 11, 3)
        | membership(21, 11, 1, state="invited")
        | membership(22, 11, 4)
        | membership(23, 99, 3),
    )
    lines = rendered(content)
    first = (
        next(number for number, line in enumerate(lines) if line.startswith("group, member")) + 2
    )
    assert [line.split("  ")[0] or line.split("  ")[1] for line in lines[first : first + 7]] == [
        "(no name)",
        "Bob",
        "Blue",
        "Red",
        "Ann New",
        "Bob",
        f"user {user(4)}",
    ]
    assert lines[-1] == "2 groups: 2 available; 4 members: 3 accepted, 1 invited"


NAMES = [
    "[bold]Bob[/bold]",
    "[/]",
    ":smile:",
    "山田 太郎",
    "김철수",
    "Nguyễn Thị",
    "q" * 90,
    "山" * 60,
    "👩‍👩‍👧 Ada",
    "naïve\\[x]",
]


def test_names_are_printed_unchanged() -> None:
    rows = {
        key: row
        for number, name in enumerate(NAMES)
        for key, row in enrollment(number, name).items()
    }
    lines = rendered(
        roster(
            courses=course(name="[red]Art[/red]"),
            sections=section(name="[1]"),
            enrollments=rows,
            groups=group(5, "[b]"),
        ),
        width=250,
    )
    text = "\n".join(lines)
    for name in [*NAMES, "[red]Art[/red]", "[1]", "[b]"]:
        assert name in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_folds_names_and_keeps_ids_whole(width: int) -> None:
    rows = {
        key: row
        for number, name in enumerate(NAMES)
        for key, row in enrollment(number, name).items()
    }
    lines = rendered(
        roster(
            courses=course(name="山" * 99),
            sections=section(),
            enrollments=rows,
            groups=group(5, "山" * 50),
            memberships=membership(6, 5, 3),
        ),
        width=width,
    )
    assert max(map(cell_len, lines)) <= width
    assert all(any(user(number) in line for line in lines) for number in range(len(NAMES)))
    assert sum(line.count("山") for line in lines) == 99 + 60 + 50 + 2
    assert sum(line.count("q") for line in lines) == 90


def test_control_characters_in_names_are_escaped() -> None:
    assert (
        printable("a\x1b[31mb\r\n\x9b\u202ec\u2028")
        == "a\\u001b[31mb\\u000d\\u000a\\u009b\\u202ec\\u2028"
    )
    assert (
        printable("山田\u3000太郎 e\u0301 می\u200cخواهم 👩\u200d👧")
        == "山田\u3000太郎 e\u0301 می\u200cخواهم 👩\u200d👧"
    )
    lines = rendered(
        roster(
            enrollments=enrollment(1, "a\x1b[2Jb\nc", "act\x1b[0mive")
            | enrollment(2)
            | enrollment(3, type=7)
        )
    )
    assert any("a\\u001b[2Jb\\u000ac" in line for line in lines)
    assert any("(no name)" in line for line in lines)
    assert any("1 act\\u001b[0mive" in line for line in lines)
    assert "\x07" not in "".join(rendered(roster(enrollments=enrollment(1, "a\x07b"))))


# --- on a cluster


def topic(prefix: str, relation: str) -> str:
    """A roster topic."""
    return f"{prefix}.rosters.{relation}"


def create_topics(bootstrap: str, prefix: str, partitions: int = PARTITIONS, **others: int) -> None:
    """Create the roster topics. ``others``: other numbers of partitions, by relation."""
    numbers = {
        topic(prefix, relation): others.get(relation, partitions) for relation in COURSE_RELATIONS
    }
    for name, number in numbers.items():
        create_topic(bootstrap, name, number, {"cleanup.policy": "compact"})
    wait_until(
        lambda: len(partitions_of(bootstrap, list(numbers))) == sum(numbers.values()),
        what="the topics",
    )


def publish(
    bootstrap: str,
    prefix: str,
    relation: str,
    rows: Mapping[str, Row | None],
    *,
    partitions: int = PARTITIONS,
    commit: bool | None = None,
) -> None:
    """Write rows like the roster application. ``commit``: in a transaction, which is committed or
    aborted.
    """
    partition = partitioner(partitions)
    records = [
        Sent(value_of(row), key.encode(), partition(key.partition("/")[0].encode()))
        for key, row in rows.items()
    ]
    transactional_id = None if commit is None else f"{prefix}-{relation}"
    send(
        bootstrap,
        topic(prefix, relation),
        records,
        transactional_id=transactional_id,
        commit=bool(commit),
    )


async def read(bootstrap: str, prefix: str, text: str = COURSE, **settings: Any) -> Roster:
    """Read a roster from the cluster."""
    loaded = load_settings(topic_prefix=prefix, **settings)
    context, find_shard = parse_context(text, loaded.shard)
    return await read_roster(loaded, bootstrap, context, find_shard=find_shard)


def rollcall(
    bootstrap: str, prefix: str, *arguments: str, **settings: object
) -> subprocess.CompletedProcess[str]:
    """Run ``rollcall roster`` without a terminal."""
    environment = {"ROLLCALL_KAFKA": bootstrap, "ROLLCALL_TOPIC_PREFIX": prefix, "COLUMNS": "40"}
    environment |= {f"ROLLCALL_{key.upper()}": str(value) for key, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "rollcall", "roster", *arguments],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.fixture
def topics(bootstrap: str, prefix: str) -> str:
    """The prefix of empty roster topics."""
    create_topics(bootstrap, prefix)
    return prefix


async def test_a_roster_has_the_last_committed_rows(bootstrap: str, topics: str) -> None:
    publish(bootstrap, topics, "courses", course(name="Old") | course("5") | course())
    publish(
        bootstrap,
        topics,
        "enrollments",
        enrollment(1, "Old") | enrollment(2, "Gone") | enrollment(3, "Eve", identity="5"),
        commit=True,
    )
    publish(
        bootstrap,
        topics,
        "enrollments",
        enrollment(1, "Ann") | {f"{COURSE}/2": None, f"{COURSE}/4": None},
        commit=True,
    )
    publish(
        bootstrap,
        topics,
        "enrollments",
        {f"{COURSE}/1": None} | enrollment(9, "Aborted"),
        commit=False,
    )
    publish(bootstrap, topics, "groups", group(7, "Aborted"), commit=False)
    publish(bootstrap, topics, "memberships", membership(8, 7, 1))
    # the end for read_committed lags for a moment
    assert len(read_all(bootstrap, [topic(topics, "enrollments")], at_least=6)) == 6
    expected = Roster(
        Context("", COURSE),
        course()[COURSE],
        (),
        (enrollment(1, "Ann")[f"{COURSE}/1"] or {},),
        (),
        (membership(8, 7, 1)[f"{COURSE}/8"] or {},),
    )
    assert await read(bootstrap, topics) == expected


async def test_a_partition_without_committed_records_at_its_end_is_read_to_its_end(
    bootstrap: str, topics: str
) -> None:
    for _ in range(3):
        publish(bootstrap, topics, "enrollments", enrollment(1, "Aborted"), commit=False)
    publish(bootstrap, topics, "sections", section())
    (place,) = [
        place
        for place in partitions_of(bootstrap, [topic(topics, "sections")])
        if place.partition == partitioner(PARTITIONS)(COURSE.encode())
    ]
    # otherwise no record can be deleted
    alter_topic(bootstrap, place.topic, {"cleanup.policy": "compact,delete"})
    delete_records(bootstrap, place.topic, place.partition, before=1)
    assert (await read(bootstrap, topics)).is_empty


async def test_an_open_transaction_is_not_waited_for(bootstrap: str, topics: str) -> None:
    publish(bootstrap, topics, "enrollments", enrollment(1, "Ann"))
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topics})
    producer.init_transactions(30)
    producer.begin_transaction()
    place = partitioner(PARTITIONS)(COURSE.encode())
    producer.produce(topic(topics, "enrollments"), b"{}", f"{COURSE}/2".encode(), place)
    producer.flush(30)
    publish(bootstrap, topics, "enrollments", enrollment(3, "Bob"))
    assert [row["user_name"] for row in (await read(bootstrap, topics)).enrollments] == ["Ann"]
    producer.abort_transaction(30)
    assert len(read_all(bootstrap, [topic(topics, "enrollments")], at_least=2)) == 2
    assert [row["user_name"] for row in (await read(bootstrap, topics)).enrollments] == [
        "Ann",
        "Bob",
    ]


async def test_many_rows_are_all_read(bootstrap: str, prefix: str) -> None:
    create_topics(bootstrap, prefix, 1)
    rows: Rows = {}
    for number in range(1, 15_001):
        rows |= enrollment(number, "山" * 200, identity=COURSE if number % 2 else "5")
    publish(bootstrap, prefix, "enrollments", rows, partitions=1, commit=True)
    publish(bootstrap, prefix, "enrollments", enrollment(20_000), partitions=1)
    assert len(read_all(bootstrap, [topic(prefix, "enrollments")], at_least=15_001)) == 15_001
    found = await read(bootstrap, prefix)
    assert len(found.enrollments) == 7_501
    assert {row["course_id"] for row in found.enrollments} == {COURSE}


async def test_the_shard_of_a_local_id_is_found_among_all_courses(
    bootstrap: str, topics: str
) -> None:
    publish(
        bootstrap,
        topics,
        "courses",
        course()
        | course("21070000000001534")
        | course("90000000001535")
        | course("21070000000001535")
        | course("1536"),
    )
    publish(bootstrap, topics, "courses", {"90000000001535": None, "90000000001533": None})
    publish(
        bootstrap,
        topics,
        "enrollments",
        enrollment(1, "Ann") | enrollment(2, "Bob", identity="1537"),
    )
    publish(bootstrap, topics, "groups", group(5, "Choir", f"account:{ACCOUNT}"))
    for text, key in {
        "1533": COURSE,
        "1535": "21070000000001535",
        "1536": "1536",
        "1537": "1537",
        "account:2": f"account:{ACCOUNT}",
    }.items():
        found = await read(bootstrap, topics, text)
        assert found.context.key == key
        assert not found.is_empty
    assert (await read(bootstrap, topics, "1538")).is_empty
    assert (await read(bootstrap, topics, "1533", shard=9)).is_empty
    assert not (await read(bootstrap, topics, "1533", shard=2107)).is_empty
    publish(bootstrap, topics, "courses", course("90000000001533"))
    with pytest.raises(ConfigurationError, match=rf"use one of 90000000001533, {COURSE}, or"):
        await read(bootstrap, topics, "1533")


async def test_topics_with_different_numbers_of_partitions_are_refused(
    bootstrap: str, prefix: str
) -> None:
    create_topics(bootstrap, prefix, 3, groups=2)
    with pytest.raises(
        TopicsError, match=rf"same number of partitions.*{prefix}\.rosters\.groups has 2"
    ):
        await read(bootstrap, prefix)


def test_the_command_shows_a_roster(bootstrap: str, prefix: str) -> None:
    # not the number of partitions in the settings: that of the cluster counts
    create_topics(bootstrap, prefix, 7)
    relations = {
        "courses": course(name="[red]代数[/red]"),
        "sections": section(),
        "enrollments": enrollment(1, "山" * 120)
        | enrollment(2, "[b]Bob", "invited")
        | enrollment(3, "Eve\x1b[2J", "deleted"),
        "groups": group(5, "Red") | group(6, "Choir", f"account:{ACCOUNT}"),
        "memberships": membership(7, 5, 2) | membership(8, 6, 2, f"account:{ACCOUNT}"),
    }
    for relation, rows in relations.items():
        publish(bootstrap, prefix, relation, rows, partitions=7)

    text = rollcall(bootstrap, prefix, "2107~1533")
    assert (text.returncode, text.stderr) == (0, "")
    lines = text.stdout.splitlines()
    assert lines[0] == "course  [red]代数[/red]"
    assert any("山" * 120 in line and user(1) in line for line in lines)
    assert any(line.startswith("[b]Bob ") for line in lines)
    assert "3 enrollments: 1 active, 1 deleted, 1 invited" in lines
    assert lines[-1] == "1 group: 1 available; 1 member: 1 accepted"
    assert "\x1b" not in text.stdout
    assert lines == [line.rstrip() for line in lines]
    assert lines.count("") == 2

    as_json = rollcall(bootstrap, prefix, COURSE, "--json")
    assert (
        as_json.returncode,
        as_json.stderr,
        as_json.stdout.isascii(),
        as_json.stdout.count("\n"),
    ) == (0, "", True, 1)
    own = {
        relation: [row for key, row in sorted(rows.items()) if key.startswith(COURSE)]
        for relation, rows in relations.items()
    }
    assert json.loads(as_json.stdout) == {"course": own.pop("courses")[0], **own}

    filtered = rollcall(
        bootstrap, prefix, COURSE, "--json", "--state", "invited", "--state", "deleted"
    )
    assert [row["state"] for row in json.loads(filtered.stdout)["enrollments"]] == [
        "invited",
        "deleted",
    ]
    assert json.loads(filtered.stdout)["groups"] == own["groups"]
    none = rollcall(bootstrap, prefix, COURSE, "--json", "--state", "compleated")
    assert (none.returncode, json.loads(none.stdout)["enrollments"]) == (0, [])
    assert (
        none.stderr
        == "rollcall: no enrollment is compleated; there are 1 active, 1 deleted, 1 invited\n"
    )

    for option in ([], ["--json"]):
        # a reader that closes its end, such as head
        process = subprocess.Popen(
            [sys.executable, "-m", "rollcall", "roster", COURSE, *option],
            env={"ROLLCALL_KAFKA": bootstrap, "ROLLCALL_TOPIC_PREFIX": prefix},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (process.stderr.read(), wait_for_exit(process)) == (b"", 0)
        process.stderr.close()

    account = rollcall(bootstrap, prefix, "account:2", shard=2107)
    assert account.returncode == 0
    assert account.stdout.splitlines()[0] == f"account  {ACCOUNT}"
    assert "Choir" in account.stdout
    assert "enrollment" not in account.stdout


def test_the_command_reports_errors_in_one_line_and_an_exit_code(
    bootstrap: str, prefix: str
) -> None:
    missing = rollcall(bootstrap, prefix, "1533")
    assert missing.returncode == 1
    assert missing.stderr.startswith(f"rollcall: topics are missing: {prefix}.rosters.courses, ")
    assert "run 'rollcall rosters', or 'rollcall topics apply', first" in missing.stderr
    assert not partitions_of(bootstrap, [topic(prefix, relation) for relation in COURSE_RELATIONS])

    create_topics(bootstrap, prefix)
    unknown = rollcall(bootstrap, prefix, "1533", "--json")
    assert (unknown.returncode, unknown.stdout, unknown.stderr) == (
        1,
        "",
        f"rollcall: no course 1533 in the rosters ({prefix}.rosters.*)\n",
    )
    wrong = rollcall(bootstrap, prefix, "algebra")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    nobody = rollcall("127.0.0.1:1", prefix, "1533")
    assert nobody.returncode == 3
    assert nobody.stderr.splitlines()[-1].startswith(
        "rollcall: no Kafka broker answers at 127.0.0.1:1: "
    )
