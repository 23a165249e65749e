"""The container that docker-compose.kafka.yml starts is the embedded broker's twin."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rollcall.resources import resource_path
from rollcall.sandbox.broker.libraries import kafka_version
from rollcall.sandbox.broker.node import Node

WHERE = {"listeners", "log.dirs"}
"""Inside a container, another program's port and another folder."""


@pytest.fixture
def service() -> dict[str, object]:
    compose = yaml.safe_load(
        (resource_path("schemas").parent / "docker-compose.kafka.yml").read_text(encoding="utf-8")
    )
    kafka = compose["services"]["kafka"]
    assert isinstance(kafka, dict)
    return kafka


def test_same_version(service: dict[str, object]) -> None:
    assert service["image"] == f"apache/kafka:{kafka_version()}"


def test_same_properties(service: dict[str, object]) -> None:
    embedded = Node("any", "127.0.0.1", 9092, 9093).properties(Path("any"))
    expected = {
        "KAFKA_" + name.upper().replace(".", "_"): value
        for name, value in embedded.items()
        if name not in WHERE
    }
    environment = service["environment"]
    assert isinstance(environment, dict)
    assert {
        name: value
        for name, value in environment.items()
        if name not in ("KAFKA_LISTENERS", "KAFKA_LOG_DIRS", "KAFKA_HEAP_OPTS")
    } == expected


def test_published_on_this_machine_only(service: dict[str, object]) -> None:
    assert service["ports"] == ["127.0.0.1:9092:9092"]
