"""Raw records: their keys are those that the router will give the events."""

from __future__ import annotations

import hashlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.events.outcomes import Routed
from rollcall.events.pipeline import Pipeline
from rollcall.ingest.raw_records import MOST_KEY_BYTES, RawKeys, sqs_headers
from rollcall.sandbox.canvas.traffic import TrafficPlan, generate_traffic
from tests.events.schemas.events import NAMES, VALIDATORS, example

SHARD = 7
TYPES = {name: validator.event_type for name, validator in VALIDATORS.items()}
KEYS = RawKeys(TYPES, shard=SHARD)
PIPELINE = Pipeline(VALIDATORS, shard=SHARD)


def digest(value: bytes) -> bytes:
    """The key of a value without a visible one."""
    return hashlib.sha256(value).hexdigest()[:32].encode()


@pytest.mark.parametrize("name", NAMES)
def test_the_key_of_each_event_type(name: str) -> None:
    value = orjson.dumps(example(name))
    routed = PIPELINE(value)
    assert isinstance(routed, Routed)
    assert KEYS.key(value) == (routed.key or digest(value))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_keys_of_varied_traffic(seed: int) -> None:
    routed = [
        (record.value, outcome.key)
        for record in generate_traffic(TrafficPlan(count=3_000, seed=seed))
        if record.value is not None and isinstance(outcome := PIPELINE(record.value), Routed)
    ]
    assert len(routed) > 1_000
    wrong = [value for value, key in routed if KEYS.key(value) != (key or digest(value))]
    assert wrong == []


def test_local_and_global_forms_of_an_id_meet() -> None:
    event = example("course_created")
    event["metadata"].pop("root_account_id", None)
    keys = set()
    for course_id in ("70000000000012", 70000000000012, "12", 12):
        event["body"]["course_id"] = course_id
        keys.add(KEYS.key(orjson.dumps(event)))
    assert keys == {b"70000000000012"}


def test_a_field_that_must_not_be_published_is_no_key() -> None:
    by_metadata = [
        name
        for name, event_type in TYPES.items()
        if event_type.key is not None and not event_type.key.is_in_body
    ]
    for name in by_metadata:
        value = orjson.dumps(example(name))
        key = TYPES[name].key
        assert key is not None
        assert RawKeys(TYPES, shard=SHARD, dropped=[key.path[1]]).key(value) == digest(value)


def test_a_textual_key_has_a_maximum_length() -> None:
    tried = 0
    for name, event_type in TYPES.items():
        if (key := event_type.key) is not None and not key.is_id and len(key.path) == 2:
            event = example(name)
            for size, short in ((MOST_KEY_BYTES, True), (MOST_KEY_BYTES + 1, False)):
                event[key.path[0]][key.path[1]] = "x" * size
                value = orjson.dumps(event)
                assert KEYS.key(value) == (b"x" * size if short else digest(value))
                tried += 1
    assert tried


@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["metadata", "attributes", "body", "event_name", "x"]),
                    st.one_of(inner, st.sampled_from(NAMES)),
                ),
            ),
        ).map(orjson.dumps),
    )
)
def test_any_bytes_have_a_key_and_twins_have_the_same(value: bytes) -> None:
    key = KEYS.key(value)
    assert 0 < len(key) <= MOST_KEY_BYTES
    assert KEYS.key(bytes(bytearray(value))) == key


def test_headers_of_a_message() -> None:
    assert sqs_headers("m-1", 1_700_000_000_123, 2) == (
        ("rollcall.source", b"sqs"),
        ("sqs.message_id", b"m-1"),
        ("sqs.sent", b"1700000000123"),
        ("sqs.receives", b"2"),
    )
    assert sqs_headers("m-1", None, None) == (
        ("rollcall.source", b"sqs"),
        ("sqs.message_id", b"m-1"),
    )
