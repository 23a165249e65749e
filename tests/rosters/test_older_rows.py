"""Tables, internal records and replicas of an earlier commit stay readable
(tests/fixtures/rows/README.md).
"""

from __future__ import annotations

import gzip
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from rollcall.serve.replica.store import ReplicaStore
from rollcall.serve.replica.tables import SCHEMA_VERSION, TABLES
from rollcall.streaming.rows import encode_row
from rollcall.streaming.stages.stage import Stage
from tests.rosters import reference
from tests.rosters.memory import Cluster, Stored
from tests.rosters.reference import TypedEvent
from tests.rosters.test_stages import Dice
from tests.serve.served import batch_of

FOLDER = Path(__file__).parents[1] / "fixtures" / "rows"


def content(name: str) -> bytes:
    """A file of the fixture."""
    return gzip.decompress((FOLDER / f"{name}.gz").read_bytes())


DOCUMENT: dict[str, Any] = orjson.loads(content("cluster.json"))
EVENTS = [TypedEvent(name, value.encode()) for name, value in DOCUMENT["events"]]
ROSTERS: dict[str, Any] = orjson.loads(content("rosters.json"))
"""Rows by relation and record key. Later relations are not compared: the fixture has none."""
KINDS = {
    "course": {"", "enrollment", "group", "membership", "section"},
    "enrollment": {""},
    "group": {"", "membership"},
    "section": {"", "enrollment"},
    "user": {""},
}
"""Kinds of rows by stage, when the fixture was made."""


def of_fixture(rosters: Mapping[str, Any]) -> dict[str, Any]:
    """The relations of the fixture."""
    return {relation: rosters[relation] for relation in ROSTERS}


def older_cluster(all_stages: Sequence[Stage] | None = None) -> Cluster:
    """The stored cluster with the current stages, or others."""
    cluster = Cluster(cascade_rows=2, all_stages=all_stages)
    for topic, partition, records in DOCUMENT["topics"]:
        cluster.log(topic, partition).extend(
            Stored(
                offset,
                None,
                key.encode(),
                None if value is None else value.encode(),
                [(name, header.encode()) for name, header in headers],
            )
            for offset, (key, value, headers) in enumerate(records)
        )
    for stage, topic, partition, offset in DOCUMENT["offsets"]:
        cluster.offsets[stage, topic, partition] = offset
    for lane in cluster.lanes:
        lane.start()
    return cluster


def test_the_fixture_has_rows_of_all_kinds() -> None:
    """It has each case of the tests below."""
    cluster = older_cluster()
    kinds: dict[str, set[str]] = {}
    for lane in cluster.lanes:
        for key, _ in lane.rows.items():
            kind = key.decode().partition("/")[2].partition("/")[0]
            kinds.setdefault(lane.context.stage.name, set()).add(kind)
    assert kinds == KINDS
    assert any(lane.handler.unfinished for lane in cluster.lanes)
    assert any(lane.rows.parked for lane in cluster.lanes)
    assert any(not topic.startswith("events.") for lane in cluster.lanes for topic in lane.waiting)
    assert all(ROSTERS.values())


def test_stored_rows_are_the_same_bytes() -> None:
    """Each row is decoded and encoded again."""
    for lane in older_cluster().lanes:
        for key, stored in lane.rows.items():
            kind = key.decode().partition("/")[2].partition("/")[0]
            known = lane.context.stage.kinds[kind].decode(stored)
            assert known.row is not None
            assert encode_row(known.published, known.row, bool(known.pending)) == stored


@pytest.mark.parametrize("seed", range(4))
def test_processing_continues(seed: int) -> None:
    """The rosters are those of all events, and nothing is written twice."""
    cluster = older_cluster()
    cluster.settle(Dice(seed), crashes=20)
    assert of_fixture(cluster.rosters()) == of_fixture(reference.rosters(EVENTS, None))
    assert cluster.rejected == []
    assert cluster.repetitions() == []
    before = cluster.sizes()
    cluster.send(reversed(EVENTS))
    cluster.settle(Dice(seed))
    assert cluster.sizes() == before


def test_an_older_replica_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is not rebuilt, and has the rows that the same rosters give now. After a change of
    ``SCHEMA_VERSION`` it is rebuilt, and the log says so.
    """
    path = tmp_path / "replica.sqlite"
    path.write_bytes(content("replica.sqlite"))
    with closing(sqlite3.connect(path)) as database:
        ((version,),) = database.execute("PRAGMA user_version")
    expected = batch_of(ROSTERS)
    with caplog.at_level(logging.WARNING), closing(ReplicaStore(path, "canvas")) as store:
        if version != SCHEMA_VERSION:
            assert store.positions == {}
            (message,) = caplog.messages
            assert f"its schema is version {version}," in message
            return
        assert store.positions == {
            (f"canvas.rosters.{name}", 0): len(rows) for name, rows in ROSTERS.items()
        }
        with closing(sqlite3.connect(path)) as database:
            for table in TABLES:
                found = database.execute(
                    f"SELECT {', '.join(table.columns)} FROM {table.name}"  # noqa: S608
                ).fetchall()
                assert sorted(found, key=repr) == sorted(expected[table.name].values(), key=repr)
        changed, _ = store.apply(expected, {}, with_changes=True)
        assert changed == []
    assert caplog.messages == []


def test_tables_of_a_new_replica_are_the_same(tmp_path: Path) -> None:
    """A new replica has the same tables, views and indexes."""
    schemas = []
    for name in ("older", "new"):
        path = tmp_path / f"{name}.sqlite"
        if name == "older":
            path.write_bytes(content("replica.sqlite"))
        with closing(ReplicaStore(path, "canvas")) as store:
            store.note_complete(1.0)
            with closing(sqlite3.connect(path)) as database:
                schemas.append(set(database.execute("SELECT type, name, sql FROM sqlite_schema")))
    assert schemas[0] == schemas[1]
