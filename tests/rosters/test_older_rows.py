"""Tables, internal records and replicas of an earlier commit stay readable
(tests/fixtures/rows/README.md).
"""

from __future__ import annotations

import gzip
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from rollcall.rosters.registry import RELATIONS, stages
from rollcall.serve.replica.store import ReplicaStore
from rollcall.serve.replica.tables import TABLES
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
    kinds = {
        (lane.context.stage.name, key.decode().partition("/")[2].partition("/")[0])
        for lane in cluster.lanes
        for key, _ in lane.rows.items()
    }
    assert kinds == {(stage.name, kind) for stage in stages(None) for kind in stage.kinds}
    assert any(lane.handler.unfinished for lane in cluster.lanes)
    assert any(lane.rows.parked for lane in cluster.lanes)
    assert any(not topic.startswith("events.") for lane in cluster.lanes for topic in lane.waiting)
    assert all(orjson.loads(content("rosters.json")).values())


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
    assert cluster.rosters() == reference.rosters(EVENTS, None)
    assert cluster.rejected == []
    assert cluster.repetitions() == []
    before = cluster.sizes()
    cluster.send(reversed(EVENTS))
    cluster.settle(Dice(seed))
    assert cluster.sizes() == before


def test_an_older_replica_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is not rebuilt, and has the rows that the same rosters give now."""
    path = tmp_path / "replica.sqlite"
    path.write_bytes(content("replica.sqlite"))
    rosters = orjson.loads(content("rosters.json"))
    expected = batch_of(rosters)
    with caplog.at_level(logging.WARNING), closing(ReplicaStore(path, "canvas")) as store:
        assert store.positions == {
            (f"canvas.{relation.topic}", 0): len(rosters[relation.name]) for relation in RELATIONS
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
