"""The router's border: bytes and headers in, a verdict out, and the record that is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from rollcall.dead_letters.outline import known_words
from rollcall.dead_letters.view import view_of
from rollcall.events.dropping import MetadataDropper
from rollcall.events.outcomes import DeadLetter, ErrorCode, Outcome, Routed, Unknown
from rollcall.events.pipeline import (
    DROPPED_HEADER,
    REDACTED_HEADER,
    WHOLE_VALUE,
    Pipeline,
)
from rollcall.events.redaction import REPLACEMENT, Redactor
from rollcall.events.schema_recogniser import MOST_NAME_CHARACTERS
from rollcall.events.schemas.files import schema_folder, schema_paths
from rollcall.ingest.file.splitting import Splitter
from rollcall.process.dead_letter_records import bounded_dead_letter, record_bytes
from rollcall.record import Header
from rollcall.sandbox.canvas.traffic import CREDENTIAL
from rollcall.streaming.chunks import Chunk
from tests.dead_letters.records import Stored
from tests.events.json_texts import reading, without
from tests.events.recognisers import Recognisers
from tests.events.schemas.events import ORACLES, VALIDATORS
from tests.fuzz.inputs import MARK, any_headers, any_input
from tests.router.handling import context_of, handle

DROPPED = ("client_ip", "user_agent", "user_login", "session_id", "url")
REDACTED = ("access_token", "refresh_token", "client_secret")
LIMIT = 16_384
SAMPLE = 0.05
"""Of the inputs go to what is slow: the reference implementation, the standard library's JSON, the
page's view of a dead letter.
"""

_LEAST_QUOTED = 8
"""Characters of a value that are found in a message by chance only if the schemas have them."""

_SCHEMA_WORDS = " ".join(
    path.read_text(encoding="utf-8") for _, path in schema_paths(schema_folder())
)
_NO_EXACT_ID = (
    "type: an id must be a whole number up to 9223372036854775807, beyond 2^53 written "
    "without fraction or exponent"
)


@dataclass(frozen=True)
class Fetched:
    """A record of the raw topic."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]
    offset: int = 7
    timestamp: int = 1_700_000_000_000


class PipelineBorder:
    """Whatever is on the raw topic becomes one record, and it is the right one."""

    def __init__(self) -> None:
        self._plain = Pipeline(VALIDATORS)
        self._redactor = Redactor(REDACTED)
        self._dropper = MetadataDropper(DROPPED)
        self._full = Pipeline(
            VALIDATORS, shard=2107, redactor=self._redactor, dropper=self._dropper
        )
        self._recognisers = (Recognisers(VALIDATORS), Recognisers(VALIDATORS, DROPPED))
        self._contexts = tuple(
            context_of(pipeline, limit=LIMIT) for pipeline in (self._plain, self._full)
        )

    def make(self, random: Random) -> Fetched:
        """A record."""
        return Fetched(
            random.choice((None, b"key", b"/?access_token=" + CREDENTIAL.encode())),
            any_input(random),
            any_headers(random),
        )

    def check(self, fetched: Fetched, random: Random) -> str:
        """All that must hold; the verdict."""
        value = fetched.value
        plain = self._plain(value, fetched.headers)
        assert plain.value == value, "bytes are sacred"
        clean, found = (value, frozenset[bytes]()) if value is None else self._redactor(value)
        if not found:
            assert clean == value
        else:
            _assert_pieces_are_in(clean or b"", value or b"")
        full = self._full(value, fetched.headers)
        assert CREDENTIAL.encode() not in b"".join(content or b"" for _, content in full.headers)
        if not found:
            assert kind_of(full) == kind_of(plain), "what is dropped does not change the verdict"
        if full.value != clean:
            assert DROPPED_HEADER in dict(full.headers)
        for outcome, judged in ((plain, value), (full, clean)):
            _check_headers(outcome, fetched)
            _check_message(outcome, judged)
        self._check_again(full, fetched)
        for recognisers in self._recognisers:
            for text in {value or b"", clean or b""}:
                recognisers.taken(text)
        chunk = Chunk("canvas.raw", 0, fetched.offset, fetched.offset + 1, [fetched], 0)
        outputs, _ = handle(random.choice(self._contexts), [chunk])
        assert len(outputs) == 1
        if random.random() < SAMPLE:
            _check_by_reference(plain)
            _check_dropped(full, clean)
            splitter = Splitter()
            splitter.feed(value or b"")
            splitter.close()
            view_of(Stored(value, full.headers), known_words()).as_json()
        return kind_of(plain)

    def _check_again(self, outcome: Outcome, fetched: Fetched) -> None:
        """What was published, sent once more, is the same."""
        if isinstance(outcome, DeadLetter) and (
            DROPPED_HEADER in dict(outcome.headers) or outcome.code is ErrorCode.TOO_LARGE
        ):
            return  # it was judged with what is gone
        headers = outcome.raw_headers if isinstance(outcome, Routed) else outcome.headers
        again = self._full(outcome.value, headers)
        assert kind_of(again) == kind_of(outcome)
        assert again.value == outcome.value
        if isinstance(outcome, Routed) and isinstance(again, Routed):
            assert again.key == outcome.key
            assert _lasting(again.headers) == _lasting(outcome.headers), (
                "an event that comes twice has one ce_id"
            )


def kind_of(outcome: Outcome) -> str:
    """The verdict, in a word."""
    match outcome:
        case Routed():
            return "routed"
        case Unknown():
            return "unknown"
    return outcome.code.value


def _lasting(headers: list[Header]) -> set[Header]:
    """But the names of credentials: one may have stood in what was dropped."""
    return {header for header in headers if header[0] != REDACTED_HEADER}


def _assert_pieces_are_in(clean: bytes, value: bytes) -> None:
    at = 0
    for piece in clean.split(REPLACEMENT):
        at = value.find(piece, at)
        assert at >= 0, "outside of credentials, redaction changes nothing"
        at += len(piece)


def _check_headers(outcome: Outcome, fetched: Fetched) -> None:
    headers = outcome.headers
    if isinstance(outcome, DeadLetter):
        letter, key, headers = bounded_dead_letter(
            outcome, fetched.key, "canvas.raw", 0, fetched, LIMIT
        )
        assert record_bytes(key, letter.value, headers) <= LIMIT
    for name, content in headers:
        name.encode()
        assert content is None or isinstance(content, bytes)
        if name.startswith(("ce_", "rollcall.error.")) and (name, content) not in fetched.headers:
            assert content is not None
            assert content.decode().isprintable()


def _check_message(outcome: Outcome, value: bytes | None) -> None:
    if not isinstance(outcome, DeadLetter):
        return
    said = f"{outcome.message} {outcome.path} {outcome.schema} {outcome.event_name}"
    assert MARK not in said, "a message never quotes"
    if outcome.code is ErrorCode.SCHEMA_VIOLATION:
        for text in _texts(orjson.loads(value or b"")):
            assert len(text) < _LEAST_QUOTED or text not in said or text in _SCHEMA_WORDS, (
                "a message never quotes"
            )


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            yield value


def _check_by_reference(outcome: Outcome) -> None:
    """Valid is what jsonschema says is valid. What is valid and not routed has its reason."""
    try:
        event = orjson.loads(outcome.value or b"")
        metadata = event["metadata"] if "metadata" in event else event["attributes"]
        oracle = ORACLES[metadata["event_name"]]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        assert not isinstance(outcome, Routed)
        return
    valid = oracle.is_valid(event)
    match outcome:
        case Routed():
            assert valid, "jsonschema refuses what was routed"
        case DeadLetter(code=ErrorCode.SCHEMA_VIOLATION):
            assert valid == (outcome.message == _NO_EXACT_ID), "jsonschema takes what was refused"
        case DeadLetter():
            assert (
                not valid
                or outcome.code is ErrorCode.NOT_JSON
                or "does not exist in UTC" in outcome.message
                or len(metadata["event_name"]) > MOST_NAME_CHARACTERS
            )


def _check_dropped(outcome: Outcome, clean: bytes | None) -> None:
    """The standard library reads the same, without what was dropped."""
    dropped = dict(outcome.headers).get(DROPPED_HEADER)
    if not clean or dropped == WHOLE_VALUE or outcome.value == clean:
        return
    try:
        assert reading(outcome.value or b"") == without(reading(clean), DROPPED)
    except (RecursionError, json.JSONDecodeError):  # deeper than the library reads
        return
