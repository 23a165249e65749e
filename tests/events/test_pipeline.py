"""The meaning of a raw record, by example and by fuzz."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.events.dropping import MetadataDropper
from rollcall.events.outcomes import DeadLetter, ErrorCode, Outcome, Routed, Unknown, UnknownReason
from rollcall.events.pipeline import Pipeline
from rollcall.events.publishing import REASON_HEADER
from rollcall.events.redaction import Redactor
from tests.events.schemas.events import MISSING, VALIDATORS, changed, example
from tests.examples import examples

PIPELINE = Pipeline(VALIDATORS, redactor=Redactor(("access_token", "client_secret")))
EVENT: dict[str, Any] = {
    "metadata": {
        "event_name": "enrollment_created",
        "event_time": "2018-10-09T21:07:33Z",
        "root_account_id": "21070000000000001",
        "url": "https://canvas.example.edu/api/v1/sections/4811/enrollments",
    },
    "body": {
        "enrollment_id": "21070000000046825",
        "course_id": "21070000000000565",
        "course_section_id": "21070000000004811",
        "user_id": "21070000000020064",
        "user_name": "Isaac Newton",
        "type": "StudentEnrollment",
        "workflow_state": "invited",
        "limit_privileges_to_course_section": False,
        "created_at": "2018-10-09T21:07:33Z",
        "updated_at": "2018-10-09T21:07:33Z",
    },
}


def event(body: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """The event with other fields; a value of ... removes one."""
    changed = {"metadata": EVENT["metadata"] | metadata, "body": EVENT["body"] | (body or {})}
    return {
        part: {key: value for key, value in fields.items() if value is not ...}
        for part, fields in changed.items()
    }


def judge(
    event: Any, headers: tuple[tuple[str, bytes | None], ...] = (), pipeline: Pipeline = PIPELINE
) -> Outcome:
    """The outcome of an event given as an object."""
    return pipeline(orjson.dumps(event), headers)


def routed(*args: Any, **kwargs: Any) -> Routed:
    """The outcome, which must be Routed."""
    outcome = judge(*args, **kwargs)
    assert isinstance(outcome, Routed), outcome
    return outcome


def test_a_valid_event_keeps_its_bytes_and_gets_cloudevents_headers() -> None:
    raw = json.dumps(EVENT, indent=3).encode()
    outcome = PIPELINE(raw, (("trace", b"abc"),))
    assert isinstance(outcome, Routed)
    assert outcome.value == raw
    assert outcome.key == b"21070000000046825"
    canonical = json.dumps(EVENT, sort_keys=True, separators=(",", ":")).encode()
    assert outcome.headers == [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"enrollment_created"),
        ("ce_dataschema", VALIDATORS["enrollment_created"].schema_id.encode()),
        ("content-type", b"application/json"),
        ("ce_id", hashlib.sha256(canonical).hexdigest()[:32].encode()),
        ("ce_time", b"2018-10-09T21:07:33Z"),
        ("ce_source", b"canvas/21070000000000001"),
        ("trace", b"abc"),
    ]


def test_own_headers_win_over_raw_ones_and_errors_of_earlier_attempts_go() -> None:
    headers = routed(
        EVENT,
        (
            ("ce_id", b"theirs"),
            ("content-type", b"text/plain"),
            ("rollcall.error.code", b"not_json"),
            ("ce_traceparent", b"t"),
        ),
    ).headers
    assert len(dict(headers)) == len(headers)
    assert dict(headers)["content-type"] == b"application/json"
    assert dict(headers)["ce_traceparent"] == b"t"
    assert not any(name.startswith("rollcall.error") for name, _ in headers)


@given(st.randoms(use_true_random=False), st.sampled_from([None, 2, "\t"]), st.booleans())
def test_the_same_event_has_the_same_id_however_it_is_written(
    random: Any, indent: Any, ascii_only: bool
) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            items = list(value.items())
            random.shuffle(items)
            return {key: shuffled(part) for key, part in items}
        return value

    named = event({"user_name": "Ìsááç Ñewton 牛"})
    rewritten = PIPELINE(
        json.dumps(shuffled(named), indent=indent, ensure_ascii=ascii_only).encode()
    )
    assert isinstance(rewritten, Routed)
    assert dict(rewritten.headers)["ce_id"] == dict(routed(named).headers)["ce_id"]


def test_another_event_has_another_id_and_attributes_are_metadata() -> None:
    ids = {
        dict(routed(each).headers)["ce_id"]
        for each in (
            EVENT,
            event({"user_name": "I. Newton"}),
            event(event_time="2018-10-09T21:07:34Z"),
        )
    }
    assert len(ids) == 3
    self_hosted = {
        "attributes": EVENT["metadata"],
        "body": EVENT["body"],
        "iss": "claims may stand beside",
    }
    assert dict(routed(self_hosted).headers) == dict(routed(EVENT).headers)


@pytest.mark.parametrize(
    ("enrollment_id", "root_account_id", "shard", "key"),
    [
        ("1533", "21070000000000001", None, b"21070000000001533"),
        (1533, "21070000000000001", None, b"21070000000001533"),
        ("21070000000001533", "21070000000000001", None, b"21070000000001533"),
        (21070000000001533, 21070000000000001, None, b"21070000000001533"),
        ("1533", ..., 2107, b"21070000000001533"),
        ("1533", "1", 2107, b"21070000000001533"),
        ("1533", ..., None, b"1533"),
        ("31070000000001533", "21070000000000001", None, b"31070000000001533"),
        ("1533", "21070000000000001", 9, b"21070000000001533"),
        (9223372036854775807, ..., None, b"9223372036854775807"),
    ],
)
def test_the_key_is_the_normal_form_of_the_id(
    enrollment_id: object, root_account_id: object, shard: int | None, key: bytes
) -> None:
    assert (
        routed(
            event({"enrollment_id": enrollment_id}, root_account_id=root_account_id),
            pipeline=Pipeline(VALIDATORS, shard=shard),
        ).key
        == key
    )


KEYS = Pipeline(VALIDATORS, shard=9)


def key_of(name: str, *path: str, to: object, pipeline: Pipeline = KEYS) -> bytes | None:
    """The key of the record of an example with one changed field."""
    return routed(changed(example(name), *path, to=to), pipeline=pipeline).key


@pytest.mark.parametrize(
    ("user_id", "key"),
    [
        ("4471", b"21070000000004471"),
        (4471, b"21070000000004471"),
        ("21070000000004471", b"21070000000004471"),
        (30000000000004471, b"30000000000004471"),
    ],
)
def test_the_key_is_an_id_in_a_nested_object_or_in_the_metadata(
    user_id: object, key: bytes
) -> None:
    assert key_of("course_completed", "body", "user", to={"id": user_id}) == key
    assert key_of("logged_in", "metadata", "user_id", to=user_id) == key
    self_hosted = changed(example("logged_in"), "metadata", "user_id", to=user_id)
    self_hosted["attributes"] = self_hosted.pop("metadata")
    assert routed(self_hosted, pipeline=KEYS).key == key


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("Tn4Gx0hYt3cQfZ1d", b"Tn4Gx0hYt3cQfZ1d"),
        ("content-export-21070000000002981", b"content-export-21070000000002981"),
        ("007", b"007"),
        ("565", b"565"),
        ("ключ \U0001f511", "ключ \U0001f511".encode()),
        ('a"b\n', b'a"b\n'),
        (565, b"565"),
        (-1, b"-1"),
        (5.0, b"5"),
        ("", None),
        (None, None),
        (MISSING, None),
    ],
)
def test_a_key_that_is_no_id_is_unchanged(value: object, key: bytes | None) -> None:
    assert key_of("quiz_export_complete", "body", "content_export_id", to=value) == key


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("asset_accessed", ("body", "asset_id")),
        ("learning_outcome_result_created", ("body", "id")),
        ("logged_out", ("metadata", "user_id")),
    ],
)
@pytest.mark.parametrize("value", [None, MISSING])
def test_a_record_without_a_key(name: str, path: tuple[str, ...], value: object) -> None:
    assert key_of(name, *path, to=value) is None


def test_a_type_without_a_key() -> None:
    assert routed(example("heartbeat")).key is None


def test_a_field_that_is_dropped_is_no_key() -> None:
    dropping = Pipeline(VALIDATORS, dropper=MetadataDropper(["user_id"]))
    assert routed(example("logged_in"), pipeline=dropping).key is None
    [value] = {routed(example("logged_in"), pipeline=dropping).value}
    assert b'"user_id"' not in value
    assert routed(example("user_created"), pipeline=dropping).key is not None


@pytest.mark.parametrize("name", ["course_progress", "logged_in", "enrollment_created"])
def test_a_key_that_is_no_longer_exact_is_refused_where_it_is(name: str) -> None:
    key = VALIDATORS[name].event_type.key
    assert key is not None
    text = json.dumps(changed(example(name), *key.path[:2], to="@"))
    inexact = "2.1070000000046825e16"
    outcome = KEYS(
        text.replace('"@"', inexact if len(key.path) == 2 else f'{{"id":{inexact}}}').encode()
    )
    assert isinstance(outcome, DeadLetter)
    assert (outcome.code, outcome.path) == (ErrorCode.SCHEMA_VIOLATION, key.pointer)


def test_an_id_that_is_no_longer_exact_is_refused() -> None:
    text = json.dumps(EVENT).replace('"21070000000046825"', "2.1070000000046825e16")
    outcome = PIPELINE(text.encode())
    assert isinstance(outcome, DeadLetter)
    assert (outcome.code, outcome.path) == (ErrorCode.SCHEMA_VIOLATION, "/body/enrollment_id")


@pytest.mark.parametrize(
    ("written", "ce_time"),
    [
        ("2018-10-09T21:07:33Z", b"2018-10-09T21:07:33Z"),
        ("2018-10-09T21:07:33.123Z", b"2018-10-09T21:07:33.123Z"),
        ("2024-03-29T15:43:00-07:00", b"2024-03-29T22:43:00Z"),
        ("2019-10-05 05:38:00 -0800", b"2019-10-05T13:38:00Z"),
    ],
)
def test_the_time_is_in_utc(written: str, ce_time: bytes) -> None:
    assert dict(routed(event(event_time=written)).headers)["ce_time"] == ce_time


def test_unknown_fields_and_values_are_counted() -> None:
    outcome = routed(
        event(
            {"course_uuid": "x", "shoe_size": 43, "hat": None, "workflow_state": "hibernating"},
            new=1,
        )
    )
    assert (outcome.unknown_fields, outcome.unknown_values) == (3, 1)
    assert (routed(EVENT).unknown_fields, routed(EVENT).unknown_values) == (0, 0)


@pytest.mark.parametrize(
    "name", ["quizzes.item_created", "quizzes-lti.grade_changed", "x", "n" * 255, "牛", "unknown"]
)
def test_a_name_without_schema_is_unknown(name: str) -> None:
    raw = orjson.dumps(
        {"metadata": {"event_name": name, "event_time": "2018-10-09T21:07:33Z"}, "body": {}}
    )
    reason = (REASON_HEADER, b"no_schema")
    earlier = (REASON_HEADER, b"not_selected")
    assert PIPELINE(raw, (earlier, ("h", None))) == Unknown(
        raw, [("h", None), reason], False, UnknownReason.NO_SCHEMA
    )


@pytest.mark.parametrize(
    ("value", "code", "path"),
    [
        (None, ErrorCode.EMPTY, ""),
        (b"", ErrorCode.EMPTY, ""),
        (b" ", ErrorCode.NOT_JSON, ""),
        (b"{", ErrorCode.NOT_JSON, ""),
        (b'\xef\xbb\xbf{"metadata": {}}', ErrorCode.NOT_JSON, ""),
        (b'{"a": NaN}', ErrorCode.NOT_JSON, ""),
        (b'{"a": 1' + b"0" * 400 + b"}", ErrorCode.NOT_JSON, ""),
        (b'{"a": "\\ud800"}', ErrorCode.NOT_JSON, ""),
        (b'{"a": "\xc3"}', ErrorCode.NOT_JSON, ""),
        (b"[" * 10_000 + b"]" * 10_000, ErrorCode.NOT_JSON, ""),
        (b"null", ErrorCode.NOT_AN_EVENT, ""),
        (b"17", ErrorCode.NOT_AN_EVENT, ""),
        (b"[" + orjson.dumps(EVENT) + b"]", ErrorCode.NOT_AN_EVENT, ""),
        (b"{}", ErrorCode.NOT_AN_EVENT, "/metadata"),
        (b'{"metadata": [], "body": {}}', ErrorCode.NOT_AN_EVENT, "/metadata"),
        (b'{"metadata": {}}', ErrorCode.NOT_AN_EVENT, "/body"),
        (orjson.dumps(event(event_name=...)), ErrorCode.NOT_AN_EVENT, "/metadata/event_name"),
        (orjson.dumps(event(event_name="")), ErrorCode.NOT_AN_EVENT, "/metadata/event_name"),
        (orjson.dumps(event(event_name="n" * 256)), ErrorCode.NOT_AN_EVENT, "/metadata/event_name"),
        (orjson.dumps(event(event_time=...)), ErrorCode.NOT_AN_EVENT, "/metadata/event_time"),
        (
            orjson.dumps(event(event_time="2019-02-29T00:00:00Z")),
            ErrorCode.NOT_AN_EVENT,
            "/metadata/event_time",
        ),
        (
            orjson.dumps(event(event_time=1571234567)),
            ErrorCode.NOT_AN_EVENT,
            "/metadata/event_time",
        ),
        (
            orjson.dumps({"attributes": {"event_name": 7}, "body": {}}),
            ErrorCode.NOT_AN_EVENT,
            "/attributes/event_name",
        ),
        (orjson.dumps(event({"course_id": ...})), ErrorCode.SCHEMA_VIOLATION, "/body/course_id"),
        (
            orjson.dumps(event({"course_id": ["secret"]})),
            ErrorCode.SCHEMA_VIOLATION,
            "/body/course_id",
        ),
        (
            orjson.dumps(event({"updated_at": "019-11-01T19:11:01.163Z"})),
            ErrorCode.SCHEMA_VIOLATION,
            "/body/updated_at",
        ),
        (orjson.dumps(event(user_id={})), ErrorCode.SCHEMA_VIOLATION, "/metadata/user_id"),
    ],
)
def test_what_is_no_valid_event_says_why(value: bytes | None, code: ErrorCode, path: str) -> None:
    outcome = PIPELINE(value)
    assert isinstance(outcome, DeadLetter), outcome
    assert (outcome.code, outcome.path) == (code, path)
    assert outcome.message
    assert outcome.value == value
    known = code is ErrorCode.SCHEMA_VIOLATION
    assert outcome.event_name == ("enrollment_created" if known else None)
    assert outcome.schema == (VALIDATORS["enrollment_created"].schema_id if known else "")


@pytest.mark.parametrize("depth", [100, 253, 300, 1000])
def test_depth_is_no_trap(depth: int) -> None:
    raw = orjson.dumps(event({"new_field": 1})).replace(
        b'"new_field":1', b'"new_field":' + b'{"a":' * depth + b"1" + b"}" * depth
    )
    outcome = PIPELINE(raw)
    if depth < 250:
        assert isinstance(outcome, Routed)
    else:
        assert isinstance(outcome, DeadLetter)
        assert outcome.code is ErrorCode.NOT_JSON


def test_a_duplicate_key_counts_as_its_last_value() -> None:
    raw = orjson.dumps(EVENT).replace(b'"enrollment_id":', b'"enrollment_id":"1","enrollment_id":')
    outcome = PIPELINE(raw)
    assert isinstance(outcome, Routed)
    assert (outcome.key, outcome.value) == (b"21070000000046825", raw)


def test_a_megabyte_is_judged_like_anything_else() -> None:
    assert routed(event({"user_name": "N" * 1_000_000})).key == b"21070000000046825"


CALIPER = {
    "sensor": "http://canvas.example.edu/",
    "sendTime": "2026-02-19T18:22:05.000Z",
    "dataVersion": "http://purl.imsglobal.org/ctx/caliper/v1p1",
    "data": [{"type": "NavigationEvent", "actor": {"type": "Person"}}],
}


def test_caliper_says_what_is_wrong_with_the_subscription() -> None:
    outcome = judge(CALIPER)
    assert isinstance(outcome, DeadLetter)
    assert (outcome.code, outcome.path, outcome.event_name) == (ErrorCode.CALIPER, "", None)
    assert "choose the format Canvas" in outcome.message


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": EVENT["metadata"]},
        {"attributes": None},
        {"sensor": 1},
        {"data": {}},
        {"dataVersion": "http://purl.imsglobal.org/ctx/lti"},
        {"dataVersion": None},
    ],
)
def test_what_is_not_quite_caliper_is_no_event(change: dict[str, Any]) -> None:
    outcome = judge(CALIPER | change)
    assert isinstance(outcome, DeadLetter)
    assert outcome.code is ErrorCode.NOT_AN_EVENT


def test_messages_never_quote_a_value() -> None:
    secret = "Sherlock.Holmes@example.edu"
    for field in EVENT["body"]:
        for wrong in (secret, [secret], {secret: secret}, {"a": {secret: 1}}):
            outcome = judge(event({field: wrong}))
            if isinstance(outcome, DeadLetter):
                assert secret not in outcome.message + outcome.path


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(), parts, max_size=4),
    max_leaves=12,
)
LIKE_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        part: JSON
        | st.fixed_dictionaries(
            {},
            optional={
                name: JSON
                | st.sampled_from([*VALIDATORS, "2018-10-09T21:07:33Z", "21070000000046825"])
                for name in (*EVENT["metadata"], *EVENT["body"])
            },
        )
        for part in ("metadata", "attributes", "body")
    },
)


@settings(max_examples=examples(600))
@given(
    st.none()
    | st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | LIKE_EVENTS.map(lambda value: json.dumps(value).encode())
)
def test_it_never_raises_and_always_decides(value: bytes | None) -> None:
    assert isinstance(PIPELINE(value), Routed | Unknown | DeadLetter)


@settings(max_examples=examples(400))
@given(st.sampled_from(sorted(VALIDATORS)), st.data())
def test_it_never_raises_on_damaged_events(name: str, data: st.DataObject) -> None:
    example = {**EVENT, "metadata": {**EVENT["metadata"], "event_name": name}}
    raw = bytearray(orjson.dumps(example))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(raw) - 1))
        raw[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    assert isinstance(PIPELINE(bytes(raw)), Routed | Unknown | DeadLetter)
