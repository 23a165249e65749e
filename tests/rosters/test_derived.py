"""A kind of rows with several outputs: a derived relation is one file (derived.py), and its rows
follow from those of another relation.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rollcall.catalogue.row_schemas import row_schema
from rollcall.events.schemas.files import read_schema_folder
from rollcall.serve.replica.tables import Table
from tests.examples import examples
from tests.rosters import reference
from tests.rosters.derived import OBSERVERS, stages_with_observers
from tests.rosters.histories import Choices, choices, deliveries, histories, show
from tests.rosters.memory import Cluster
from tests.rosters.reference import TypedEvent
from tests.rosters.scenarios import (
    COURSE,
    ENROLLMENT,
    OTHER_COURSE,
    course,
    enrollment,
    local,
    section,
    user,
)
from tests.rosters.test_older_rows import EVENTS, older_cluster
from tests.rosters.test_stages import Dice


def an_observer(time: int, kind: str = "ObserverEnrollment") -> TypedEvent:
    """An event of one enrollment, by default of an observer."""
    return enrollment(time, type=kind, associated_user_id="52")


def settled(cluster: Cluster, *events: TypedEvent) -> dict[str, dict[str, Any]]:
    """The observers after additional events."""
    cluster.send(events)
    cluster.settle(Dice(len(events)), crashes=20)
    assert cluster.rejected == []
    return cluster.compacted(OBSERVERS.topic)


def observers_of(rosters: reference.Rosters) -> dict[str, dict[str, Any]]:
    """Rows of observers that follow from those of enrollments."""
    names = {field.name for field in OBSERVERS.fields}
    return {
        key: {name: value for name, value in row.items() if name in names}
        for key, row in rosters["enrollments"].items()
        if row["type"] == "ObserverEnrollment"
    }


def test_rows_are_created_changed_and_removed() -> None:
    """They follow the enrollment, its section and its course."""
    cluster = Cluster(all_stages=stages_with_observers(None))
    here, there = f"{COURSE}/{ENROLLMENT}", f"{OTHER_COURSE}/{ENROLLMENT}"
    found = settled(cluster, an_observer(1), user(1))
    assert found.keys() == {here}
    assert found[here]["associated_user_id"].endswith("52")
    assert found[here]["state"] == "active"
    found = settled(cluster, course(2, "deleted"))
    assert (found[here]["state"], found[here]["state_reason"]) == ("deleted", "course_deleted")
    found = settled(cluster, section(3, course_id=local(OTHER_COURSE)))
    assert found.keys() == {there} == cluster.rosters()["enrollments"].keys()
    found = settled(cluster, an_observer(4, "StudentEnrollment"))
    assert found == {}
    assert len(cluster.rosters()["enrollments"]) == 1


@settings(max_examples=examples(100, part=5), deadline=None)
@given(st.data(), choices())
def test_any_history(data: st.DataObject, choose: Choices) -> None:
    """Both relations depend on the set of events only, and nothing is written twice."""
    history = data.draw(histories())
    cluster = Cluster(all_stages=stages_with_observers(None))
    cluster.send(data.draw(deliveries(history)))
    cluster.settle(choose, crashes=20)
    rosters = reference.rosters(history, None)
    assert cluster.rosters() == rosters, show(history)
    assert cluster.compacted(OBSERVERS.topic) == observers_of(rosters), show(history)
    before = cluster.sizes()
    cluster.send(history)
    cluster.settle(choose)
    assert cluster.sizes() == before


def test_stored_rows_get_a_new_output() -> None:
    """They publish to it when they change. The digests of their other outputs are kept."""
    cluster = older_cluster(stages_with_observers(None))
    cluster.settle(Dice(1), crashes=20)
    assert cluster.rosters() == reference.rosters(EVENTS, None)
    assert cluster.repetitions() == []
    expected = observers_of(cluster.rosters())
    found = cluster.compacted(OBSERVERS.topic)
    assert found.items() <= expected.items()


def test_table_and_schema_follow_from_the_declaration() -> None:
    cluster = Cluster(all_stages=stages_with_observers(None))
    found = settled(cluster, an_observer(1))
    schema = row_schema(OBSERVERS, read_schema_folder())
    table = Table(OBSERVERS)
    with closing(sqlite3.connect(":memory:")) as database:
        for statement in (*table.ddl(), *table.index_ddl()):
            database.execute(statement)
        for key, row in found.items():
            Draft202012Validator(schema).validate(row)
            columns = table.columns_of(table.key_of(key.encode()), orjson.dumps(row))
            database.execute(table.insert, columns)
        rows = database.execute("SELECT enrollment_id, state FROM observers").fetchall()
    assert rows == [(int(ENROLLMENT), "active")]
