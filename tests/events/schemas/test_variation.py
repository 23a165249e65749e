"""How real events differ from the documented ones, and must still be valid; and what must not pass.
Independent of the schemas: from the facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

import pytest

from tests.events.schemas.events import (
    MISSING,
    NAMES,
    VALIDATORS,
    changed,
    example,
    fields,
    fields_titled,
)
from tests.events.schemas.facts import FACTS

ALWAYS = [
    (name, field) for name in NAMES for field, fact in FACTS.get(name, {}).items() if fact.always
]
OPTIONAL = [
    (name, field)
    for name in NAMES
    for field, fact in FACTS.get(name, {}).items()
    if not fact.always
]
OPTIONAL_METADATA = sorted(
    fields("enrollment_created", "metadata").keys() - {"event_name", "event_time"}
)

GOOD_IDS = [
    "21070000000000565",
    21070000000000565,
    "565",
    565,
    "1",
    1,
    "9223372036854775807",
    9223372036854775807,
]
BAD_IDS = [
    "",
    "0",
    "00565",
    "-565",
    "+565",
    " 565",
    "565 ",
    "565\n",
    "\n565",
    "5.65",
    "565.0",
    "1e3",
    "0x1f",
    "99999999999999999999",
    "abc",
]
BAD_IDS += [
    "\u0665\u0666\u0665",
    "\u096b\u096c\u096b",
    "\uff15\uff16\uff15",
]  # digits of other scripts
BAD_IDS_OF_OTHER_TYPES: list[Any] = [
    0,
    -1,
    1.5,
    9223372036854775808,
    2**64,
    1e300,
    True,
    False,
    [],
    {},
    ["565"],
    {"id": 565},
]

GOOD_TIMES = [
    "2018-10-09T21:07:33Z",
    "2019-11-01T19:11:01.163Z",
    "2024-03-29T15:43:00-07:00",
    "2024-03-29T15:43:00.123+05:45",
    "2019-10-05 05:38:00 -0800",
    "2019-10-05 05:38:00.25 +0530",
    "2019-10-05 13:38:00 UTC",
    "2020-02-29T00:00:00Z",
    "2000-02-29T23:59:59Z",
    "2019-12-31 23:59:59 +0000",
    "0019-11-01T00:00:00Z",
]
TIMES_OF_LONG_YEARS = [
    "12019-11-01T19:11:01Z",
    "20240-02-29 05:38:00.25 +0530",
    "200000-02-29T00:00:00-07:00",
]
BAD_TIMES = [
    "",
    "019-11-01T19:11:01.163Z",
    "0000-01-01T00:00:00Z",
    "2019-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "12019-02-29T00:00:00Z",
    "02019-11-01T19:11:01Z",
    "1002019-11-01T19:11:01Z",
    "2100-02-29 00:00:00 +0000",
    "2020-02-30T00:00:00Z",
    "2019-04-31T00:00:00Z",
    "2019-13-01T00:00:00Z",
    "2019-00-01T00:00:00Z",
    "2019-01-00T00:00:00Z",
    "2019-01-32T00:00:00Z",
    "2019-01-01T24:00:00Z",
    "2019-01-01T23:60:00Z",
    "2019-01-01T23:59:60Z",
    "2019-01-01T23:59:59",
    "2019-01-01 23:59:59",
    "2019-01-01T23:59:59+24:00",
    "2019-01-01T23:59:59+00:60",
    "2019-01-01 23:59:59 +2400",
    "2019-01-01 23:59:59 -08:00",
    "2019-01-01 23:59:59 PST",
    "2019-01-01T23:59:59-0800",
    "2019-01-01T23:59:59,5Z",
    "2019-01-01T23:59:59.Z",
    "2019-01-01T23:59Z",
    "2019-01-01t23:59:59z",
    "2019-01-01",
    "2019-01-01T23:59:59Z\n",
    "\n2019-01-01T23:59:59Z",
    " 2019-01-01T23:59:59Z",
    "\u0662\u0660\u0661\u0669-01-01T23:59:59Z",
    "1546387199",
]
NOT_TEXT: list[Any] = [1546387199, 1.5, True, [], {}, ["x"], {"a": "x"}]


def verdict(name: str, *path: str, to: object) -> bool:
    """Whether the example of an event_name is valid with one property changed."""
    return VALIDATORS[name].is_valid(changed(example(name), *path, to=to))


Places = Iterable[tuple[str, str]]
"""event_names and fields."""


def judged(
    is_valid: bool, places: Places, values: Collection[object], section: str = "body"
) -> list[tuple[str, str, object]]:
    """The values that are valid, or that are not, each with its event_name and field."""
    return [
        (name, field, value)
        for name, field in places
        for value in values
        if verdict(name, section, field, to=value) is is_valid
    ]


accepted, refused = partial(judged, True), partial(judged, False)


def test_every_type_has_facts() -> None:
    missing = set(NAMES) - FACTS.keys()
    assert not missing, (
        "add the fields of these events' bodies, from Canvas's documents or code, to _FACTS in "
        "tests/events/schemas/facts.py"
    )
    assert not FACTS.keys() - set(NAMES), "no schema has these names"


def test_the_facts_and_the_schemas_name_the_same_fields() -> None:
    assert {name: VALIDATORS[name].known_body_fields for name in NAMES} == {
        name: FACTS.get(name, {}).keys() for name in NAMES
    }


GOOD: dict[str, list[Any]] = {
    "id": GOOD_IDS,
    "id_or_empty": [*GOOD_IDS, ""],
    "foreign": ["", "2017.100.101.101-1", "5f3b1c9a-1f6e-4a53-8d9c-0f6f1a2b3c4d", "733", 733],
    "text": ["", "x", "ü€\n\u0000", "x" * 9000],
    "word": ["a state of tomorrow", "Quizzes::Quiz", "lti/tool_proxy", "two words"],
    "time": GOOD_TIMES,
    "day": ["2019-08-10", "2020-02-29", *GOOD_TIMES],
    "flag": [True, False],
    "count": [0, 1, -1, 99, 5.0],
    "number": [0, 5, 5.0, 17.25, -1, 1e-7, 1e20, 123456789012345678],
    "ids": [[], ["55021"], [55021, "21070000000055021"]],
    "foreign_ids": [[], ["5f3b1c9a", "vendor-product"], [7, None]],
    "texts": [[], ["name", "course_id"], ['["course_id"', '"name"]']],
    "any": ["", "x", 1, 1.5, True, [], {}, [1], {"a": None}],
    "object": [],
    "objects": [],
}
"""Values that must be valid, by the kinds of facts."""


def test_what_the_facts_allow_is_valid() -> None:
    assert [
        invalid
        for name in NAMES
        for field, fact in FACTS.get(name, {}).items()
        for invalid in refused([(name, field)], GOOD[fact.kind])
    ] == []


def test_what_is_always_there_must_be_there() -> None:
    assert accepted(ALWAYS, (MISSING, None)) == []
    for name, field in ALWAYS:
        violations = VALIDATORS[name].violations(changed(example(name), "body", field, to=MISSING))
        assert violations == [
            (f"/body/{field}", "required", f'required property "{field}" is missing')
        ], name


def test_what_is_optional_may_be_null_or_missing() -> None:
    assert refused(OPTIONAL, (None,)) == []
    for name, field in OPTIONAL:
        event = changed(example(name), "body", field, to=None)
        assert VALIDATORS[name].is_valid(changed(event, "body", field, to=MISSING)), (name, field)


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_optional_may_be_null_or_missing_at_once(name: str) -> None:
    event = example(name)
    optional = [field for field, fact in FACTS[name].items() if not fact.always]
    bare = {"metadata": {key: event["metadata"][key] for key in ("event_name", "event_time")}}
    bare["body"] = {key: value for key, value in event["body"].items() if key not in optional}
    assert VALIDATORS[name].is_valid(bare), "an event from a console, of a Canvas that drops nulls"
    full = {
        "metadata": bare["metadata"] | dict.fromkeys(OPTIONAL_METADATA),
        "body": bare["body"] | dict.fromkeys(optional),
    }
    assert VALIDATORS[name].is_valid(full), "an event of a Canvas that keeps nulls"


@pytest.mark.parametrize("name", ["enrollment_created", "user_account_association_created"])
def test_metadata_may_be_null(name: str) -> None:
    assert refused([(name, field) for field in OPTIONAL_METADATA], (None,), "metadata") == []


@pytest.mark.parametrize("name", NAMES)
def test_the_envelope(name: str) -> None:
    event = example(name)
    is_valid = VALIDATORS[name].is_valid
    self_hosted = {"attributes": event["metadata"], "body": event["body"]}
    assert is_valid(self_hosted)
    assert is_valid(event | {"iss": "Canvas", "iat": 1572635471, "exp": None})
    assert not is_valid({"body": event["body"]})
    assert not is_valid({"metadata": event["metadata"]})
    wrong: list[Any] = [None, [], "", 1, True]
    for section in ("metadata", "body"):
        assert not any(is_valid(event | {section: value}) for value in wrong)
    for key in ("event_name", "event_time"):
        assert not verdict(name, "metadata", key, to=MISSING)
        assert not verdict(name, "metadata", key, to=None)
        assert not is_valid(changed(self_hosted, "attributes", key, to=MISSING))
    assert not verdict(name, "metadata", "event_name", to="another_name")
    assert not is_valid(changed(self_hosted, "attributes", "event_name", to="another_name"))
    assert not any(is_valid(value) for value in [*wrong, [event], "event", 1.5, {}])


@pytest.mark.parametrize("section", ["metadata", "body"])
def test_unknown_fields_pass(section: str) -> None:
    new = [(name, "brand_new_field") for name in NAMES]
    assert refused(new, (None, "x", 1, [1], {"a": {"b": None}}), section) == []


def test_unknown_states_and_types_pass() -> None:
    words = fields_titled("Word")
    assert refused(words, ("a state of tomorrow",)) == []
    assert accepted(words, ("", None, *NOT_TEXT)) == []
    for name, field in words:
        assert "a state of tomorrow" not in VALIDATORS[name].known_values.get(field, ())


def test_words_that_may_be_absent() -> None:
    words = fields_titled("Word, if any")
    assert refused(words, ("", "a state of tomorrow", None)) == []
    assert accepted(words, NOT_TEXT) == []


def test_an_example_has_known_words() -> None:
    for name in NAMES:
        body = example(name)["body"]
        for field, known in VALIDATORS[name].known_values.items():
            assert body.get(field) in (None, *known), (name, field)


def test_ids() -> None:
    ids = fields_titled("Id", "Id, if any")
    assert refused(ids, GOOD_IDS) == []
    assert accepted(ids, (*BAD_IDS, *BAD_IDS_OF_OTHER_TYPES)) == []


def test_ids_in_the_metadata() -> None:
    ids = [
        (name, field)
        for name, field in fields_titled("Id, if any", section="metadata")
        if name == "user_created"
    ]
    assert ids
    assert refused(ids, GOOD_IDS, "metadata") == []
    assert accepted(ids, (*BAD_IDS, *BAD_IDS_OF_OTHER_TYPES), "metadata") == []


def test_a_root_account_has_no_root_account() -> None:
    ids = [(name, "root_account_id") for name in ("account_created", "account_updated")]
    assert refused(ids, (*GOOD_IDS, 0, "0")) == []
    assert accepted(ids, ({*BAD_IDS} - {"0"}) | {-1, True}) == []


def test_times() -> None:
    times = fields_titled("Time", "Time, if any")
    assert refused(times, (*GOOD_TIMES, *TIMES_OF_LONG_YEARS)) == []
    assert accepted(times, (*BAD_TIMES, *NOT_TEXT)) == []


def test_the_time_of_an_event() -> None:
    times = [(name, "event_time") for name in NAMES]
    assert refused(times, GOOD_TIMES, "metadata") == []
    assert accepted(times, (*BAD_TIMES, *TIMES_OF_LONG_YEARS, *NOT_TEXT, None), "metadata") == []


def test_texts() -> None:
    texts = fields_titled("Text", "Text, if any")
    assert refused(texts, ("", "x", "ü€\n\u0000", "x" * 8192)) == []
    assert accepted(texts, NOT_TEXT) == []


def test_foreign_ids() -> None:
    ids = fields_titled("Foreign id")
    assert refused(ids, ("", "2017.100.101.101-1", "733", 733, None)) == []
    assert accepted(ids, (1.5, True, [], {})) == []


def test_flags() -> None:
    flags = fields_titled("Flag", "Flag, if any")
    assert refused(flags, (True, False)) == []
    assert accepted(flags, ("true", "", 0, 1, [], {})) == []


def test_counts() -> None:
    counts = fields_titled("Count, if any")
    assert refused(counts, (0, 1, 99)) == []
    assert accepted(counts, ("99", "", 1.5, True, [], {})) == []


def test_numbers() -> None:
    assert accepted(fields_titled("Number, if any"), ("99", "", True, [], {}, [1])) == []


def test_ids_that_may_be_empty() -> None:
    ids = fields_titled("Id, or an empty text")
    assert accepted(ids, ({*BAD_IDS} - {""}) | {None, 0, -1, True}) == []


def test_lists_of_ids() -> None:
    lists = fields_titled("Ids")
    assert accepted(lists, (None, "1", 1, {}, [None], [""], ["x"], [[1]], [True], [1.5])) == []


def test_lists_of_foreign_ids() -> None:
    lists = fields_titled("Foreign ids, if any")
    assert accepted(lists, ("x", 1, {}, [True], [1.5], [["x"]], [{}])) == []


def test_days() -> None:
    bad = {*BAD_TIMES} - {"2019-01-01"} | {"2019-02-29", "2019-13-01", "2019-1-1", "2019-01-01T"}
    assert accepted(fields_titled("Day, if any"), (*bad, *NOT_TEXT)) == []


def test_objects() -> None:
    objects = fields_titled("Object, if any")
    assert refused(objects, ({}, {"a": None}, {"content": True, "Quizzes::Quiz": {}})) == []
    assert accepted(objects, ("", "{}", 1, True, [])) == []


def test_progress() -> None:
    name = "course_progress"
    progress, user, course = ([(name, field)] for field in ("progress", "user", "course"))
    counts = {"requirement_count": 1, "requirement_completed_count": 0, "completed_at": None}
    error = {"error": {"message": "no progress available because this course is not module based"}}
    assert refused(progress, (counts, error, {}, {"error": None}, {"new": [1]})) == []
    wrong_parts = ({"requirement_count": "1"}, {"error": "x"}, {"completed_at": "soon"})
    assert accepted(progress, (None, [], "x", *wrong_parts)) == []
    known = example(name)["body"]["user"]
    assert refused(user, (known | {"name": None, "email": None}, {"id": 7})) == []
    assert accepted(user, ({}, {"id": None}, {"id": "x"}, known | {"name": 1})) == []
    known = {"id": "1", "account_id": "2", "sis_source_id": None, "name": None}
    assert refused(course, (known, known | {"id": 21070000000000001})) == []
    assert accepted(course, ({}, known | {"id": None}, known | {"name": []})) == []


def test_ratings() -> None:
    criterion = [("learning_outcome_updated", "rubric_criterion")]
    rating = {"description": None, "points": 3}
    assert refused(criterion, (None, {}, {"ratings": [rating]}, {"ratings": None, "more": 1})) == []
    assert accepted(criterion, ("", [], {"ratings": {}}, {"ratings": ["x"]})) == []
    assert accepted(criterion, ({"mastery_points": "3"}, {"ratings": [{"points": "3"}]})) == []
    ratings = [("outcome_proficiency_updated", "outcome_proficiency_ratings")]
    assert refused(ratings, ([], [{"points": 3.5, "color": None, "mastery": True}])) == []
    assert accepted(ratings, (None, {}, [None], [{"mastery": 1}], [{"points": "3"}])) == []


@pytest.mark.parametrize("name", ["logged_in", "logged_out", "learning_outcome_result_created"])
def test_empty_bodies(name: str) -> None:
    assert VALIDATORS[name].is_valid(example(name) | {"body": {}})


def test_stuck_sis_fields() -> None:
    stuck = [("course_section_updated", "stuck_sis_fields")]
    assert refused(stuck, ([], ["name", "course_id"], None)) == []
    assert accepted(stuck, ("name", [1], [None], {}, 1, ["name", ["x"]])) == []
