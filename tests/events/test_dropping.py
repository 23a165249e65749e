"""Fields of metadata are cut out of the raw text; everything else keeps its bytes."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rollcall.events.dropping import MetadataDropper
from rollcall.events.outcomes import DeadLetter, ErrorCode, Routed, Unknown
from rollcall.events.pipeline import Pipeline
from rollcall.events.redaction import Redactor
from tests.events.json_texts import SPACES, Number, Pairs, reading, without, write
from tests.events.recognisers import contents
from tests.events.schemas.events import VALIDATORS
from tests.events.test_pipeline import EVENT, event
from tests.examples import examples

NAMES = ("client_ip", "user_agent", "url")
ADDRESS = "192.0.2.7"
PIPELINE = Pipeline(
    VALIDATORS, redactor=Redactor(("access_token",)), dropper=MetadataDropper(NAMES)
)


def drop(text: str | bytes) -> tuple[bytes, list[str]]:
    """The text without the fields."""
    data = text.encode() if isinstance(text, str) else text
    read = orjson.loads(data)
    return dropped(data, read["metadata"] if "metadata" in read else read["attributes"])


def dropped(data: bytes, metadata: dict[str, Any]) -> tuple[bytes, list[str]]:
    """The text without the fields of its metadata, and their names."""
    dropper = MetadataDropper(NAMES)
    places = dropper.places(data, metadata)
    assert list(places) == sorted(places), "in order"
    return dropper.cut(data, places), sorted({name for _, name in places})


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ('{"metadata":{"client_ip":"x","a":1}}', '{"metadata":{"a":1}}', "client_ip"),
        ('{"metadata":{"a":1,"client_ip":"x"}}', '{"metadata":{"a":1}}', "client_ip"),
        ('{"metadata":{"a":1,"client_ip":null,"b":2}}', '{"metadata":{"a":1,"b":2}}', "client_ip"),
        ('{"metadata":{"client_ip":-1.50e+7}}', '{"metadata":{}}', "client_ip"),
        (
            '{"metadata":{"client_ip":1,"url":2,"user_agent":3},"a":1.0}',
            '{"metadata":{},"a":1.0}',
            "client_ip,url,user_agent",
        ),
        (
            '{"metadata":{"client_ip":1,"url":2,"a":3,"user_agent":4}}',
            '{"metadata":{"a":3}}',
            "client_ip,url,user_agent",
        ),
        (
            '{\n "metadata": {\n  "client_ip" : "x" ,\n  "a": 1\n }\n}',
            '{\n "metadata": {\n  "a": 1\n }\n}',
            "client_ip",
        ),
        (
            '{\n "metadata": {\n  "a": 1,\n  "client_ip" : "x"\n }\n}',
            '{\n "metadata": {\n  "a": 1\n }\n}',
            "client_ip",
        ),
        ('{"attributes":{"client_ip":"x","a":1}}', '{"attributes":{"a":1}}', "client_ip"),
        ('{"attributes":{"url":1},"metadata":{"url":2}}', '{"attributes":{},"metadata":{}}', "url"),
        (
            '{"metadata":{"client_ip":"x","client_ip":"y","a":1}}',
            '{"metadata":{"a":1}}',
            "client_ip",
        ),
        (
            '{"metadata":{"client_ip":"x"},"metadata":{"a":1}}',
            '{"metadata":{},"metadata":{"a":1}}',
            "client_ip",
        ),
        (r'{"metadata":{"client\u005fip":"x","a":1}}', '{"metadata":{"a":1}}', "client_ip"),
        (
            r'{"metad\u0061ta":{"\u0063lient_ip":"x","client_ip":"y"}}',
            r'{"metad\u0061ta":{}}',
            "client_ip",
        ),
        (r'{"metadata":{"url":"a \"} , \\","a":1}}', '{"metadata":{"a":1}}', "url"),
        ('{"metadata":{"url":{"url":[1,{"url":"]}"}]},"a":1}}', '{"metadata":{"a":1}}', "url"),
        (
            '{"metadata":{"a":{"url":1},"b":[{"url":1}],"url":1},"body":{"url":1},"url":1}',
            None,
            "url",
        ),
        (
            '{"metadata":{"a":"client_ip","client_ip":1}}',
            '{"metadata":{"a":"client_ip"}}',
            "client_ip",
        ),
        (
            r'{"metadata":{"a":"\"client_ip","client_ip":1}}',
            r'{"metadata":{"a":"\"client_ip"}}',
            "client_ip",
        ),
        (
            '{"body":{"client_ip":1},"metadata":{"client_ip":1}}',
            '{"body":{"client_ip":1},"metadata":{}}',
            "client_ip",
        ),
        ('{"metadata":{"my_client_ip":1,"client_ip2":2,"CLIENT_IP":3}}', ..., ""),
        ('{"metadata":{"a":"client_ip"},"body":{"metadata":{"client_ip":1}}}', ..., ""),
        ('{"metadata":{"a":1},"body":{"client_ip":1}}', ..., ""),
        ('{"metadata":{"a":"client_ip"}}', ..., ""),
    ],
)
def test_members_are_cut_out(before: str, after: Any, names: str) -> None:
    after = before if after is ... else after or before.replace(',"url":1},"body"', '},"body"')
    assert drop(before) == (after.encode(), names.split(",") if names else [])


def test_what_has_none_of_them_is_the_same_object() -> None:
    data = orjson.dumps({"metadata": {"a": 1}, "body": {}})
    clean, found = dropped(data, {"a": 1})
    assert clean is data
    assert found == []


@pytest.mark.parametrize("depth", [3, 200, 1_000])
def test_depth_is_no_trap(depth: int) -> None:
    deep = '{"url":[' * (depth // 2) + "1" + "]}" * (depth // 2)
    assert drop(f'{{"metadata":{{"a":{deep},"url":{deep}}}}}') == (
        f'{{"metadata":{{"a":{deep}}}}}'.encode(),
        ["url"],
    )


SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from(["0", "-1", "1.50", "1E5", "0.10e-3"]).map(lambda text: Number(text))
    | st.text(max_size=8)
)
KEYS = st.sampled_from(
    [*NAMES, "metadata", "attributes", "a", "a\\", 'a"', "{", "é", ""]
) | st.text(max_size=3)


def pairs(
    keys: st.SearchStrategy[str], values: st.SearchStrategy[Any], most: int
) -> st.SearchStrategy[Pairs]:
    """Objects."""
    return st.lists(st.tuples(keys, values), max_size=most).map(Pairs)


VALUES = st.recursive(
    SCALARS | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=3) | pairs(KEYS, inner, 3),
    max_leaves=8,
)
ENVELOPES = pairs(
    KEYS | st.sampled_from(["metadata", "attributes"]), VALUES | pairs(KEYS, VALUES, 6), 4
)


def parts(envelope: Pairs, random: Random) -> list[tuple[str, bool | None]]:
    """An envelope as JSON in pieces, each with what must become of it: it stays, goes, or (None) is
    a comma or blank that may do either.
    """
    pieces: list[tuple[str, bool | None]] = [("{", True)]
    for number, (key, value) in enumerate(envelope):
        pieces.append((("," if number else "") + write(key, random) + " : ", True))
        if key not in ("metadata", "attributes") or not isinstance(value, Pairs):
            pieces.append((write(value, random), True))
            continue
        pieces.append(("{", True))
        for place, (name, inner) in enumerate(value):
            pieces += [
                (random.choice(SPACES), None),
                ("," if place else "", None),
                (random.choice(SPACES), None),
            ]
            pieces.append(
                (
                    f"{write(name, random)}{random.choice(SPACES)}:"
                    f"{random.choice(SPACES)}{write(inner, random)}",
                    name not in NAMES,
                )
            )
        pieces += [(random.choice(SPACES), None), ("}", True)]
    return [*pieces, ("}", True)]


@settings(max_examples=examples(300), deadline=None)
@given(ENVELOPES, st.randoms(use_true_random=False))
@example(
    Pairs(
        [
            ("metadata", Pairs([("url", 1), ("url", 2), ("a", 3)])),
            ("metadata", Pairs([("client_ip", 1)])),
        ]
    ),
    Random(1),
)
def test_it_is_what_deleting_would_give_and_nothing_else_has_changed(
    envelope: Pairs, random: Random
) -> None:
    pieces = parts(envelope, random)
    text = "".join(piece for piece, _ in pieces)
    try:
        metadata = orjson.loads(text)
    except orjson.JSONDecodeError:  # a surrogate by itself, which is no text
        return
    metadata = metadata["metadata"] if "metadata" in metadata else metadata.get("attributes")
    if not isinstance(metadata, dict):
        return
    clean, found = dropped(text.encode(), metadata)
    assert reading(clean) == without(reading(text), NAMES)
    kept = "".join(
        "" if stays is False else f"(?:{re.escape(piece)})?" if stays is None else re.escape(piece)
        for piece, stays in pieces
    )
    assert re.fullmatch(kept, clean.decode())
    gone = {
        name
        for key, value in reading(text)
        if key in ("metadata", "attributes") and isinstance(value, Pairs)
        for name, _ in value
    } & {*NAMES}
    assert found == sorted(gone)


def test_an_event_is_judged_as_received_and_published_and_identified_without_them() -> None:
    raw = orjson.dumps(
        event(client_ip=ADDRESS, user_agent="Mozilla/5.0", url="https://x/?access_token=abc")
    )
    outcome = PIPELINE(
        raw, (("trace", ADDRESS.encode()), ("rollcall.dropped", b"of an earlier attempt"))
    )
    assert isinstance(outcome, Routed)
    assert orjson.loads(outcome.value) == event(url=...)
    assert dict(outcome.headers)["rollcall.dropped"] == b"client_ip,url,user_agent"
    assert [name for name, _ in outcome.headers].count("rollcall.dropped") == 1
    other = PIPELINE(orjson.dumps(event(client_ip="198.51.100.9")))
    assert isinstance(other, Routed)
    assert dict(other.headers)["ce_id"] == dict(outcome.headers)["ce_id"], (
        "from the id, nobody can find the address by trying all that there are"
    )
    again = PIPELINE(outcome.value, outcome.headers[7:])
    assert contents(again) == contents(outcome) | {"redacted": False}, "again"
    wrong = PIPELINE(orjson.dumps(event(client_ip=[ADDRESS])))
    assert isinstance(wrong, DeadLetter)
    assert (wrong.code, wrong.path, wrong.value) == (
        ErrorCode.SCHEMA_VIOLATION,
        "/metadata/client_ip",
        orjson.dumps(event(url=...)),
    )


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (orjson.dumps(event(client_ip=ADDRESS, event_name="quizzes.item_created")), None),
        (orjson.dumps(event({"course_id": ...}, client_ip=ADDRESS)), ErrorCode.SCHEMA_VIOLATION),
        (orjson.dumps(event(client_ip=ADDRESS, event_time="yesterday")), ErrorCode.NOT_AN_EVENT),
        (orjson.dumps({"metadata": {"client_ip": ADDRESS}}), ErrorCode.NOT_AN_EVENT),
        (
            orjson.dumps(
                {"attributes": event(client_ip=ADDRESS)["metadata"], "body": EVENT["body"]}
            ),
            None,
        ),
        (
            orjson.dumps(event({"deep": 1}, client_ip=ADDRESS)).replace(
                b'"deep":1', b'"deep":' + b"[" * 300 + b"]" * 300
            ),
            ErrorCode.NOT_JSON,
        ),
    ],
)
def test_they_go_from_whatever_becomes_of_an_event(value: bytes, code: ErrorCode | None) -> None:
    outcome = PIPELINE(value)
    assert (outcome.code if isinstance(outcome, DeadLetter) else None) == code
    assert outcome.value
    assert ADDRESS.encode() not in outcome.value
    assert dict(outcome.headers)["rollcall.dropped"].startswith(b"client_ip")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (orjson.dumps(event(client_ip=ADDRESS))[:-1], ErrorCode.NOT_JSON),
        (orjson.dumps(event(client_ip=ADDRESS)).decode().encode("utf-16"), ErrorCode.NOT_JSON),
        (orjson.dumps(orjson.dumps(event(client_ip=ADDRESS)).decode()), ErrorCode.NOT_AN_EVENT),
        (orjson.dumps([event(client_ip=ADDRESS)]), ErrorCode.NOT_AN_EVENT),
        (
            orjson.dumps({"Message": orjson.dumps(event(client_ip=ADDRESS)).decode()}),
            ErrorCode.NOT_AN_EVENT,
        ),
        (orjson.dumps({"data": event(client_ip=ADDRESS)}), ErrorCode.NOT_AN_EVENT),
        (
            orjson.dumps(
                {
                    "metadata": [event(client_ip=ADDRESS)],
                    "attributes": event()["metadata"],
                    "body": {},
                }
            ),
            ErrorCode.NOT_AN_EVENT,
        ),
    ],
)
def test_what_has_no_metadata_is_withheld(value: bytes, code: ErrorCode) -> None:
    """It may hold them anywhere."""
    outcome = PIPELINE(value)
    assert isinstance(outcome, DeadLetter)
    assert (outcome.code, outcome.value) == (code, b"")
    assert outcome.headers == [("rollcall.dropped", b"*")]


def test_nothing_is_withheld_unless_something_is_to_be_dropped() -> None:
    for value in (
        b"no JSON",
        b"[]",
        orjson.dumps(event(client_ip=ADDRESS)),
        orjson.dumps(event(client_ip=ADDRESS, event_name="x")),
    ):
        outcome = Pipeline(VALIDATORS)(value)
        assert isinstance(outcome, Routed | Unknown | DeadLetter)
        assert outcome.value == value
        assert "rollcall.dropped" not in dict(outcome.headers)
