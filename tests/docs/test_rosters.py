"""docs/rosters.md: its rows are what the stages make of the schemas' examples, its states what they
make of events, and its examples run on a real broker.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka.admin import AdminClient

from rollcall.catalogue.row_schemas import key_schema
from rollcall.events.registry import REGISTRY
from rollcall.kafka.topics import DAY_MS
from rollcall.resources import resource_path
from rollcall.rosters import registry
from rollcall.rosters.fields import fields_of
from rollcall.rosters.registers import MOST_REGISTER_BYTES
from rollcall.rosters.registry import stages
from rollcall.rosters.states import BY_DATES, CURRENT, FINAL
from rollcall.rosters.topics import TOMBSTONE_DAYS, plan_roster_topics, roster_topics
from rollcall.settings import Settings, load_settings
from rollcall.streaming.stages.keyed import CASCADE_ROWS
from tests.docs.markdown import ROOT, blocks, code, rows
from tests.docs.test_readme import environment, needs_kcat, run_shell
from tests.kafka_client import Sent, partitions_of, read_all, send
from tests.processes import RostersProcess, RouterProcess
from tests.rosters import scenarios
from tests.rosters.memory import Cluster
from tests.rosters.reference import RELATIONS, Rosters, TypedEvent
from tests.rosters.test_snapshots import missed, seen
from tests.waiting import result_of, run, wait_for_datum, wait_until

DOCUMENT = ROOT / "docs" / "rosters.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
SHOWN = (
    "21070000000000570/21070000000046825 Isaac Newton StudentEnrollment active enrollment "
    "2019-01-07T09:12:30.417Z",
    "21070000000000588/21070000000046901 Emilie du Chatelet StudentEnrollment completed snapshot "
    "2019-11-02T03:15:20.904Z",
)
INPUTS = frozenset(topic for stage in stages(None) for topic in stage.inputs)

_ROW = re.compile(
    r"^<!-- (?P<relation>[a-z]+) (?P<key>\S+) -->\n```json\n(?P<row>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_AT = re.compile(r"(?P<thing>section |course |)`(?P<state>[a-z_]+)` 19:(?P<minute>\d\d)")


class InTurn:
    """Choices that leave nothing to chance."""

    def below(self, _bound: int) -> int:
        """The first."""
        return 0


def rosters_of(events: list[TypedEvent]) -> Rosters:
    """What the stages make of events."""
    cluster = Cluster()
    cluster.send(events)
    cluster.settle(InTurn())
    assert cluster.rejected == []
    return cluster.rosters()


def examples() -> list[TypedEvent]:
    """The example of each schema that a stage reads."""
    names = [name for name in REGISTRY if f"events.{name}" in INPUTS]
    schemas = {
        name: json.loads((resource_path("schemas") / f"{name}.json").read_text(encoding="utf-8"))
        for name in names
    }
    return [
        TypedEvent(name, json.dumps(example).encode())
        for name, schema in schemas.items()
        for example in schema["examples"]
    ]


def test_the_rows() -> None:
    made = rosters_of(examples())
    shown = list(_ROW.finditer(TEXT))
    assert tuple(row["relation"] for row in shown) == RELATIONS
    for row in shown:
        # The fields are in the order of the row, too.
        assert list(json.loads(row["row"]).items()) == list(
            made[row["relation"]][row["key"]].items()
        )


def test_the_fields_that_rows_have_besides() -> None:
    made = rosters_of(examples())
    described = {}
    for names, of, _meaning in rows(DOCUMENT, "field"):
        for name in code(names):
            described[name] = set(RELATIONS) if of == "all" else set(of.split(", "))
    besides = {
        name
        for relation in registry.RELATIONS
        for row in made[relation.name].values()
        for name in row.keys() - {field.name for field in fields_of(relation.register)}
    }
    assert besides == described.keys() - {"course_id"}
    for name, relations in described.items():
        for relation in relations:
            have = [row for row in made[relation].values() if name in row]
            if name in ("snapshot_at", "history"):
                assert have == [row for row in made[relation].values() if "snapshot_at" in row]
                assert have
            else:
                assert len(have) == len(made[relation])


def test_the_states() -> None:
    makers: dict[str, Callable[..., Any]] = {
        "": scenarios.enrollment,
        "state": scenarios.enrollment_state,
        "section ": scenarios.section,
        "course ": scenarios.course,
    }
    reasons = set()
    for set_by_hand, by_dates, around, state, reason, as_of in rows(DOCUMENT, "enrollment event"):
        said = [_AT.fullmatch(set_by_hand), _AT.fullmatch(by_dates), _AT.fullmatch(around)]
        assert all(
            found or cell == "–"
            for found, cell in zip(said, (set_by_hand, by_dates, around), strict=True)
        )
        things = ["state" if found is said[1] else found["thing"] for found in said if found]
        events = [
            makers[thing](int(found["minute"]), found["state"])
            for thing, found in zip(things, filter(None, said), strict=True)
        ]
        (row,) = rosters_of(events)["enrollments"].values()
        shown = {
            "state": code(state)[0],
            "state_reason": code(reason)[0],
            "as_of": f"2019-11-01T{as_of}:00.000Z",
        }
        assert shown == {name: row[name] for name in shown}, (set_by_hand, by_dates, around)
        reasons.add(row["state_reason"])
    assert reasons == {
        "enrollment",
        "dates",
        "section_deleted",
        "course_deleted",
        "course_completed",
    }


def test_the_snapshots() -> None:
    makers: list[Callable[..., TypedEvent]]
    makers = [scenarios.enrollment, seen, scenarios.enrollment_state]
    reasons = set()
    for *cells, state, reason, as_of in rows(DOCUMENT, "event of an enrollment"):
        events = []
        for maker, cell in zip(makers, cells, strict=True):
            if absent := re.fullmatch(r"not present 19:(\d\d)", cell):
                events.append(missed(int(absent[1])))
            elif cell != "–":
                found = _AT.fullmatch(cell)
                assert found, cell
                events.append(maker(int(found["minute"]), found["state"]))
        (row,) = rosters_of(events)["enrollments"].values()
        shown = (code(state)[0], code(reason)[0], f"2019-11-01T{as_of}:00.000Z")
        assert shown == (row["state"], row["state_reason"], row["as_of"]), cells
        reasons.add(row["state_reason"])
    assert reasons == {"enrollment", "dates", "snapshot", "absent"}


def test_the_rules_name_the_states_of_the_code() -> None:
    rules = {
        line.split(" | ")[0].strip("| "): line
        for line in TEXT.splitlines()
        if re.match(r"\| \d \| ", line)
    }
    assert set(code(rules["1"])) - {"workflow_state", "enrollment"} == FINAL
    assert set(code(rules["3"])) - {"dates"} == {state for pair in BY_DATES for state in pair}
    # Of what is said twice in rule 7, `completed` is the course's state, and what it comes to.
    assert set(code(rules["7"])) - {"completed", "course_completed"} == CURRENT


def test_the_tables_of_topics_and_stages() -> None:
    settings = Settings.model_construct()
    names = roster_topics(settings)
    topics = {code(topic)[0]: code(keys) for _relation, topic, keys in rows(DOCUMENT, "relation")}
    assert topics == {
        names.full(relation.topic): code(key_schema(relation)["description"])
        for relation in registry.RELATIONS
    }
    assert list(topics) == [
        names.full(topic)
        for stage in stages(None)
        for topic in stage.outputs
        if topic.startswith("rosters.")
    ]
    for plan in plan_roster_topics(settings):
        if plan.name in topics:
            assert plan.config["cleanup.policy"] == "compact"
            assert int(plan.config["delete.retention.ms"]) == TOMBSTONE_DAYS * DAY_MS
    described = {
        code(name)[0]: (code(reads), code(writes))
        for name, _key, reads, writes in rows(DOCUMENT, "stage")
    }
    assert set(described) == {stage.name for stage in stages(None)}
    for stage in stages(None):
        reads, writes = described[stage.name]
        families = {
            f"{topic.removeprefix('events.').rpartition('_')[0]}_*"
            for topic in stage.inputs
            if topic.startswith("events.")
        }
        internal = {topic for topic in stage.inputs if not topic.startswith("events.")}
        if stage.name == "course":  # for these the table has words
            assert (set(reads), len(internal), writes) == (families, 4, [])
        else:
            assert (set(reads), tuple(writes)) == (families | internal, stage.outputs)


def test_the_numbers() -> None:
    text = " ".join(TEXT.split())
    assert f"tombstones after {TOMBSTONE_DAYS} days" in text
    assert f"at most {CASCADE_ROWS:,} rows" in text
    assert f"more than {MOST_REGISTER_BYTES:,} bytes" in text


# --- on a real broker


class Running(NamedTuple):
    """The router and the rosters, with the examples read, and a membership whose group never
    comes.
    """

    bootstrap: str
    prefix: str
    folder: Path
    rosters: RostersProcess
    settings: Settings
    made: dict[str, Any]


@pytest.fixture(scope="module")
def running(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    prefix, folder = f"t{uuid.uuid4().hex[:12]}", tmp_path_factory.mktemp("rosters")
    settings = load_settings(kafka=bootstrap, topic_prefix=prefix, group_prefix=prefix)
    events = [*examples(), scenarios.membership(1)]
    with (
        RouterProcess(folder, bootstrap, prefix) as router,
        RostersProcess(folder, bootstrap, prefix) as rosters,
    ):
        router.wait_ready()
        send(bootstrap, f"{prefix}.raw", [Sent(event.value) for event in events])
        made = rosters_of(events)
        rosters.wait_ready()
        wait_for_datum(lambda: published(bootstrap, prefix), made, is_through=lambda: rosters.idle)
        yield Running(bootstrap, prefix, folder, rosters, settings, made)


def published(bootstrap: str, prefix: str) -> Rosters:
    """The rows of the topics."""
    found: dict[str, dict[str, Any]] = {relation: {} for relation in RELATIONS}
    for message in read_all(bootstrap, [f"{prefix}.rosters.{relation}" for relation in RELATIONS]):
        relation, key, value = (
            str(message.topic()).rpartition(".")[2],
            (message.key() or b"").decode(),
            message.value(),
        )
        found[relation].pop(key, None)
        if value is not None:
            found[relation][key] = json.loads(value)
    return found


def example(language: str, word: str, prefix: str) -> str:
    """The one block of the document in this language that holds the word."""
    (text,) = [text for text in blocks(DOCUMENT, language) if word in text]
    return (
        text.replace("canvas.", f"{prefix}.")
        .replace("rollcall-", f"{prefix}-")
        .replace("my-application", prefix)
    )


def test_the_python_reader(running: Running, tmp_path: Path) -> None:
    script = tmp_path / "reader.py"
    script.write_text(example("python", "confluent_kafka", running.prefix), encoding="utf-8")
    done = run([sys.executable, str(script)], env=environment(running.bootstrap))
    assert (done.returncode, done.stderr) == (0, "")
    assert tuple(done.stdout.splitlines()) == SHOWN
    assert "".join(f"    {line}\n" for line in SHOWN) in TEXT


@needs_kcat
def test_kcat(running: Running) -> None:
    said = run_shell(example("sh", "rosters.memberships", running.prefix), running.bootstrap)
    printed = {
        key: json.loads(value)
        for key, _, value in (line.partition(" ") for line in said.splitlines())
    }
    assert printed == {
        key: row
        for key, row in running.made["memberships"].items()
        if key.startswith("21070000000000565/")
    }


@needs_kcat
def test_parked_rows(running: Running) -> None:
    said = run_shell(example("sh", "group-changelog", running.prefix), running.bootstrap)
    assert said == f"{scenarios.GROUP}/membership/{scenarios.MEMBERSHIP}\n"
    # the metric follows the lanes a moment later
    wait_until(
        lambda: (
            running.rosters.metric("rollcall_parked_rows", stage="group") == 1
            and running.rosters.metric("rollcall_parked_rows", stage="enrollment") == 1
        ),
        what="the parked rows of both stages",
    )
    said = run_shell(
        example("sh", "group-changelog", running.prefix).replace(
            "group-changelog", "enrollment-changelog"
        ),
        running.bootstrap,
    )
    assert said == "21070000000001533\n"  # of the documented enrollment_state_updated


@pytest.mark.parametrize("line", re.findall(r"`rollcall (roster [^`]+)`", TEXT))
def test_the_command(running: Running, line: str) -> None:
    command = [sys.executable, "-m", "rollcall", *line.split(), "--json"]
    variables = environment(running.bootstrap) | {"ROLLCALL_TOPIC_PREFIX": running.prefix}
    done = run(command, env=variables)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["course"] == running.made["courses"]["21070000000000565"]
    assert printed["groups"] == [
        row
        for key, row in sorted(running.made["groups"].items())
        if key.startswith("21070000000000565/")
    ]


def test_made_anew(running: Running) -> None:
    """As docs/operations.md says under "Rebuilding the rosters". Last, since it ends the
    process.
    """
    assert running.rosters.end() == 0
    kafka = AdminClient({"bootstrap.servers": running.bootstrap})
    doomed = [
        plan.name
        for plan in plan_roster_topics(running.settings)
        if plan.config["cleanup.policy"] == "compact"
    ]
    assert all(
        name.startswith((f"{running.prefix}-rosters-", f"{running.prefix}.rosters."))
        for name in doomed
    )
    for future in kafka.delete_topics(doomed).values():
        result_of(future, what="the end of the topics")
    for future in kafka.delete_consumer_groups([f"{running.prefix}-rosters"]).values():
        result_of(future, what="the end of the group")
    # the broker hears of it after the controller
    wait_until(lambda: not partitions_of(running.bootstrap, doomed), what="the end of the topics")
    with RostersProcess(running.folder, running.bootstrap, running.prefix) as rosters:
        rosters.wait_ready()
        wait_for_datum(
            lambda: published(running.bootstrap, running.prefix),
            running.made,
            is_through=lambda: rosters.idle,
        )
        assert rosters.end() == 0
