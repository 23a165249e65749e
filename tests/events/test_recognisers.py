"""What the scanner finds in an event, parser and schema find, too; what it leaves is for these
alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from rollcall.events.event_type import Key
from rollcall.events.outcomes import DeadLetter, Routed
from rollcall.events.pipeline import Pipeline
from rollcall.events.publishing import Publisher
from rollcall.events.recognised import Recognised
from rollcall.events.scan.scannable import Scanner, scannable_type
from rollcall.events.schemas.files import KNOWN_VALUES
from rollcall.sandbox.canvas.traffic import TrafficPlan, generate_traffic
from tests.events.json_texts import Number, Pairs, write
from tests.events.recognisers import Recognisers, contents
from tests.events.schemas.events import (
    DOCUMENTED,
    MISSING,
    NAMES,
    VALIDATORS,
    changed,
    example,
    fields,
)
from tests.events.schemas.test_differential import ANYTHING, EVENTS, VALUES
from tests.examples import examples
from tests.tools import COMPILER, lack

DROPPED = ("client_ip", "user_agent", "url", "session_id", "not_in_any_schema", "event_time")
PLAIN = Recognisers(VALIDATORS)
DROPPING = Recognisers(VALIDATORS, DROPPED)
PIPELINE = Pipeline(VALIDATORS)
TYPO = "user_updated"
"""Its documented example has a time that does not exist."""

pytestmark = pytest.mark.skipif(Scanner is None, reason=lack("a C compiler", COMPILER))


def taken(value: bytes) -> bool:
    """Whether the scanner takes an event; then parser and schema find the same in it, also where
    fields are dropped.
    """
    found = PLAIN.taken(value)
    assert DROPPING.taken(value) == found
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_type_can_be_read_by_the_scanner(name: str) -> None:
    """A keyword or a pattern that it does not know makes it leave the type alone: then
    app/rollcall/events/scan/scannable.py has to learn it.
    """
    assert scannable_type(VALIDATORS[name]) is not None
    assert taken(orjson.dumps(example(name)))


@pytest.mark.parametrize("path", sorted(DOCUMENTED.glob("*.json")), ids=lambda path: path.stem)
def test_documented_examples(path: Any) -> None:
    assert taken(path.read_bytes()) == (path.stem != TYPO)


def test_all_that_is_routed_of_varied_traffic_is_taken() -> None:
    counts = [0, 0]
    for record in generate_traffic(TrafficPlan(count=4_000)):
        if record.value:
            counts[0] += taken(record.value)
            counts[1] += isinstance(PIPELINE(record.value), Routed)
    assert counts[0] == counts[1] > 3_000


def test_a_year_that_does_not_exist_in_utc() -> None:
    """The scanner leaves it to be refused."""
    value = orjson.dumps(
        changed(
            example("account_created"), "metadata", "event_time", to="0001-01-01T00:00:00+00:01"
        )
    )
    assert not taken(value)
    assert isinstance(PIPELINE(value), DeadLetter)


@given(st.data(), st.randoms(use_true_random=False))
@settings(
    max_examples=examples(300, part=5), deadline=None, suppress_health_check=list(HealthCheck)
)
def test_generated_events(data: st.DataObject, random: Random) -> None:
    """However they are written: blanks, escapes, the order of fields."""
    name = data.draw(st.sampled_from(NAMES))
    event = data.draw(EVENTS[name])
    for _ in range(data.draw(st.integers(0, 2))):
        section = data.draw(st.sampled_from(sorted(part for part in event if event[part])))
        field = data.draw(st.sampled_from(sorted(event[section])))
        event = changed(event, section, field, to=data.draw(ANYTHING | st.sampled_from(VALUES[1:])))
    text = (
        write(event, random)
        if data.draw(st.booleans())
        else json.dumps(event, ensure_ascii=data.draw(st.booleans()))
    )
    taken(text.encode(errors="surrogatepass"))


@pytest.mark.parametrize("name", ["enrollment_created", "course_section_updated"])
def test_every_byte_changed_and_every_text_cut_off(name: str) -> None:
    """One change at each place, and each beginning and end of it."""
    value = orjson.dumps(example(name))
    assert sum(taken(value[:at]) + taken(value[at:]) for at in range(len(value))) == 1, (
        "but the whole"
    )
    found = 0
    for at in range(len(value)):
        for byte in b'\x00"\\{}[],:09.eE-tfn /u\x80\xc3\xff\t':
            found += taken(value[:at] + bytes((byte,)) + value[at + 1 :])
    assert found


def raw(section: str, text: str, name: str = "enrollment_created") -> bytes:
    """An event with one more member, written as it stands, at the end of a section (or of the
    whole).
    """
    parts = {part: orjson.dumps(fields).decode() for part, fields in example(name).items()}
    if section:
        parts[section] = f"{parts[section][:-1]},{text}}}"
    whole = ",".join(f'"{part}":{fields}' for part, fields in parts.items())
    return f"{{{whole}{'' if section else ',' + text}}}".encode()


@pytest.mark.parametrize("section", ["metadata", "body", ""])
@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        ('"x":1.5', True),
        ('"x":-0', True),
        ('"x":1e5', True),
        ('"x":-0.0', True),
        ('"x":123456789012345678901234567890', True),
        ('"x":[{"b":1,"a":[null,"\\u00e9"]},[]]', True),
        ('"x":{"a":1,"a":2}', True),
        ('"x":"\\u0041\\n\\u001f\\/\\"\\\\ \\ud834\\udd1e \\u2028 \\u007f"', True),
        ('"x":"é 牛 𝄞"', True),
        ('"":""', True),
        ('"x":01', False),
        ('"x":1.', False),
        ('"x":-', False),
        ('"x":+1', False),
        ('"x":"\\ud834"', False),
        ('"x":"\\udd1e\\ud834"', False),
        ('"x":"\\ud834\\u0041"', False),
        ('"x":"\\x41"', False),
        ('"x":"\\u00g1"', False),
        ('"x":"\t"', False),
        ('"x":[1,]', False),
        ('"x":[1}', False),
        ('"x":nul', False),
        ('"x":NaN', False),
        ('"x"', False),
        ('"x":1,', False),
        ("x:1", False),
    ],
)
def test_a_member_more(section: str, text: str, is_taken: bool) -> None:
    assert taken(raw(section, text)) == is_taken
    assert isinstance(PIPELINE(raw(section, text)), Routed) == is_taken


@pytest.mark.parametrize(
    "value",
    ['{"a":' * 40 + "1" + "}" * 40, "[" * 300 + "]" * 300, "[" * 2_000],
    ids=["40 levels", "300 levels", "unclosed"],
)
def test_what_is_nested_deep_is_left_alone(value: str) -> None:
    assert not taken(raw("body", f'"x":{value}'))


def test_many_fields_and_fields_that_come_again_are_left_alone() -> None:
    assert not taken(raw("body", ",".join(f'"x{number}":1' for number in range(200))))
    assert isinstance(
        PIPELINE(raw("body", ",".join(f'"x{number}":1' for number in range(200)))), Routed
    )
    for section in ("metadata", "body"):
        assert not taken(raw(section, '"x":1,"x":1'))
    for part in ("metadata", "attributes", "body"):
        assert not taken(raw("", f'"{part}":{{}}'))
    assert not taken(
        write(Pairs([*example("user_created").items(), ("attributes", None)]), Random(1)).encode()
    )


def test_fields_are_taken_in_any_order_and_with_any_blanks() -> None:
    random = Random(7)
    for name in NAMES:
        for _ in range(5):
            event = {
                part: dict(random.sample(sorted(fields.items()), len(fields)))
                for part, fields in random.sample(sorted(example(name).items()), 2)
            }
            assert taken(json.dumps(event, indent=random.choice((None, 1, "\t"))).encode())
            taken(write(event, random).encode())


def test_numbers_for_ids() -> None:
    for number in (
        "0",
        "-1",
        "1",
        "1533",
        "999999999999999999",
        "1000000000000000000",
        "9223372036854775807",
        "9223372036854775808",
        "1.0",
        "1e3",
        "01",
    ):
        for field in ("enrollment_id", "course_id", "associated_user_id"):
            event = example("enrollment_created")
            taken(write(changed(event, "body", field, to=Number(number)), Random(1)).encode())
            taken(orjson.dumps(changed(event, "body", field, to=number)))
            taken(orjson.dumps(changed(event, "metadata", "root_account_id", to=number)))


REFUSED: dict[str, Callable[[Any], Any]] = {
    "a pattern": lambda field: field | {"pattern": "^a$"},
    "a greatest length": lambda field: field | {"maxLength": 5},
    "a least length": lambda field: field | {"minLength": 2},
    "a list of values": lambda field: field | {"enum": ["a"]},
    "a format": lambda field: field | {"format": "uri"},
    "another least number": lambda field: field | {"minimum": 2},
    "a least number below zero": lambda _field: {"type": "integer", "minimum": -1},
    "a least number that is a float": lambda _field: {"type": "integer", "minimum": 1.0},
    "another greatest number": lambda field: field | {"maximum": 9},
    "a least number with a fraction": lambda _field: {"type": "number", "minimum": 1},
    "no type, and a pattern": lambda _field: {"pattern": "^[1-9][0-9]{0,18}$"},
    "no type, and objects only with a field": lambda _field: {"required": ["id"]},
    "a type that JSON does not have": lambda _field: {"type": "text"},
    "a constant that is no string": lambda _field: {"type": "integer", "const": 1},
    "a constant that is null": lambda _field: {"type": ["string", "null"], "const": None},
    "a constant beside what is no string": lambda _field: {
        "type": ["string", "null"],
        "const": "a",
    },
    "a time without long years that is no event's": lambda _field: {
        "type": "string",
        "pattern": fields("enrollment_created", "metadata")["event_time"]["pattern"],
    },
    "anything": lambda _field: True,
    "nothing": lambda _field: False,
    "two at once": lambda field: {"allOf": [field]},
    "known values of what may be a number": lambda _field: {
        "type": ["string", "integer"],
        KNOWN_VALUES: ["a"],
    },
    "known values of which there are none": lambda _field: {"type": "string", KNOWN_VALUES: []},
    "known values that are no strings": lambda _field: {
        "type": "string",
        KNOWN_VALUES: ["a", None],
    },
}


@pytest.mark.parametrize("refused", REFUSED)
def test_a_schema_that_says_more_is_not_read(refused: str) -> None:
    validator = VALIDATORS["enrollment_created"]
    schema = validator.schema
    body = schema["properties"]["body"]
    other = changed(
        schema,
        "properties",
        "body",
        "properties",
        "user_name",
        to=REFUSED[refused](body["properties"]["user_name"]),
    )
    assert scannable_type(replace(validator, schema=other)) is None


def test_arrays_and_objects_are_checked_by_their_schema() -> None:
    """Whatever it says."""
    validator = VALIDATORS["enrollment_created"]
    strict = {
        "type": ["array", "object", "string"],
        "minLength": 1,
        "maxItems": 2,
        "items": {"enum": [1, None]},
        "properties": {"a": {"not": {"const": 5}}},
        "additionalProperties": False,
    }
    assert scannable_type(replace(validator, schema=_with_field("user_name", strict))) is None
    del strict["additionalProperties"]
    schema = _with_field("user_name", strict)
    is_valid = Draft202012Validator(schema).is_valid
    recognisers = Recognisers(
        {"enrollment_created": replace(validator, schema=schema, is_valid=is_valid)}
    )
    for value, is_taken in (
        ("x", True),
        ([], True),
        ([1, None], True),
        ({"a": 6, "b": [{}]}, True),
        ({}, True),
        ("", False),
        ([1, 1, 1], False),
        ([2], False),
        ({"a": 5}, False),
        (7, False),
        (None, False),
    ):
        event = changed(example("enrollment_created"), "body", "user_name", to=value)
        assert recognisers.taken(orjson.dumps(event)) == is_taken, value
        assert is_valid(event) == is_taken


def _with_field(name: str, field: Any) -> Any:
    schema = VALIDATORS["enrollment_created"].schema
    return changed(schema, "properties", "body", "properties", name, to=field)


NUMBERS = (
    *("0", "5", "-1", "0.0", "-0.0", "5.0", "17.5", "-1.25", "0.1", "0.0001", "99999999999.9999"),
    *("100.00", "1.10", "0.00001", "123456789012.5", "0.333333333333333", "66.66666666666667"),
    *("1e2", "1E-7", "1.5e300", "123456789012345678901234567890", "4503599627370497.5"),
)


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_written_as_orjson_writes_them(number: str) -> None:
    event = changed(example("submission_updated"), "body", "score", to="@")
    assert taken(orjson.dumps(event).replace(b'"@"', number.encode()))
    assert taken(raw("metadata", f'"weight":{number}'))


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,12})\.[0-9]{1,6}", fullmatch=True))
@settings(max_examples=examples(500, part=5), deadline=None)
def test_fractions_of_any_length(number: str) -> None:
    assert taken(raw("body", f'"score":{number}', "submission_created"))


@pytest.mark.parametrize("number", ["01.5", "1.", "1.5.5", ".5", "-.5", "1.5e", "1.5x", "--1.5"])
def test_what_is_no_number(number: str) -> None:
    assert not taken(raw("body", f'"score":{number}', "submission_created"))


KEYS: dict[tuple[str, tuple[str, ...]], Sequence[Any]] = {
    ("course_progress", ("body", "user")): (
        {"id": "7"}, {"id": 7}, {"id": "21070000000004471"}, {"id": 7.0}, {"id": 2.107e16},
        {"id": 9223372036854775807}, {"id": None}, {}, None, {"id": ["7"]},
    ),
    ("logged_in", ("metadata", "user_id")): ("7", 7, None, MISSING, 7.0, 2.107e16, "", True),
    ("asset_accessed", ("body", "asset_id")): ("7", 7, None, MISSING, 7.0, 2.107e16, "", True),
    ("quiz_export_complete", ("body", "content_export_id")): (
        "x", "", 7, -7, 0, 7.0, -7.0, 1e300, None, MISSING, "é𝄞", 'a"b', "\n", True, [],
    ),
}  # fmt: skip
"""Keys that are nested, in the metadata, texts, or absent."""


@pytest.mark.parametrize(("name", "path"), KEYS)
def test_keys_of_any_place(name: str, path: tuple[str, ...]) -> None:
    found = 0
    for value in KEYS[name, path]:
        event = changed(example(name), *path, to=value)
        for each in (event, {"attributes": event["metadata"], "body": event["body"]}):
            found += taken(json.dumps(each).encode()) + taken(write(each, Random(3)).encode())
    assert found > 4


def test_a_key_that_is_dropped() -> None:
    recognisers = Recognisers(VALIDATORS, ("user_id", "context_id"))
    assert [name for name in NAMES if not recognisers.taken(orjson.dumps(example(name)))] == []


def test_a_schema_whose_objects_say_more_is_not_read() -> None:
    validator = VALIDATORS["enrollment_created"]
    schema = validator.schema
    body = schema["properties"]["body"]
    for other in (
        schema | {"additionalProperties": False},
        schema | {"required": ["body", "metadata"]},
        changed(schema, "properties", "body", "additionalProperties", to=False),
        changed(schema, "properties", "body", "required", to=["somewhere_else"]),
        changed(schema, "properties", "attributes", "required", to=["event_name"]),
        changed(schema, "properties", "metadata", to={"type": "object"}),
        changed(schema, "properties", "body", to=True),
        changed(
            schema,
            "properties",
            "body",
            "properties",
            to=body["properties"]
            | {f"field_{number}": {"type": "string"} for number in range(200)},
        ),
        {keyword: value for keyword, value in schema.items() if keyword != "anyOf"},
    ):
        assert scannable_type(replace(validator, schema=other)) is None


@pytest.mark.parametrize(
    "root_account_id",
    [
        MISSING,
        {"type": "string"},
        {"type": ["string", "null", "boolean"]},
        {"type": "array", "items": {"type": "string"}},
    ],
)
def test_a_schema_for_which_a_root_account_may_be_no_id_is_not_read(root_account_id: Any) -> None:
    """Every event is asked for its root account, also where its schema does not name it."""
    validator = VALIDATORS["enrollment_created"]
    schema = validator.schema
    for part in ("metadata", "attributes"):
        schema = changed(
            schema, "properties", part, "properties", "root_account_id", to=root_account_id
        )
    assert scannable_type(replace(validator, schema=schema)) is None


@pytest.mark.parametrize("account", ["3", 3, None])
def test_a_type_whose_key_is_its_root_account_is_not_read(account: Any) -> None:
    """The scanner would take the field as the key only, and lose the account."""
    validator = VALIDATORS["heartbeat"]
    key = Key(("metadata", "root_account_id"), is_id=True)
    validators = {
        **VALIDATORS,
        "heartbeat": replace(validator, event_type=replace(validator.event_type, key=key)),
    }
    recognisers = Recognisers(validators)
    assert recognisers.taken(orjson.dumps(example("enrollment_created")))
    value = orjson.dumps(changed(example("heartbeat"), "metadata", "root_account_id", to=account))
    assert not recognisers.taken(value)
    judged = recognisers.by_schema(value)
    assert isinstance(judged, Recognised)
    by_schema = Publisher(validators, None).publish(judged, value, [], False)
    assert contents(Pipeline(validators)(value)) == contents(by_schema)
    dropping = Recognisers(validators, ("root_account_id",))
    assert dropping.taken(value), "the records have no key then"


@pytest.mark.parametrize(
    "time",
    [
        "2019-11-01T19:11:01Z",
        "2019-11-01T19:11:01.1Z",
        "2019-11-01T19:11:01.123456789Z",
        "2024-03-29T15:43:00-07:00",
        "2019-10-05 05:38:00 -0800",
        "2019-10-05 05:38:00.5 UTC",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1684-07-28T00:00:00Z",
        "2255-06-05T23:47:34.740992Z",
        "2255-06-05T23:47:34.740993Z",
        "1969-12-31T23:59:59.999999Z",
        "2000-02-29T00:00:00Z",
        "1900-02-28T23:59:59Z",
        "20240-02-29T00:00:00Z",
        "200000-12-31T23:59:59.123456-07:00",
        "10000-02-29 00:00:00 UTC",
    ],
)
def test_times(time: str) -> None:
    exists = time not in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")
    is_event_time = exists and time[4] == "-"
    value = orjson.dumps(changed(example("account_created"), "metadata", "event_time", to=time))
    assert taken(value) == is_event_time
    value = orjson.dumps(changed(example("assignment_created"), "body", "due_at", to=time))
    assert taken(value)


@pytest.mark.parametrize("day", ["20240-02-29", "200000-12-31", "10000-02-29", "2024-02-29"])
def test_days(day: str) -> None:
    event = changed(example("assignment_override_created"), "body", "all_day_date", to=day)
    assert taken(orjson.dumps(event))
    assert VALIDATORS["assignment_override_created"].is_valid(event)


@pytest.mark.parametrize(
    "text",
    [
        "20241-02-29",
        "020240-01-01",
        "00001-01-01",
        "0000-01-01",
        "1000000-01-01",
        "20240-1-01",
        "2024x-01-01",
        "2x240-01-01",
        "20240-01-0",
        "20240",
        "20240-",
        "2024-01-01-",
        "20240-01-011",
        "200000-13-01",
        "20240-01-01T",
        "20240-01-01T00:00:0Z",
    ],
)
def test_no_days(text: str) -> None:
    event = example("assignment_override_created")
    for field, value in (("all_day_date", text), ("due_at", f"{text}T00:00:00Z")):
        wrong = changed(event, "body", field, to=value)
        assert not taken(orjson.dumps(wrong))
        assert not VALIDATORS["assignment_override_created"].is_valid(wrong)


def test_days_of_all_years_are_the_seconds_that_python_counts() -> None:
    event = example("account_created")
    for year in range(1, 10_000, 7):
        for month, day in ((1, 1), (2, 28), (3, 1), (12, 31)):
            time = f"{year:04}-{month:02}-{day:02}T12:34:56.789Z"
            assert taken(orjson.dumps(changed(event, "metadata", "event_time", to=time)))


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\x41"', '"\t"', "[1,]", "01"])
def test_what_is_dropped_is_looked_at_all_the_same(text: str) -> None:
    """What is no JSON is no event, wherever it stands."""
    assert not taken(raw("metadata", f'"not_in_any_schema":{text}'))
    assert taken(raw("metadata", '"not_in_any_schema":"\\u0026 \\/ {[,"'))


def test_names_that_stand_elsewhere_are_not_dropped() -> None:
    value = raw("body", '"url":"client_ip","user_agent":{"client_ip":1}')
    found = DROPPING.scan(value)
    assert found is not None
    assert taken(value)
    canonical = orjson.loads(found.canonical)
    assert canonical["body"]["url"] == "client_ip"
    assert not canonical["metadata"].keys() & set(DROPPED)


def test_more_names_than_the_scanner_has_room_for_are_left_to_the_parser() -> None:
    many = Recognisers(VALIDATORS, tuple(f"field_{number}" for number in range(200)))
    assert many.scan(orjson.dumps(example("account_created"))) is None


CONTROLS: dict[str, tuple[str, Any, Callable[[Any], Any]]] = {
    "a field that is required": (
        "course_id",
        MISSING,
        lambda body: (
            body | {"required": [each for each in body["required"] if each != "course_id"]}
        ),
    ),
    "the type of a field": (
        "user_name",
        17,
        lambda body: changed(body, "properties", "user_name", to={"type": "integer"}),
    ),
    "a pattern": (
        "created_at",
        "yesterday",
        lambda body: changed(body, "properties", "created_at", "pattern", to=MISSING),
    ),
    "a value that is known": (
        "workflow_state",
        "hibernating",
        lambda body: changed(body, "properties", "workflow_state", KNOWN_VALUES, to=MISSING),
    ),
}
"""A field of the body, a value, and a schema without the rule that the value breaks."""


@pytest.mark.parametrize("rule", CONTROLS)
def test_the_comparison_fails_where_the_scanner_lacks_a_rule(rule: str) -> None:
    field, value, without = CONTROLS[rule]
    validator = VALIDATORS["enrollment_created"]
    body = without(validator.schema["properties"]["body"])
    lacking = replace(validator, schema=changed(validator.schema, "properties", "body", to=body))
    event = orjson.dumps(changed(example("enrollment_created"), "body", field, to=value))
    PLAIN.taken(event)
    with pytest.raises(AssertionError):
        Recognisers(VALIDATORS, scanned={"enrollment_created": lacking}).taken(event)
