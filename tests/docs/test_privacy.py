"""docs/privacy.md: topics and times are those that are planned, and what it tells one to do does
what it says.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from rollcall.catalogue.plans import plan_topics
from rollcall.kafka.topics import DAY_MS
from rollcall.serve.page.dead_letters import MOST_KEPT as MOST_LETTERS
from rollcall.serve.replica.feed import MOST_KEPT
from rollcall.serve.replica.store import ReplicaStore
from rollcall.settings import Settings
from tests.docs.markdown import ROOT, blocks, code, rows
from tests.docs.test_rosters import InTurn, examples, rosters_of
from tests.rosters.memory import Cluster
from tests.rosters.reference import TypedEvent
from tests.serve.served import batch_of

DOCUMENT = ROOT / "docs" / "privacy.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
PLANNED = {plan.name: plan.config for plan in plan_topics(Settings.model_construct())}


def matching(topic: str) -> list[str]:
    """The planned topics that are meant."""
    return [
        name for name in PLANNED if re.fullmatch(topic.replace(".", r"\.").replace("*", ".*"), name)
    ]


def test_how_long_topics_keep_what_is_personal() -> None:
    """As they are planned, every one of them."""
    told = set()
    for where, _what, kept, _who in rows(DOCUMENT, "where"):
        for topic in code(where):
            found = matching(topic)
            assert bool(found) == topic.startswith(("canvas.", "rollcall-")), topic
            told |= set(found)
            for name in found:
                days = f"{int(PLANNED[name].get('retention.ms', 0)) // DAY_MS} days"
                assert (
                    kept == days
                    if PLANNED[name]["cleanup.policy"] == "delete"
                    else kept.startswith("for ever")
                )
    assert told == PLANNED.keys()


def test_the_topics_that_are_named_are_there() -> None:
    for topic in re.findall(r"`((?:canvas\.|rollcall-rosters-)[a-z.*-]+)`", TEXT):
        assert matching(topic), topic


def test_the_settings_that_limit_it() -> None:
    named = [
        name.removeprefix("ROLLCALL_").lower()
        for names, _what in rows(DOCUMENT, "setting")
        for name in code(names)
    ]
    assert (
        {
            name
            for name in Settings.model_fields
            if name.startswith(("retention_", "redact", "drop_"))
        }
        <= set(named)
        <= Settings.model_fields.keys()
    )


def test_the_numbers() -> None:
    assert (
        f"the last {MOST_KEPT:,} changes of rows, and the last {MOST_LETTERS} dead letters" in TEXT
    )


def test_what_the_replica_has_of_somebody(tmp_path: Path) -> None:
    (queries,) = blocks(DOCUMENT, "sql")
    path = tmp_path / "replica.sqlite"
    store = ReplicaStore(path, "canvas")
    store.apply(batch_of(rosters_of(examples())), {})
    store.note_complete(1.0)
    store.close()
    with closing(sqlite3.connect(path)) as replica:
        replica.row_factory = sqlite3.Row
        found = [replica.execute(query).fetchall() for query in queries.split(";")[:3]]
        assert [row["name"] for row in found[0]] == ["test user"]
        others = [
            replica.execute(query.replace("21070000000025999", "21070000000020064")).fetchall()
            for query in queries.split(";")[:3]
        ]
    assert [row["user_name"] for row in others[1]] == ["Isaac Newton"]


def test_what_finds_somebody_in_a_topic() -> None:
    (pattern,) = re.findall(r"grep -E '([^']+)'", TEXT)
    for written in (
        '"user_id":"21070000000025999"',
        '"user_id":25999,',
        '"2107~25999"',
        "/users/25999/grades",
    ):
        assert re.search(pattern, written)
    assert not re.search(pattern, '"user_id":"21070000000125999"')


def test_events_of_ones_own_take_names_out_of_all_rows() -> None:
    cluster = Cluster()
    cluster.send(examples())
    cluster.settle(InTurn())
    personal = (
        b"Isaac Newton",
        b'"test user"',
        b'"test"',
        b"456-T45",
        b"kDfqdZrVWAxrI6RmFBNqipEGKozQR0sYolwPfsvM",
    )
    before = b"".join(last_values(cluster))
    assert all(word in before for word in personal)
    cluster.send(
        TypedEvent(json.loads(event)["metadata"]["event_name"], event.encode())
        for event in blocks(DOCUMENT, "json")
    )
    cluster.settle(InTurn())
    assert cluster.rejected == []
    after = b"".join(last_values(cluster))
    assert [word for word in personal if word in after] == []
    assert b"21070000000025999" in after, "the id remains, as the document says"


def last_values(cluster: Cluster) -> list[bytes]:
    """What is left on rosters, internal topics and changelogs when Kafka has compacted them."""
    found = []
    for topic, partition in list(cluster.sizes()):
        last = {record.key: record.value for record in cluster.log(topic, partition)}
        found += [value for value in last.values() if value is not None]
    return found
