"""Encoded records: both implementations give the same bytes, and aiokafka's decoder returns the
input.
"""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.util import encode_varint_py
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rollcall import record
from rollcall.kafka.encoding import (
    NO_PRODUCER,
    ProducerState,
    PythonRecordBatches,
    RecordBatches,
    seal,
)
from rollcall.record import NO_HEADERS, Header, decode_headers, encode_headers, encode_varint
from tests.examples import examples

IMPLEMENTATIONS: list[Any] = [RecordBatches, PythonRecordBatches]
each_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)

NAMES = st.text(max_size=8) | st.sampled_from(["ce_id", "n" * 200])
BYTES = st.binary(max_size=40) | st.sampled_from(
    [b"", b"v" * 63, b"v" * 64, b"v" * 8_191, b"v" * 8_192]
)
RECORDS = st.tuples(
    st.integers(0, 2**62),
    st.none() | BYTES,
    st.none() | BYTES,
    st.lists(st.tuples(NAMES, st.none() | BYTES), max_size=5),
)


def decoded(
    implementation: Any, records: list[Any], max_bytes: int, decoder: Any
) -> list[list[Any]]:
    """Content of the batches, after sealing."""
    batches = implementation(max_bytes)
    for timestamp, key, value, headers in records:
        batches.append(timestamp, key, value, encode_headers(headers))
    found = []
    for batch in batches.batches:
        data = bytes(seal(batch, ProducerState(7, 3, 11), transactional=True))
        sealed = decoder(data)
        assert sealed.validate_crc()
        assert (
            sealed.producer_id,
            sealed.producer_epoch,
            sealed.base_sequence,
            sealed.is_transactional,
        ) == (7, 3, 11, True)
        of_batch = [
            (record.offset, record.timestamp, record.key, record.value, record.headers)
            for record in sealed
        ]
        assert [offset for offset, *_ in of_batch] == list(range(batch.count))
        assert (sealed.first_timestamp, sealed.max_timestamp) == (
            of_batch[0][1],
            max(timestamp for _, timestamp, *_ in of_batch),
        )
        found.append([tuple(fields) for _offset, *fields in of_batch])
    return found


@each_implementation
@pytest.mark.parametrize("decoder", [DefaultRecordBatch, _DefaultRecordBatchPy])
@given(st.lists(RECORDS, min_size=1, max_size=12), st.sampled_from([100, 10_000, 900_000]))
@example([(2**62, b"", None, []), (0, None, b"", [("", None)])], 10_000)
@settings(max_examples=examples(150), deadline=None)
def test_what_is_put_in_is_found(
    implementation: Any, decoder: Any, records: list[Any], max_bytes: int
) -> None:
    batches = decoded(implementation, records, max_bytes, decoder)
    assert [record for batch in batches for record in batch] == records


@given(st.lists(RECORDS, min_size=1, max_size=12))
@settings(max_examples=examples(150), deadline=None)
def test_both_encodings_are_the_same(records: list[Any]) -> None:
    encodings = []
    for implementation in IMPLEMENTATIONS:
        batches = implementation(900_000)
        for *content, headers in records:
            batches.append(*content, encode_headers(headers))
        encodings.append([bytes(batch.encoded) for batch in batches.batches])
    assert encodings[0] == encodings[1]


@each_implementation
def test_batches_are_no_larger_than_they_may_be(implementation: Any) -> None:
    batches = implementation(10_000)
    for number in range(100):
        batches.append(number, b"key", b"v" * (number * 7), NO_HEADERS)
    assert all(len(batch.encoded) <= 10_000 for batch in batches.batches)
    assert all(
        len(one.encoded) + len(other.encoded) > 9_000
        for one, other in zip(batches.batches, batches.batches[1:], strict=False)
    )
    batches.append(0, None, b"v" * 50_000, NO_HEADERS)
    assert batches.batches[-1].count == 1


@each_implementation
def test_what_is_encoded_outlives_its_batch_and_stays_in_its_place(implementation: Any) -> None:
    batches = implementation(10_000_000)
    batches.append(1, None, b"value", NO_HEADERS)
    encoded = batches.batches[0].encoded
    copy = bytes(encoded)
    if isinstance(encoded, memoryview):
        with pytest.raises(BufferError):
            batches.append(2, None, b"v" * 1_000_000, NO_HEADERS)
        assert batches.batches[0].count == 1
    del batches
    gc.collect()
    assert bytes(encoded) == copy


@each_implementation
def test_without_a_timestamp_it_is_now(implementation: Any) -> None:
    before = int(time.time() * 1000)
    batches = implementation(10_000)
    batches.append(None, None, b"value", NO_HEADERS)
    assert before <= batches.batches[0].first_timestamp <= int(time.time() * 1000)


@each_implementation
def test_what_does_not_compress_goes_as_it_is(implementation: Any) -> None:
    batches = implementation(10_000)
    batches.append(0, None, b"", NO_HEADERS)
    (record,) = DefaultRecordBatch(
        bytes(seal(batches.batches[0], NO_PRODUCER, transactional=False))
    )
    assert record.value == b""


@each_implementation
@pytest.mark.parametrize(
    ("key", "value", "headers", "kind"),
    [
        ("text", b"", [], TypeError),
        (b"", 1, [], TypeError),
        (b"", b"", [("name", "text")], TypeError),
        (b"", b"", [(b"name", b"")], (TypeError, AttributeError)),
        (b"", b"", [("\ud800", b"")], UnicodeEncodeError),
    ],
)
def test_what_is_no_record_is_refused_and_leaves_nothing_behind(
    implementation: Any, key: Any, value: Any, headers: list[Header], kind: Any
) -> None:
    batches = implementation(10_000)
    batches.append(1, b"key", b"value", encode_headers([("name", b"content")]))
    with pytest.raises(kind):
        batches.append(2, key, value, encode_headers(headers))
    batches.append(3, b"key", b"value", NO_HEADERS)
    assert [
        record.timestamp
        for record in DefaultRecordBatch(
            bytes(seal(batches.batches[0], NO_PRODUCER, transactional=False))
        )
    ] == [1, 3]


HEADERS = st.lists(st.tuples(NAMES, st.none() | BYTES), max_size=70)


@given(HEADERS)
@settings(max_examples=examples(150), deadline=None)
def test_headers_are_decoded_as_they_were_encoded(headers: list[Header]) -> None:
    assert decode_headers(encode_headers(headers)) == headers


def test_long_names_are_not_kept() -> None:
    """Producers choose names, of up to a megabyte."""
    before = record._encode_short_name.cache_info()
    for number in range(50):
        name = f"{number}".zfill(record.MOST_CACHED + 1)
        assert decode_headers(encode_headers([(name, b"")])) == [(name, b"")]
    assert record._encode_short_name.cache_info() == before
    encode_headers([("x" * record.MOST_CACHED, b"")])
    assert record._encode_short_name.cache_info() != before


@given(st.integers(-(2**63), 2**63 - 1))
@example(-(2**63))
@example(2**63 - 1)
def test_numbers_are_those_of_kafka(number: int) -> None:
    expected = bytearray()
    encode_varint_py(number, expected.append)
    assert encode_varint(number) == expected
