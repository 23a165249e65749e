"""Rare inputs of a stage: growing rows, wrong keys, lead rows that change all the time, foreign
rows in changelogs.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from rollcall.process.breaker import Breaker, BreakerPolicy
from rollcall.rosters.internal import MOST_SLOTS
from rollcall.rosters.registers import MOST_REGISTER_BYTES
from rollcall.rosters.topics import RECORD_BYTES
from rollcall.streaming.rows import ChangelogError, Rows
from rollcall.streaming.stages.keyed import KeyedPartition
from tests.outputs import MemoryOutputs, Output
from tests.rosters import reference
from tests.rosters.memory import Cluster, Lane
from tests.rosters.reference import TypedEvent
from tests.rosters.scenarios import (
    COURSE,
    ENROLLMENT,
    SECTION,
    course,
    enrollment,
    global_id,
    group,
    membership,
    section,
)
from tests.rosters.test_stages import Dice


def lane_of(cluster: Cluster, stage: str, topic: str) -> Lane:
    """The lane of a stage with unread records of a topic."""
    return next(
        lane for lane in cluster.lanes if lane.context.stage.name == stage and topic in lane.waiting
    )


def test_one_membership_of_many_groups_fits_into_a_record() -> None:
    name = "學" * 2_500
    events: list[TypedEvent] = [course(1)]
    for number in range(MOST_SLOTS + 10):
        events += [
            group(1, group_id=global_id(500 + number)),
            membership(2, group_id=global_id(500 + number), group_name=name),
        ]
    cluster = Cluster()
    cluster.send(events)
    cluster.settle(Dice(1))
    sizes = [len(value) for lane in cluster.lanes for _key, value in lane.rows.items()]
    assert MOST_SLOTS * 2 * MOST_REGISTER_BYTES < RECORD_BYTES
    assert max(sizes) < RECORD_BYTES
    assert len(cluster.rosters()["memberships"]) == 1
    assert (
        len([topic for topic, _reason in cluster.rejected if topic == "memberships-by-course"])
        == 10
    )


def test_a_body_that_is_too_large_is_rejected() -> None:
    cluster = Cluster()
    cluster.send([course(1, name="x" * (MOST_REGISTER_BYTES + 1)), course(2, name="é" * 1_000)])
    cluster.settle(Dice(1))
    assert [reason[:9] for _topic, reason in cluster.rejected] == ["maxLength"]
    assert cluster.rosters()["courses"][COURSE]["name"] == "é" * 1_000


@pytest.mark.parametrize("key", [b"14", b"", None, COURSE.encode() + b"0"])
def test_a_key_that_is_not_the_id_in_normal_form_is_rejected(key: bytes | None) -> None:
    cluster = Cluster(partitions=1)
    name, value = course(1)
    cluster.write([Output(f"events.{name}", 0, key, value)])
    cluster.settle(Dice(1))
    assert len(cluster.rejected) == 1
    assert "ROLLCALL_SHARD" in cluster.rejected[0][1]
    assert cluster.rosters() == reference.rosters([])


def test_a_stage_that_rejects_most_records_halts() -> None:
    """For example with another shard than the router's: records must not become dead letters."""
    cluster = Cluster(partitions=1)
    for number in range(100):
        name, value = course(1, course_id=global_id(number + 1))
        cluster.write(
            [
                Output(
                    f"events.{name}",
                    0,
                    b"another" if number >= 30 else global_id(number + 1).encode(),
                    value,
                )
            ]
        )
    lane = lane_of(cluster, "course", "events.course_updated")
    context = lane.context
    object.__setattr__(context, "new_breaker", lambda: Breaker(BreakerPolicy(0.5, 20)))
    handler = KeyedPartition(context, 0, Rows())
    records = cluster.log("events.course_updated", 0)
    chunk: Any = SimpleNamespace(topic="events.course_updated", partition=0, records=records)
    result = handler.process([chunk], MemoryOutputs())
    assert result.halt is not None
    assert result.consumed == 30 + 11
    resumed = KeyedPartition(context, 0, Rows()).resume(result.halt.note)
    assert resumed is not None


def test_cascades_of_a_lead_row_that_changes_all_the_time() -> None:
    cluster = Cluster(partitions=1, cascade_rows=4)
    cluster.send(
        [
            section(0),
            *(enrollment(0, enrollment_id=global_id(100 + number)) for number in range(12)),
        ]
    )
    cluster.settle(Dice(1))
    lane = next(lane for lane in cluster.lanes if lane.context.stage.name == "section")
    written: set[bytes] = set()
    for minute in range(1, 6):
        cluster.send([section(minute, course_id=str(200 + minute))])
        before = len(cluster.log("enrollments-by-course", 0))
        lane.work(SimpleNamespace(below=lambda bound: 0), None)
        written |= {
            record.key.split(b"/")[1]
            for record in cluster.log("enrollments-by-course", 0)[before:]
            if record.key
        }
    assert len(written) == 12
    assert lane.handler.unfinished > 0
    cluster.settle(Dice(1))
    assert lane.handler.unfinished == 0
    assert {row["course_id"] for row in cluster.rosters()["enrollments"].values()} == {
        global_id(205)
    }


def test_a_cascade_is_finished_when_its_rows_are_deleted() -> None:
    """After a crash, too: the next owner finishes it without another record of the key."""
    cluster = Cluster(partitions=1, cascade_rows=1)
    cluster.send(
        [course(0), *(enrollment(0, enrollment_id=global_id(100 + number)) for number in range(3))]
    )
    cluster.settle(Dice(1))
    cluster.send([course(1, workflow_state="completed")])
    lane = lane_of(cluster, "course", "events.course_updated")
    lane.work(Dice(1), None)
    assert lane.handler.unfinished == 2
    keys = {record.key for record in cluster.log("enrollments-by-course", 0)}
    cluster.write(Output("enrollments-by-course", 0, key, None) for key in sorted(keys, key=str))
    lane.work(SimpleNamespace(below=lambda bound: bound - 1), None)
    lane.start()
    assert list(lane.rows.pending_keys()) == [COURSE]
    assert not lane.rows.has_other_rows(COURSE)
    cluster.settle(Dice(1))
    lane.start()
    assert list(lane.rows.pending_keys()) == []


@pytest.mark.parametrize("stored", [b"[{garbage", b"[{},5]", b"[{}]", b"[{", b'[{},"text"]'])
def test_a_foreign_row_in_a_changelog_is_an_error(stored: bytes) -> None:
    cluster = Cluster(partitions=1)
    cluster.send([enrollment(1)])
    lane = lane_of(cluster, "enrollment", "events.enrollment_updated")
    lane.rows.load(ENROLLMENT.encode(), stored)
    with pytest.raises(ChangelogError, match="did not write"):
        lane.work(Dice(1), None)


def test_deep_and_short_registers_on_internal_topics_are_rejected() -> None:
    cluster = Cluster(partitions=1)
    cluster.send([enrollment(1)])
    cluster.settle(Dice(1))
    [good] = cluster.log("enrollments-by-section", 0)
    assert good.value is not None
    row = orjson.loads(good.value)
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    for index, value in ((-1, deep), (slice(10, None), [])):
        bad = orjson.loads(orjson.dumps(row))
        bad[0][index] = value
        cluster.write(
            [
                Output(
                    "enrollments-by-section",
                    0,
                    f"{SECTION}/{ENROLLMENT}".encode(),
                    orjson.dumps(bad),
                )
            ]
        )
    cluster.settle(Dice(1))
    assert [topic for topic, _reason in cluster.rejected] == ["enrollments-by-section"] * 2
