"""Loading of tables: from any valid changelog, after any end of the process that wrote it, and with
unusable records on the typed topics.
"""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Message, Producer
from faust.types import TP

from rollcall.kafka.partitioner import partitioner
from rollcall.streaming.barrier import RECORD_KEY
from rollcall.streaming.offsets import Offsets
from rollcall.streaming.rows import Rows
from rollcall.streaming.stages.changelog import load_changelog
from tests.kafka_client import (
    Sent,
    alter_topic,
    create_topic,
    delete_records,
    headers,
    read_all,
    send,
)
from tests.processes import RostersProcess, wait_until
from tests.rosters import reference
from tests.rosters.cluster import PARTITIONS, SHARD, RosterCluster, TypedRecord, simulated, typed
from tests.rosters.scenarios import (
    COURSE,
    OTHER_COURSE,
    course,
    enrollment,
    global_id,
    group,
    section,
)
from tests.rosters.test_fence import PROGRAM
from tests.waiting import wait_for_datum

EVENTS = 2_000
LARGE_COURSE = 6_000


@pytest.fixture
def cluster(bootstrap: str, prefix: str) -> RosterCluster:
    return RosterCluster(bootstrap, prefix)


def process(directory: Path, cluster: RosterCluster, *interruption: str) -> RostersProcess:
    """The roster application, with options of tests/rosters/interrupted.py."""
    program = (*PROGRAM, "--mark", str(directory / "mark"), *interruption)
    return RostersProcess(
        directory,
        cluster.bootstrap,
        cluster.prefix,
        program=program,
        shard=SHARD,
        partitions=PARTITIONS,
    )


def kill_at(moment: str, min_records: int = 1) -> tuple[str, ...]:
    """Options for a process that kills itself in the course stage's first transaction with a
    minimum number of records.
    """
    options = ("--stage", "course", "--signal", "SIGKILL", "--moment", moment)
    return (*options, "--min-records", str(min_records))


# --- reading a changelog


def rows_sent(
    bootstrap: str,
    topic: str,
    numbers: range,
    *,
    transaction: str | None = None,
    commit: bool = True,
) -> None:
    """Send a row for each number, with ten keys in turn."""
    records = [
        Sent(b"[{},%d]" % number, b"%d/kind/%d" % (number % 2, number % 10), 0)
        for number in numbers
    ]
    send(bootstrap, topic, records, transactional_id=transaction, commit=commit)


def _nothing(bootstrap: str, topic: str) -> None:
    pass


def _plain(bootstrap: str, topic: str) -> None:
    rows_sent(bootstrap, topic, range(50))


def _committed(bootstrap: str, topic: str) -> None:
    rows_sent(bootstrap, topic, range(50), transaction=topic)


def _aborted_last(bootstrap: str, topic: str) -> None:
    rows_sent(bootstrap, topic, range(50), transaction=topic)
    rows_sent(bootstrap, topic, range(50, 70), transaction=topic, commit=False)


def _aborted_only(bootstrap: str, topic: str) -> None:
    rows_sent(bootstrap, topic, range(20), transaction=topic, commit=False)


def _deleted(bootstrap: str, topic: str) -> None:
    rows_sent(bootstrap, topic, range(50))
    delete_records(bootstrap, topic, 0, before=50)


def _tombstones_last(bootstrap: str, topic: str) -> None:
    rows_sent(bootstrap, topic, range(50), transaction=topic)
    send(
        bootstrap,
        topic,
        [Sent(None, b"%d/kind/%d" % (number % 2, number), 0) for number in range(10)],
        transactional_id=topic,
    )


FIFTY = {b"%d/kind/%d" % (number % 2, number % 10): b"[{},%d]" % number for number in range(40, 50)}


@pytest.mark.parametrize(
    ("write", "rows"),
    [
        (_nothing, {}),
        (_plain, FIFTY),
        (_committed, FIFTY),
        (_aborted_last, FIFTY),
        (_aborted_only, {}),
        (_deleted, {}),
        (_tombstones_last, {}),
    ],
)
async def test_a_changelog_is_read_to_its_end(
    bootstrap: str, prefix: str, write: Callable[[str, str], None], rows: dict[bytes, bytes]
) -> None:
    """The last entry may be a record, a transaction marker, an aborted transaction, or nothing."""
    create_topic(bootstrap, prefix, 1, {"cleanup.policy": "compact,delete"})
    write(bootstrap, prefix)
    loaded, remaining = Rows(), list[int]()
    async with Offsets(prefix, {"bootstrap_servers": bootstrap}) as offsets:
        bounds = (await offsets.bounds([TP(prefix, 0)]))[TP(prefix, 0)]
    await load_changelog(
        {"bootstrap_servers": bootstrap},
        TP(prefix, 0),
        bounds.beginning,
        bounds.end,
        loaded.load,
        remaining.append,
    )
    assert dict(loaded.items()) == rows
    assert len(loaded) == loaded.parked == len(rows)
    assert (remaining[0], remaining[-1]) == (bounds.end - bounds.beginning, 0)
    assert remaining == sorted(remaining, reverse=True)


def table_rows(rosters: RostersProcess) -> dict[str, float]:
    """Number of a process's rows, by table."""
    return {
        dict(labels)["table"]: value
        for (name, labels), value in rosters.metrics().items()
        if name == "rollcall_table_rows"
    }


def test_a_compacted_changelog_without_records_at_its_end(
    cluster: RosterCluster, tmp_path: Path
) -> None:
    """The log cleaner has removed old rows, and the last records, which were of aborted
    transactions.
    """
    changelog = cluster.changelogs["enrollment"]
    records, truth = simulated(EVENTS, seed=3)
    with process(tmp_path, cluster) as rosters:
        rosters.wait_ready()
        for start in range(0, EVENTS, EVENTS // 4):
            cluster.send(records[start : start + EVENTS // 4])
            cluster.wait_settled(rosters)
        assert rosters.end() == 0
    rows = cluster.rows()

    def rows_in_changelog() -> int:
        # the cleaner keeps tombstones for some time
        return sum(
            message.key() != RECORD_KEY for message in read_all(cluster.bootstrap, [changelog])
        )

    written = rows_in_changelog()
    assert written > len(rows["enrollment"]), "there is nothing to compact"
    # not earlier: the cleaner must not run before the count
    alter_topic(
        cluster.bootstrap, changelog, {"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.001"}
    )

    def abort() -> None:
        # like an owner of the partition that dies; Kafka checks the age of a segment at a write
        aborted = [Sent(b"[{},0]", b"1", partition) for partition in range(PARTITIONS)]
        send(cluster.bootstrap, changelog, aborted, transactional_id=cluster.prefix, commit=False)

    def is_compacted() -> bool:
        time.sleep(1)
        abort()
        return rows_in_changelog() == len(rows["enrollment"])

    wait_until(is_compacted, 120, what="the log cleaner")
    offsets: dict[int | None, list[int]] = {}
    for message in read_all(cluster.bootstrap, [changelog]):
        offsets.setdefault(message.partition(), []).append(message.offset() or 0)
    for partition, kept in offsets.items():
        assert kept[-1] - kept[0] >= len(kept), f"partition {partition} has no gaps"
        assert cluster.ends([changelog])[changelog, partition or 0] > kept[-1] + 2, (
            f"partition {partition} has a record at its end"
        )
    with process(tmp_path, cluster) as rosters:
        rosters.wait_ready()
        wait_for_datum(
            lambda: table_rows(rosters),
            {name: len(table) for name, table in rows.items()},
            is_through=lambda: rosters.idle,
        )
        before = cluster.wait_settled(rosters)
        cluster.send(reversed(records))
        after = cluster.wait_settled(rosters)
        assert {
            place: end
            for place, end in after.items()
            if end != before[place] and place[0] not in cluster.typed
        } == {}
        assert rosters.end() == 0
    cluster.assert_exactly(truth)


def test_processes_have_the_rows_of_their_partitions(
    cluster: RosterCluster, tmp_path: Path
) -> None:
    """Also when processes start and end."""
    records, truth = simulated(EVENTS, seed=4)
    half = EVENTS // 2
    cluster.send(records[:half])

    def hold_all(processes: Sequence[RostersProcess]) -> bool:
        shares = [table_rows(each) for each in processes]
        return {
            name: sum(share[name] for share in shares) for name in cluster.changelogs
        } == expected and all(share["enrollment"] for share in shares)

    def wait_for_rows(*processes: RostersProcess) -> None:
        wait_until(lambda: hold_all(processes), what="all rows in these processes")

    with process(tmp_path, cluster) as first:
        cluster.wait_settled(first)
        expected = {name: len(rows) for name, rows in cluster.rows().items()}
        wait_for_rows(first)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with process(tmp_path, cluster) as second:
                wait_for_rows(first, second)
                if number is signal.SIGKILL:
                    cluster.send(records[half:])
                    cluster.wait_settled(first, second)
                    expected = {name: len(rows) for name, rows in cluster.rows().items()}
                    wait_for_rows(first, second)
                second.end(number)
            wait_for_rows(first)
        assert first.end() == 0
    cluster.assert_exactly(truth)


@pytest.mark.parametrize(
    ("key", "value"), [(b"1", b"junk"), (b"/kind/1", b"[{},0]"), (b"\xff", b"[{},0]")]
)
def test_a_foreign_record_in_a_changelog(
    cluster: RosterCluster, tmp_path: Path, key: bytes, value: bytes
) -> None:
    send(cluster.bootstrap, cluster.changelogs["course"], [Sent(value, key, 1)])
    with process(tmp_path, cluster).expecting("cannot be consumed any further") as rosters:
        assert rosters.wait_exit() == 1
        assert (
            "the changelog holds a record that Rollcall did not write: find out who writes there"
            in rosters.log_file.read_text().splitlines()[-1]
        )
        assert [
            (line["agent"], line["partition"])
            for line in rosters.log
            if line["level"] == "error" and "agent" in line
        ] == [("course", 1)]


def test_not_ready_while_a_table_is_loaded(cluster: RosterCluster, tmp_path: Path) -> None:
    """An open transaction delays the loading of its changelog."""
    producer = Producer(
        {"bootstrap.servers": cluster.bootstrap, "transactional.id": cluster.prefix}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(cluster.changelogs["group"], b"[{},0]", b"1", partition=2)
    assert producer.flush(30) == 0
    with process(tmp_path, cluster) as rosters:
        wait_until(
            lambda: rosters.metric("rollcall_table_recovery_remaining_records", table="group") == 2,
            what="the loading",
        )

        def is_the_only_reason() -> bool:
            status, body = rosters.get("/readyz")
            assert status == 503
            reasons = orjson.loads(body)["reasons"]
            assert reasons
            return all(
                "partition 2" in reason and "loading its table, 2 records are left" in reason
                for reason in reasons
            )

        wait_until(is_the_only_reason, what="all other lanes")
        # the record, and the lane's barrier; the metric follows the lanes a moment later
        wait_until(
            lambda: rosters.metric("rollcall_table_recovery_remaining_records") == 2,
            what="the metric",
        )
        producer.abort_transaction(30)
        rosters.wait_ready()
        wait_until(
            lambda: rosters.metric("rollcall_table_recovery_remaining_records") == 0,
            what="the end of the loading",
        )
        assert rosters.metric("rollcall_table_rows") == 0
        assert rosters.end() == 0


# --- killed in a transaction


@pytest.mark.slow
def test_killed_during_the_cascade_of_a_large_course(
    cluster: RosterCluster, tmp_path: Path
) -> None:
    members = [
        enrollment(1, kind="created", enrollment_id=global_id(number))
        for number in range(1, LARGE_COURSE + 1)
    ]
    events = [course(0, kind="created"), section(0, kind="created"), *members]
    deletion = course(2, "deleted")
    cluster.send(typed(event.value) for event in events)
    with process(tmp_path, cluster) as rosters:
        cluster.wait_settled(rosters)
        assert rosters.end() == 0
    assert cluster.rosters() == reference.rosters(events, SHARD)

    def deleted() -> int:
        return sum(row["state"] == "deleted" for row in cluster.rosters()["enrollments"].values())

    cluster.send([typed(deletion.value)])
    for moment, minimum, maximum in (("written", 0, 0), ("committed", 1, LARGE_COURSE - 1)):
        with process(tmp_path, cluster, *kill_at(moment, 1_000)) as rosters:
            assert rosters.wait_exit() == -signal.SIGKILL
        # the open transaction is aborted by the next process, or by the broker after a time-out
        assert minimum <= deleted() <= maximum, moment
    lead = cluster.rows()["course"][COURSE.encode()]
    assert len(orjson.loads(lead)) == 3, "the lead row must have an unfinished cascade"
    with process(tmp_path, cluster) as rosters:
        cluster.wait_settled(rosters)
        assert rosters.end() == 0
    cluster.assert_exactly(reference.rosters([*events, deletion], SHARD))
    assert deleted() == LARGE_COURSE


def test_records_that_no_stage_can_use(cluster: RosterCluster, tmp_path: Path) -> None:
    """Each becomes one dead letter, even if the process is killed before its commit."""
    good = [course(1, course_id=COURSE), group(1), enrollment(1), section(1)]
    elsewhere = typed(course(1, course_id=OTHER_COURSE).value)
    home = partitioner(PARTITIONS)(OTHER_COURSE.encode())
    of_user = group(2, context_type="User", group_id=global_id(9)).value
    bad = [
        TypedRecord("course_created", Sent(None, b"1", 0)),
        TypedRecord("course_updated", Sent(b"\x00junk\xff", b"1", 1, (("ce_id", b"1"),))),
        TypedRecord("enrollment_created", Sent(b"", None, 2)),
        TypedRecord(
            "course_updated", dataclasses.replace(elsewhere.sent, partition=(home + 1) % PARTITIONS)
        ),
        TypedRecord("group_updated", Sent(of_user, b"9", 3)),
        TypedRecord("group_created", typed(group(1).value).sent),
        TypedRecord(
            "enrollment_state_updated",
            Sent(b'{"metadata":{"event_name":"enrollment_state_updated"},"body":{}}', b"1", 0),
        ),
    ]
    cluster.send([*bad[:4], *(typed(event.value) for event in good), *bad[4:]])
    with process(tmp_path, cluster, *kill_at("written")) as rosters:
        assert rosters.wait_exit() == -signal.SIGKILL
    rejected = []
    for _ in range(2):
        with process(tmp_path, cluster) as rosters:
            cluster.wait_settled(rosters)
            rejected.append(rosters.metric("rollcall_dead_letters_total", code="not_applicable"))
            assert rejected[-1] == rosters.metric("rollcall_dead_letters_total") <= len(bad)
            assert rosters.end() == 0
    letters = read_all(cluster.bootstrap, [cluster.dead_letters], at_least=len(bad))
    assert sorted(map(_source_of, letters)) == sorted(
        (cluster.typed_topic(name), sent.partition, sent.value or b"") for name, sent in bad
    )
    assert {headers(letter)["rollcall.error.code"] for letter in letters} == {b"not_applicable"}
    places = {
        tuple(
            headers(letter)[f"rollcall.error.{part}"] for part in ("topic", "partition", "offset")
        )
        for letter in letters
    }
    assert len(places) == len(letters)
    assert rejected[1] == 0, "the second process must not reject records again"
    cluster.assert_exactly(reference.rosters(good, SHARD))


def _source_of(letter: Message) -> tuple[str, int, bytes]:
    """Source topic and partition of a dead letter, and its value."""
    names = headers(letter)
    return (
        names["rollcall.error.topic"].decode(),
        int(names["rollcall.error.partition"]),
        letter.value() or b"",
    )
