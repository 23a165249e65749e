"""Java's murmur2, compiled and in Python, against aiokafka's and against values in Kafka's
tests.
"""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from rollcall.kafka.partitioner import (
    PythonPartitioner,
    hashed,
    murmur2,
    partitioner,
    python_murmur2,
)

each_hash = pytest.mark.parametrize("hashes", [hashed, python_murmur2, murmur2])


@each_hash
@given(st.binary(max_size=200))
def test_like_the_reference(hashes: Any, data: bytes) -> None:
    assert hashes(data) == reference(data) & 0xFFFFFFFF


@each_hash
@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("abc", 479470107),
    ],
)
def test_like_apache_kafka_says(hashes: Any, text: str, signed: int) -> None:
    """Values from UtilsTest.testMurmur2 of Apache Kafka."""
    assert hashes(text.encode()) == signed & 0xFFFFFFFF


@pytest.mark.parametrize("new", [partitioner, PythonPartitioner])
@given(st.binary(max_size=200), st.integers(1, 50))
def test_every_key_has_its_partition(new: Any, key: bytes, partitions: int) -> None:
    of = new(partitions)
    assert of(key) == of(bytes(key)) == (reference(key) & 0x7FFFFFFF) % partitions
