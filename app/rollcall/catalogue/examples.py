"""Records to look at: the examples of the schemas, as the router writes them, and the rows that all
of them together come to. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from rollcall.events.event_type import EventType
from rollcall.events.outcomes import DeadLetter, Routed
from rollcall.events.pipeline import Pipeline
from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.files import SchemaFile
from rollcall.process.dead_letter_records import dead_letter_headers
from rollcall.record import Header
from rollcall.rosters.registry import stages
from rollcall.streaming.rows import LEAD, encode_json
from rollcall.streaming.stages.stage import Row


class Example(NamedTuple):
    """A record."""

    key: str | None
    headers: Mapping[str, str]
    value: Any
    """As JSON value."""


class _Record(NamedTuple):
    """Implements :class:`rollcall.record.Record`."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]
    offset: int = 0
    timestamp: int | None = None


def typed_examples(
    pipeline: Pipeline, event_types: Iterable[EventType], files: Mapping[str, SchemaFile]
) -> dict[str, list[Example]]:
    """By event_name, what becomes of the examples of its schema."""
    return {
        event_type.name: [_example(record) for record in _routed(pipeline, event_type, files)]
        for event_type in event_types
    }


def dead_letter_example(pipeline: Pipeline, files: Mapping[str, SchemaFile], raw: str) -> Example:
    """What becomes of the first example without its body's fields. ``raw``: the topic from which it
    comes.
    """
    event = files[next(iter(REGISTRY))].document["examples"][0]
    dead_letter = pipeline(orjson.dumps({**event, "body": {}}))
    assert isinstance(dead_letter, DeadLetter)
    return _example(_Record(b"", dead_letter.value, dead_letter_headers(dead_letter, raw, 0, 0)))


def row_examples(
    pipeline: Pipeline, files: Mapping[str, SchemaFile], shard: int | None
) -> dict[str, list[Example]]:
    """By topic (``rosters.…``), the rows that all examples together come to."""
    topics: defaultdict[str, list[_Record]] = defaultdict(list)
    for event_type in REGISTRY.values():
        topics[f"events.{event_type.name}"] += _routed(pipeline, event_type, files)
    for stage in stages(shard):  # a stage stands behind those whose outputs it reads
        rows: defaultdict[str, dict[str, Row]] = defaultdict(dict)
        for topic, spec in stage.inputs.items():
            for record in topics[topic]:
                change = spec.read(record)
                key_rows = rows[change.key]
                key_rows[change.row_id] = spec.merge(key_rows.get(change.row_id), change.update)
        for key, key_rows in rows.items():
            for row_id, row in key_rows.items():
                kind, _, identity = row_id.partition("/")
                derived = stage.kinds[kind].records(key, identity, row, key_rows.get(LEAD))
                for topic, name, value in derived:
                    topics[topic].append(_Record(name.encode(), encode_json(value), []))
    return {
        topic: [_example(record) for record in records]
        for topic, records in topics.items()
        if topic.startswith("rosters.")
    }


def _routed(
    pipeline: Pipeline, event_type: EventType, files: Mapping[str, SchemaFile]
) -> Iterable[_Record]:
    for event in files[event_type.name].document["examples"]:
        outcome = pipeline(orjson.dumps(event))
        assert isinstance(outcome, Routed)
        yield _Record(outcome.key, outcome.value, outcome.headers)


def _example(record: _Record) -> Example:
    headers = {name: (content or b"").decode() for name, content in record.headers}
    key = None if record.key is None else record.key.decode()
    return Example(key, headers, orjson.loads(record.value or b"null"))
