"""Every error code of Kafka has a class, with Kafka's name and retriability."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka import errors
from aiokafka.errors import ProducerFenced, UnknownError, for_code

from rollcall.kafka import errors as kafka_errors
from rollcall.sandbox.broker.java import find_java


class Code(NamedTuple):
    """A row of Kafka's table."""

    code: int
    name: str
    retriable: bool


@pytest.fixture(scope="module")
def table(jars: Path) -> list[Code]:
    """Table that Kafka's own libraries print for its documentation."""
    libraries = ":".join(map(str, jars.rglob("*.jar")))
    page = subprocess.run(
        [find_java(), "-cp", libraries, "org.apache.kafka.common.protocol.Errors"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    return [
        Code(int(code), name, retriable == "True")
        for name, code, retriable in re.findall(
            r"<td>(\w+)</td><td>(-?\d+)</td><td>(\w+)</td>", page
        )
    ]


def test_every_code_of_kafka_is_known_as_kafka_knows_it(table: list[Code]) -> None:
    assert len(table) > 130
    assert table == [
        Code(code, (error := for_code(code)).message, error.retriable)
        for code, _name, _retriable in table
    ]


def test_none_is_known_that_kafka_does_not_have(table: list[Code]) -> None:
    assert errors.kafka_errors.keys() == {code for code, *_ in table}
    assert for_code(9999) is UnknownError


def test_each_code_has_a_class_of_its_own() -> None:
    assert {code for code, error in errors.kafka_errors.items() if error.errno != code} == set()
    assert len({error.__name__ for error in errors.kafka_errors.values()}) == len(
        errors.kafka_errors
    )


def test_those_that_the_program_asks_for_by_name() -> None:
    assert for_code(82) is kafka_errors.FencedInstanceIdError
    assert for_code(110) is kafka_errors.FencedMemberEpochError
    assert for_code(120) is kafka_errors.TransactionAbortableError
    assert issubclass(for_code(90), ProducerFenced), "what fences is one kind"
    assert str(for_code(90)()).startswith(
        "[Error 90] ProducerFencedError: There is a newer producer"
    )
