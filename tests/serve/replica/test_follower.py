"""The replica on a real broker: it holds exactly what the topics hold, whatever happened to file,
topics and process.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer

from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.reader import bounds_of
from rollcall.rosters.registry import RELATIONS
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.truth import Rosters
from rollcall.serve.replica import follower as follower_module
from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.file import ReplicaError
from rollcall.serve.replica.follower import Follower
from rollcall.serve.replica.rebuild_reasons import MOST_AWAY_SECONDS
from rollcall.serve.replica.store import ReplicaStore
from rollcall.settings import load_settings
from tests.kafka_client import (
    Sent,
    add_partitions,
    create_topic,
    delete_topic,
    send,
)
from tests.processes import wait_until
from tests.serve.served import batch_of
from tests.waiting import wait_for_datum

PARTITIONS = 2
COURSE = "21070000000000565"

Rows = Mapping[str, Mapping[str, Mapping[str, Any] | None]]


@pytest.fixture(scope="module")
def truth() -> Rosters:
    """Rosters of a small institution."""
    simulation = Simulation(SimulationPlan(courses=6, steps=600, seed=3))
    for _ in simulation.events():
        pass
    return simulation.truth()


class Topics:
    """The roster topics of one installation."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        for relation in RELATIONS:
            self.create(relation.name)

    def name(self, relation: str) -> str:
        """A topic's name."""
        return f"{self.prefix}.rosters.{relation}"

    def create(self, relation: str) -> None:
        """Make a topic."""
        create_topic(self.bootstrap, self.name(relation), PARTITIONS, {"cleanup.policy": "compact"})

    def send(self, rows: Rows, *, transactional_id: str | None = None, commit: bool = True) -> None:
        """Write rows; None: a tombstone."""
        partition_of = partitioner(PARTITIONS)
        for relation, by_key in rows.items():
            records = [
                Sent(
                    None if row is None else orjson.dumps(row),
                    key.encode(),
                    partition_of(key.partition("/")[0].encode()),
                )
                for key, row in by_key.items()
            ]
            send(
                self.bootstrap,
                self.name(relation),
                records,
                transactional_id=transactional_id,
                commit=commit,
            )


@pytest.fixture
def topics(bootstrap: str, prefix: str) -> Topics:
    """Topics without records."""
    return Topics(bootstrap, prefix)


@contextmanager
def following(path: Path, bootstrap: str, prefix: str) -> Iterator[tuple[Follower, ReplicaStore]]:
    """A replica that is kept."""
    settings = load_settings(kafka=bootstrap, topic_prefix=prefix, replica=path)
    store = ReplicaStore(path, prefix)
    follower = Follower(settings, bootstrap, store, Feed())
    follower.start()
    try:
        yield follower, store
    finally:
        follower.stop()
        store.close()
    assert follower.failure is None


def is_through(follower: Follower) -> bool:
    """Whether it says that it has everything."""
    return follower.progress.complete and follower.progress.behind_since is None


def add_partition(topics: Topics, topic: str) -> None:
    """One more than all topics have."""
    add_partitions(topics.bootstrap, topic, PARTITIONS + 1)


def wait_complete(follower: Follower) -> None:
    """Wait until nothing is missing, as of a look at the topics that begins now."""
    since = time.time()
    wait_until(
        lambda: (
            follower.progress.complete
            and follower.progress.behind_since is None
            and (follower.progress.surveyed_at or 0) > since
        )
    )


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the views, as any SQLite tool shows them."""
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return {
            relation.name: sorted(database.execute(f"SELECT * FROM {relation.name}"), key=repr)  # noqa: S608
            for relation in RELATIONS
        }
    except sqlite3.Error as error:
        error.add_note(error.sqlite_errorname)  # the message is the same for several causes
        raise
    finally:
        database.close()


def contents_if_there(path: Path) -> dict[str, list[tuple[Any, ...]]] | None:
    """The same of a file that may be rebuilt now; None between the old file and the new one."""
    try:
        return contents(path)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN:
            raise
        return None


def expected(rows: Rows) -> dict[str, list[tuple[Any, ...]]]:
    """What the views must show."""
    return {
        name: sorted((row for row in batch.values() if row is not None), key=repr)
        for name, batch in batch_of(rows).items()
    }


def course(name: str, number: int = 0) -> dict[str, dict[str, Any]]:
    """Rows of one course."""
    key = str(int(COURSE) + number)
    row = {
        "course_id": key,
        "name": name,
        "workflow_state": "available",
        "state": "available",
        "state_reason": "course",
        "as_of": "2024-03-29T22:43:00.000Z",
    }
    return {key: row}


def test_it_holds_what_the_topics_hold(topics: Topics, truth: Rosters, tmp_path: Path) -> None:
    """Older values, tombstones and aborted transactions included; and what comes later, too."""
    older = {
        relation: {key: {**row, "state": "older"} for key, row in list(rows.items())[::2]}
        for relation, rows in truth.items()
    }
    gone = {"courses": course("gone", 900)}
    topics.send(older)
    topics.send(gone)
    topics.send(truth, transactional_id=f"{topics.prefix}-1")
    topics.send(
        {"courses": course("never"), "enrollments": dict.fromkeys(truth["enrollments"])},
        transactional_id=f"{topics.prefix}-2",
        commit=False,
    )
    topics.send({"courses": dict.fromkeys(gone["courses"])})
    path = tmp_path / "replica.sqlite"
    with following(path, topics.bootstrap, topics.prefix) as (follower, store):
        wait_complete(follower)
        assert contents(path) == expected(truth)
        assert (
            follower.progress.rows
            == store.row_counts
            == {name: len(rows) for name, rows in truth.items()}
        )
        topics.send({"courses": course("new")})
        wait_until(lambda: any("new" in row for row in contents(path)["courses"]))
        wait_complete(follower)
        assert follower.progress.freshness(time.time()) == 0
        assert follower.progress.unusable == 0
        taken = follower.progress.records
        assert taken >= sum(map(len, truth.values()))
        rebuilds = follower.progress.rebuilds
    assert rebuilds == 0
    topics.send({"courses": course("while it was away", 1)})
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        assert follower.progress.complete, "it answers at once"
        wait_complete(follower)
        assert follower.progress.records == 1, "it goes on where it was"
        assert contents(path) == expected(
            {
                **truth,
                "courses": {**truth["courses"], **course("new"), **course("while it was away", 1)},
            }
        )


def _remove(path: Path) -> None:
    path.unlink()


def _other_schema(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 999")


def _no_table(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE positions")


def _other_cluster(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE meta SET value = 'another' WHERE name = 'cluster'")


def _other_prefix(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE meta SET value = 'another' WHERE name = 'prefix'")


def _beyond_the_end(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE positions SET position = position + 1000000")


def _other_partitions(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO positions SELECT topic, 99, 0 FROM positions LIMIT 1")


def _other_topic(path: Path) -> None:
    """Of the same name, and at least as long."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE topics SET topic_id = 'another' WHERE topic LIKE '%.groups'")


def _too_old(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE meta SET value = ? WHERE name = 'followed_until'",
            (repr(time.time() - MOST_AWAY_SECONDS - 60),),
        )


def _damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200:] = b"\xff" * (len(content) - 200)
    path.write_bytes(content)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


HARMS = [
    _remove,
    _other_schema,
    _no_table,
    _other_cluster,
    _other_prefix,
    _beyond_the_end,
    _other_partitions,
    _other_topic,
    _too_old,
    _damaged,
    _truncated,
    _emptied,
]


@pytest.mark.parametrize(
    "harm",
    HARMS,
    ids=lambda harm: harm.__name__,
)
def test_a_file_that_cannot_be_gone_on_with_is_made_anew(
    harm: Callable[[Path], None],
    filled: tuple[Topics, Path, dict[str, list[tuple[Any, ...]]]],
    tmp_path: Path,
) -> None:
    """And holds everything again."""
    topics, original, rows = filled
    path = tmp_path / "replica.sqlite"
    path.write_bytes(original.read_bytes())
    harm(path)
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
        assert follower.progress.records > 1, "all was read again"
        assert contents(path) == rows


@pytest.fixture(scope="module")
def filled(
    bootstrap: str, truth: Rosters, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Topics, Path, dict[str, list[tuple[Any, ...]]]]:
    """Topics with rows, and a replica of them."""
    topics = Topics(bootstrap, f"filled{time.time_ns()}")
    topics.send(truth)
    path = tmp_path_factory.mktemp("filled") / "replica.sqlite"
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
    assert not path.with_name("replica.sqlite-wal").exists(), "the file is whole"
    return topics, path, contents(path)


def test_a_topic_that_is_made_anew_while_it_is_followed(topics: Topics, tmp_path: Path) -> None:
    """What was on it is not in the replica any more."""
    topics.send(
        {
            "courses": {
                key: row for number in range(50) for key, row in course("old", number).items()
            }
        }
    )
    path = tmp_path / "replica.sqlite"
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
        delete_topic(topics.bootstrap, topics.name("courses"))
        topics.create("courses")
        topics.send({"courses": course("new", 7)})
        wait_for_datum(
            lambda: contents_if_there(path),
            expected({"courses": course("new", 7)}),
            90,
            is_through=lambda: is_through(follower),
        )
        assert follower.progress.rebuilds >= 1


def test_a_topic_that_is_made_anew_while_nobody_follows_and_is_longer_now(
    topics: Topics, tmp_path: Path
) -> None:
    """Nothing of the old one is left, though the new one has records where the file would have gone
    on.
    """
    topics.send({"courses": course("old")})
    path = tmp_path / "replica.sqlite"
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
    delete_topic(topics.bootstrap, topics.name("courses"))
    topics.create("courses")
    new = {key: row for number in range(1, 50) for key, row in course("new", number).items()}
    topics.send({"courses": new})
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
        assert contents(path) == expected({"courses": new})


def test_a_file_that_is_removed_while_it_is_followed(topics: Topics, tmp_path: Path) -> None:
    """It is made anew without a restart."""
    topics.send({"courses": course("one")})
    path = tmp_path / "replica.sqlite"
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
        path.unlink()
        wait_until(path.exists)
        wait_complete(follower)
        assert contents(path) == expected({"courses": course("one")})


def test_a_reader_finds_it_damaged(topics: Topics, tmp_path: Path) -> None:
    """It is made anew."""
    topics.send({"courses": course("one")})
    path = tmp_path / "replica.sqlite"
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
        follower.report_damage()
        wait_until(lambda: follower.progress.rebuilds == 1)
        wait_complete(follower)
        assert contents(path) == expected({"courses": course("one")})


def test_a_build_that_was_interrupted_long_ago_is_not_gone_on_with(
    topics: Topics, tmp_path: Path
) -> None:
    """What was removed meanwhile may not be told any more."""
    topics.send({"courses": course("one")})
    path = tmp_path / "replica.sqlite"
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM meta WHERE name = 'followed_until'")
        database.execute(
            "UPDATE meta SET value = ? WHERE name = 'made_at'",
            (repr(time.time() - MOST_AWAY_SECONDS - 60),),
        )
        database.execute(
            "INSERT INTO roster_courses (course_id, state) VALUES (1, 'removed meanwhile')"
        )
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        assert not follower.progress.complete
        wait_complete(follower)
        assert follower.progress.rebuilds == 1
        assert contents(path) == expected({"courses": course("one")})


def test_it_ends_while_a_topic_is_missing(topics: Topics, tmp_path: Path) -> None:
    """And keeps what it has."""
    topics.send({"courses": course("one")})
    path = tmp_path / "replica.sqlite"
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
    delete_topic(topics.bootstrap, topics.name("users"))
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_until(lambda: "topics are missing" in (follower.progress.problem or ""))
    assert contents(path) == expected({"courses": course("one")})


def test_records_behind_an_open_transaction(
    topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told of them, so it says that something is missing, until the transaction ends."""
    monkeypatch.setattr(follower_module, "HIDDEN_SECONDS", 0.5)
    path = tmp_path / "replica.sqlite"
    producer = Producer(
        {"bootstrap.servers": topics.bootstrap, "transactional.id": f"{topics.prefix}-open"}
    )
    producer.init_transactions(30)
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
        [key] = course("one")
        producer.begin_transaction()
        producer.produce(
            topics.name("courses"), b"never", b"{}", partition=partitioner(PARTITIONS)(key.encode())
        )
        assert producer.flush(30) == 0
        topics.send({"courses": course("one")})
        wait_until(lambda: follower.progress.problem == follower_module.HIDDEN)
        assert follower.progress.freshness(time.time()) > 0
        producer.abort_transaction(30)
        wait_complete(follower)
        assert follower.progress.problem is None
        assert contents(path) == expected({"courses": course("one")})


def test_a_file_that_somebody_holds_is_left_alone(
    filled: tuple[Topics, Path, dict[str, list[tuple[Any, ...]]]], tmp_path: Path
) -> None:
    """Nothing is wrong with what is in it."""
    topics, original, rows = filled
    path = tmp_path / "replica.sqlite"
    path.write_bytes(original.read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ReplicaError, match="cannot be opened"):
            ReplicaStore(path, topics.prefix)
        holder.execute("ROLLBACK")
    assert contents(path) == rows


def test_new_partitions_are_noticed(
    topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart."""
    monkeypatch.setattr(follower_module, "TOPICS_SECONDS", 0.5)
    topics.send({"courses": course("one")})
    path = tmp_path / "replica.sqlite"
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
        topic = topics.name("courses")
        add_partition(topics, topic)
        [(key, row)] = course("two", 2).items()
        send(topics.bootstrap, topic, [Sent(orjson.dumps(row), key.encode(), PARTITIONS)])
        wait_for_datum(
            lambda: contents(path),
            expected({"courses": {**course("one"), **course("two", 2)}}),
            is_through=lambda: is_through(follower),
        )
        assert follower.progress.rebuilds == 0


def test_topics_that_are_not_there_yet(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """It says which, and waits for them."""
    path = tmp_path / "replica.sqlite"
    with following(path, bootstrap, prefix) as (follower, _store):
        wait_until(lambda: follower.progress.problem is not None)
        assert f"topics are missing: {prefix}.rosters.courses" in (follower.progress.problem or "")
        assert not follower.progress.complete
        topics = Topics(bootstrap, prefix)
        topics.send({"courses": course("one")})
        wait_complete(follower)
        assert follower.progress.problem is None
        assert contents(path) == expected({"courses": course("one")})


def test_kafka_is_away(
    filled: tuple[Topics, Path, dict[str, list[tuple[Any, ...]]]], tmp_path: Path
) -> None:
    """What is known is kept, and it is said since when nothing is new."""
    topics, original, rows = filled
    path = tmp_path / "replica.sqlite"
    path.write_bytes(original.read_bytes())
    began = time.time()
    with following(path, "127.0.0.1:1", topics.prefix) as (follower, store):
        wait_until(lambda: follower.progress.problem is not None)
        assert "127.0.0.1:1 does not answer" in (follower.progress.problem or "")
        assert follower.progress.complete
        assert follower.progress.freshness(time.time()) >= began - store.followed_until
        assert contents(path) == rows


@pytest.mark.parametrize("method", ["stop", "getmany", "end_offsets"])
def test_a_client_that_ends_a_task_of_its_own(
    topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """aiokafka lets its cancellation through to the caller, whom nobody has cancelled: what waits
    for that must not end with it.
    """
    monkeypatch.setattr(follower_module, "TOPICS_SECONDS", 0.5)
    topics.send({"courses": course("one")})
    path = tmp_path / "replica.sqlite"
    real, given_up = getattr(AIOKafkaConsumer, method), threading.Event()

    async def giving_up(reader: AIOKafkaConsumer, *args: Any, **options: Any) -> Any:
        result = await real(reader, *args, **options)
        if not given_up.is_set():
            given_up.set()
            raise asyncio.CancelledError
        return result

    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
        monkeypatch.setattr(AIOKafkaConsumer, method, giving_up)
        add_partition(topics, topics.name("users"))  # so it stops
        wait_until(given_up.is_set)
        topics.send({"courses": course("two", 2)})
        wait_for_datum(
            lambda: len(contents(path)["courses"]), 2, is_through=lambda: is_through(follower)
        )
        wait_complete(follower)


def test_records_that_are_no_rows(
    topics: Topics, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are counted and told of, without what is in them, and the others are there."""
    good = course("good")
    bad = [
        Sent(b"secret", b"1", 0),
        Sent(b"{}", b"1", 0),
        Sent(orjson.dumps(next(iter(good.values()))), b"x/y/z", 0),
        Sent(b"\xff\xfe", b"", 0),
        Sent(None, b"\xff", 1),
        Sent(b'{"state":1,"state_reason":"x","as_of":"y"}', b"2", 1),
    ]
    send(topics.bootstrap, topics.name("courses"), bad)
    topics.send({"courses": good})
    path = tmp_path / "replica.sqlite"
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
        assert follower.progress.unusable == len(bad)
        assert contents(path) == expected({"courses": good})
    assert "secret" not in caplog.text


def test_a_leader_that_was_deposed_is_not_believed(
    topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells ends from before the file's place. Taken for topics that were made anew, they would
    cost a build of the whole file.
    """
    path = tmp_path / "replica.sqlite"
    topics.send({"courses": course("one")})
    with following(path, topics.bootstrap, topics.prefix) as (follower, _store):
        wait_complete(follower)
    asked = list[str]()

    async def bounds_from_before(reader: AIOKafkaConsumer, places: list[Any]) -> Any:
        beginnings, ends = await bounds_of(reader, places)
        asked.append("ends")
        return beginnings, dict.fromkeys(ends, 0)

    monkeypatch.setattr(follower_module, "bounds_of", bounds_from_before)
    topics.send({"courses": course("two", 2)})
    with following(path, topics.bootstrap, topics.prefix) as (follower, store):
        wait_complete(follower)
        assert (follower.progress.rebuilds, store.row_counts["courses"]) == (0, 2)
    assert asked
