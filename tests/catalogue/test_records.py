"""What the document says of records holds of those that are written: of all that the router makes
of lifelike traffic, and of all that the stages write.
"""

from __future__ import annotations

import copy
from collections import Counter
from functools import cache
from random import Random
from typing import Any

import orjson
import pytest
from jsonschema_rs import Draft7Validator

from rollcall.catalogue.asyncapi import asyncapi_document
from rollcall.catalogue.headers import CLOUD_EVENTS, ERRORS
from rollcall.catalogue.topics import catalogue
from rollcall.events import pipeline
from rollcall.events.outcomes import ErrorCode
from rollcall.events.registry import REGISTRY
from rollcall.record import Headers
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.traffic import TrafficPlan, generate_traffic
from rollcall.settings import Settings
from tests.docs.test_rosters import examples, rosters_of
from tests.events.schemas.events import MISSING, NAMES, VALIDATORS, changed, example, fields
from tests.events.schemas.test_differential import VALUES
from tests.rosters.memory import Cluster
from tests.rosters.reference import TypedEvent
from tests.rosters.test_snapshots import seen_and_missed
from tests.router.handling import FakeRecord
from tests.router.test_handler import chunk, run


@cache
def document() -> dict[str, Any]:
    """With the default settings."""
    return asyncapi_document(catalogue(Settings.model_construct()))


@cache
def channels() -> dict[str, Any]:
    """The document's channels by topic."""
    return {channel["address"]: channel for channel in document()["channels"].values()}


def validator(schema: object) -> Draft7Validator:
    """By a schema that stands in the document: as every tool for AsyncAPI reads it, which is draft
    07 of JSON Schema.
    """
    return Draft7Validator(
        {"allOf": [schema], "components": document()["components"]}, validate_formats=True
    )


@cache
def parts(topic: str, message: str) -> tuple[Draft7Validator, Draft7Validator, Draft7Validator]:
    """What judges key, headers and value."""
    described = channels()[topic]["messages"][message]
    return (
        validator(described["bindings"]["kafka"]["key"]),
        validator(described["headers"]),
        validator(described["payload"]),
    )


def faults(
    topic: str, message: str, key: bytes | None, headers: Headers, value: object
) -> list[str]:
    """What the document has against a record."""
    judges = parts(topic, message)
    instances = (
        None if key is None else key.decode(errors="replace"),
        {name: (content or b"").decode(errors="replace") for name, content in headers},
        value,
    )
    return [
        error.message
        for judge, part in zip(judges, instances, strict=True)
        for error in judge.iter_errors(part)
    ]


def test_what_the_router_writes() -> None:
    """Of 7,000 records of all sorts, each output is as the document has it, and it has all
    headers.
    """
    traffic = generate_traffic(
        TrafficPlan(
            count=7_000,
            empty=0.02,
            not_json=0.02,
            not_an_event=0.02,
            caliper=0.02,
            schema_violation=0.05,
            unknown=0.05,
            too_large=0.001,
        )
    )
    records = [
        FakeRecord(n, sent.key, sent.value, sent.headers, sent.timestamp_ms)
        for n, sent in enumerate(traffic)
    ]
    records += [
        FakeRecord(n, None, orjson.dumps(example(name)))
        for n, name in enumerate(
            (name for name, each in REGISTRY.items() if not each.is_of_canvas), start=len(records)
        )
    ]
    outputs, _, _ = run(chunk(*records))
    seen, theirs = Counter[str](), {name for record in records for name, _ in record.headers}
    for output in outputs:
        (message,) = channels()[output.topic]["messages"]
        dead = output.topic == "canvas.dead-letter"
        value: Any = None if dead else orjson.loads(output.value or b"")
        assert faults(output.topic, message, output.key, list(output.headers), value) == []
        names = {name for name, _ in output.headers}
        assert (
            names - theirs
            <= channels()[output.topic]["messages"][message]["headers"]["properties"].keys()
        )
        seen.update(
            [
                output.topic,
                *(
                    f"code {content.decode()}"
                    for name, content in output.headers
                    if dead and name.endswith(".code") and content
                ),
            ]
        )
        seen.update(names)
    assert len(outputs) == len(records)
    assert seen.keys() >= {topic for topic in channels() if topic.startswith("canvas.events.")} | {
        "canvas.unknown",
        pipeline.REDACTED_HEADER,
    }
    assert {f"code {code}" for code in ErrorCode} - seen.keys() == {"code not_applicable"}
    assert seen.keys() >= {header.name for header in (*CLOUD_EVENTS, *ERRORS)}


def test_every_header_that_the_pipeline_has_a_name_for_is_described() -> None:
    """Also of those that it writes by other settings than the default ones."""
    described = {
        name
        for channel in channels().values()
        for message in channel.get("messages", {}).values()
        for name in message["headers"]["properties"]
    }
    assert {
        value for name, value in vars(pipeline).items() if name.endswith("_HEADER")
    } <= described


@pytest.mark.parametrize("name", NAMES)
def test_an_event_is_valid_by_the_document_if_it_is_by_its_schema(name: str) -> None:
    """On every single change of its body and its envelope."""
    judge, event = parts(f"canvas.events.{name}", name)[2], example(name)
    event["body"] = {**dict.fromkeys(fields(name)), **event["body"]}
    variants = [
        changed(event, part, field, to=value)
        for part in ("metadata", "body")
        for field in event[part]
        for value in VALUES
    ]
    variants += [
        changed(event, part, to=value)
        for part in ("metadata", "body")
        for value in (MISSING, None, 1, "x", [], {}, event)
    ]
    variants += [
        {**event, "attributes": event["metadata"]},
        {**event, "attributes": None},
        {"attributes": event["metadata"], "body": event["body"]},
    ]
    verdicts = Counter(
        (VALIDATORS[name].is_valid(variant), judge.is_valid(variant)) for variant in variants
    )
    assert verdicts.keys() == {(True, True), (False, False)}


def test_what_the_stages_write() -> None:
    """Every record of a simulated institution's rosters, rows of all reasons and tombstones;
    nothing in a row goes without saying.
    """
    simulation = Simulation(SimulationPlan(courses=6, steps=1_500))
    cluster, random = Cluster(partitions=2), Random(1)

    class Chance:
        def below(self, bound: int) -> int:
            return random.randrange(bound)

    for number, event in enumerate(simulation.events()):
        cluster.send([TypedEvent(event.name, event.value)])
        if number % 200 == 0:
            cluster.settle(Chance())
    cluster.send(seen_and_missed())
    cluster.settle(Chance())
    reasons, tombstones = set[tuple[str, str]](), 0
    for topic, channel in channels().items():
        if not topic.startswith("canvas.rosters."):
            continue
        row, removed = channel["messages"]
        properties = document()["components"]["schemas"][row]["properties"]
        records = [
            record
            for partition in range(2)
            for record in cluster.log(topic.removeprefix("canvas."), partition)
        ]
        assert records
        for record in records:
            value = orjson.loads(record.value or b"null")
            assert (
                faults(topic, removed if value is None else row, record.key, record.headers, value)
                == []
            )
            tombstones += value is None
            if value is not None:
                reasons.add((topic, value["state_reason"]))
                assert value.keys() <= properties.keys()
    described = {(topic, reason) for topic in channels() for reason in reasons_of(topic)}
    assert reasons == described
    assert tombstones > 0


def reasons_of(topic: str) -> list[str]:
    """The values of state_reason that the document has for a roster."""
    schema = document()["components"]["schemas"].get(topic.removeprefix("canvas."), {})
    found: list[str] = schema.get("properties", {}).get("state_reason", {}).get("enum", [])
    return found


def test_what_the_simulator_knows_to_be_true() -> None:
    """Rows that were made by other rules than those of the stages."""
    simulation = Simulation(
        SimulationPlan(courses=10, steps=3_000, seed=3, duplicates=0.1, disorder=200)
    )
    for _ in simulation.events():
        pass
    for relation, rows in simulation.truth().items():
        name = f"rosters.{relation}"
        for key, row in rows.items():
            assert faults(f"canvas.{name}", name, key.encode(), [], row) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("enrollment_id", 21070000000046825),
        ("course_id", "0565"),
        ("user_name", 7),
        ("associated_user_id", None),
        ("state", ""),
        ("state_reason", "group_deleted"),
        ("as_of", "2019-01-07T09:12:30Z"),
        pytest.param("user_id", MISSING, id="no user_id"),
        pytest.param("as_of", MISSING, id="no as_of"),
    ],
)
def test_a_row_that_is_none_is_refused(field: str, value: object) -> None:
    ((key, row), *_) = rosters_of(examples())["enrollments"].items()
    topic, name = "canvas.rosters.enrollments", "rosters.enrollments"
    assert faults(topic, name, key.encode(), [], row) == []
    assert faults(topic, name, key.encode(), [], changed(row, field, to=value)) != []
    assert faults(topic, name, b"565", [], row) != []
    assert faults(topic, name, key.encode(), [], None) != []


def key_of(summary: str) -> str | None:
    """The key in the summary of an example."""
    return None if summary == "No key" else summary.removeprefix("Key ")


def test_the_examples_are_as_described() -> None:
    """Each by its own message; those of rows are what the stages make of the examples of events."""
    made = rosters_of(examples())
    for topic, channel in channels().items():
        for name, message in channel.get("messages", {}).items():
            records = [
                (key_of(example["summary"]), example["headers"], example["payload"])
                for example in message.get("examples", ())
            ]
            for key, headers, value in records:
                assert (
                    faults(
                        topic,
                        name,
                        None if key is None else key.encode(),
                        [(header, text.encode()) for header, text in headers.items()],
                        value,
                    )
                    == []
                )
            if topic.startswith("canvas.rosters.") and records:
                assert {key: value for key, _, value in records} == made[topic.rpartition(".")[2]]
            assert records or name == "unknown" or name.endswith(".removed")


def test_the_document_knows_a_wrong_record() -> None:
    """Or all of the above would say nothing."""
    topic, name = "canvas.events.user_created", "user_created"
    described = channels()[topic]["messages"][name]["examples"][0]
    key, value = described["summary"].removeprefix("Key ").encode(), described["payload"]
    headers: Headers = [(header, text.encode()) for header, text in described["headers"].items()]
    wrong = copy.deepcopy(value)
    wrong["body"]["user_id"] = None
    assert faults(topic, name, key, headers, value) == []
    assert faults(topic, name, key, headers, wrong) != []
    assert faults(topic, name, b"~1", headers, value) != []
    assert faults(topic, name, key, headers[1:], value) != []
    assert faults(topic, name, key, [*headers, ("ce_type", b"user_updated")], value) != []
    assert faults(topic, name, key, [*headers, ("ce_time", b"yesterday")], value) != []
