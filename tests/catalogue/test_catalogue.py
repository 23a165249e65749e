"""The catalogue has all topics of an installation, as they are planned, and says who writes and
reads them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollcall.catalogue.asyncapi import asyncapi_document
from rollcall.catalogue.markdown import page
from rollcall.catalogue.plans import plan_topics
from rollcall.catalogue.topics import Catalogue, TopicKind, catalogue
from rollcall.events.registry import REGISTRY
from rollcall.process.event_types import event_types
from rollcall.rosters.registry import stages
from rollcall.settings import Settings, load_settings
from tests.events.schemas.test_cli import Rollcall

OTHER = {"topic_prefix": "lms", "group_prefix": "rc", "partitions": 12, "replication_factor": 3}


@pytest.fixture(scope="module")
def other() -> Catalogue:
    """Of an installation with settings of its own."""
    return catalogue(load_settings(**OTHER))


def test_every_topic_is_there_as_it_is_planned(other: Catalogue) -> None:
    plans = plan_topics(other.settings)
    assert [topic.plan for topic in other.topics] == list(plans)
    channels = asyncapi_document(other)["channels"].values()
    for channel, plan in zip(channels, plans, strict=True):
        binding = channel["bindings"]["kafka"]
        assert (
            channel["address"],
            binding["topic"],
            binding["partitions"],
            binding["replicas"],
        ) == (plan.name, plan.name, plan.partitions, 3)
        assert plan.partitions == 12 or plan.name == "rc-rosters-barrier"
        config = {
            name: ",".join(value) if isinstance(value, list) else str(value)
            for name, value in binding["topicConfiguration"].items()
        }
        assert config == plan.config
    text = page(other)
    assert [plan.name for plan in plans if f"| `{plan.name}` |" not in text] == []
    assert "`canvas." not in text


@pytest.mark.parametrize(
    ("events", "rosters"), [("wiki_page,login", False), ("all,-asset_accessed", True)]
)
def test_topics_follow_the_selected_event_types(events: str, rosters: bool) -> None:
    settings = load_settings(**OTHER, events=events)
    described = catalogue(settings)
    assert [topic.plan for topic in described.topics] == list(plan_topics(settings))
    typed = {topic.id.removeprefix("events.") for topic in described.of(TopicKind.TYPED)}
    assert typed == event_types(settings).selected.keys()
    assert bool(described.of(TopicKind.ROSTER)) is rosters
    assert ("enrollment_created" in described.schemas) is rosters
    assert f"`lms.events.{min(typed)}`" in page(described)
    asyncapi_document(described)


def test_channels_and_operations_are_called_the_same_in_every_installation(
    other: Catalogue,
) -> None:
    one, another = (
        asyncapi_document(known) for known in (catalogue(Settings.model_construct()), other)
    )
    assert list(one["channels"]) == list(another["channels"])
    assert list(one["operations"]) == list(another["operations"])
    assert one["components"]["schemas"].keys() == another["components"]["schemas"].keys()


def operations(document: dict[str, Any], process: str, action: str) -> set[str]:
    """The channels that a process reads or writes."""
    chosen = (
        name
        for name, operation in document["operations"].items()
        if name.startswith(f"{process}.") and operation["action"] == action
    )
    return {
        document["operations"][name]["channel"]["$ref"].removeprefix("#/channels/")
        for name in chosen
    }


def test_who_writes_and_reads(other: Catalogue) -> None:
    document = asyncapi_document(other)
    typed = {f"events.{event_type.name}" for event_type in REGISTRY.values()}
    assert operations(document, "router", "receive") == {"raw"}
    assert operations(document, "router", "send") == {*typed, "unknown", "dead-letter"}
    inputs = {topic for stage in stages(None) for topic in stage.inputs}
    written = {topic for stage in stages(None) for topic in stage.outputs}
    tables = {f"internal.{stage.name}-changelog" for stage in stages(None)}
    assert (
        operations(document, "rosters", "receive") == {identity(topic) for topic in inputs} | tables
    )
    assert operations(document, "rosters", "send") == {
        identity(topic) for topic in written
    } | tables | {"dead-letter"}
    assert operations(document, "serve", "receive") == {
        topic for topic in written if topic.startswith("rosters.")
    } | {"dead-letter"}
    groups = {
        name.partition(".")[0]: operation["bindings"]["kafka"]["groupId"]["const"]
        for name, operation in document["operations"].items()
        if "bindings" in operation
    }
    assert groups == {"router": "rc-router", "rosters": "rc-rosters"}


def identity(topic: str) -> str:
    """What a channel is called, for a topic in a stage's declaration."""
    return topic if topic.startswith(("events.", "rosters.")) else f"internal.{topic}"


def test_the_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], other: Catalogue
) -> None:
    """By the settings, without a cluster."""
    for name, value in OTHER.items():
        monkeypatch.setenv(f"ROLLCALL_{name.upper()}", str(value))
    rollcall = Rollcall(monkeypatch, capfd)
    code, out, err = rollcall("topics", "describe")
    assert (code, json.loads(out), err) == (0, json.loads(json.dumps(asyncapi_document(other))), "")
    assert rollcall("topics", "describe", "--markdown") == (0, page(other), "")


def test_how_to_reach_the_cluster_is_told_and_no_secret() -> None:
    security = {
        "sasl_username": "somebody",
        "sasl_password": "hidden-word",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
    }
    document = asyncapi_document(
        catalogue(load_settings(kafka="kafka-1:9093,kafka-2:9093", **security))
    )
    assert [server["host"] for server in document["servers"].values()] == [
        "kafka-1:9093",
        "kafka-2:9093",
    ]
    assert {server["protocol"] for server in document["servers"].values()} == {"kafka-secure"}
    assert document["components"]["securitySchemes"] == {"sasl": {"type": "plain"}}
    assert "hidden-word" not in json.dumps(document)
    assert "somebody" not in json.dumps(document)
    assert "servers" not in asyncapi_document(catalogue(Settings.model_construct()))
