"""Stored dead letters and unknown events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from rollcall.events.outcomes import DeadLetter, ErrorCode
from rollcall.events.registry import REGISTRY
from rollcall.process.dead_letter_records import ATTEMPT_HEADER, dead_letter_headers
from rollcall.record import Header
from rollcall.resources import resource_path
from tests.kafka_client import Sent

EXAMPLES: dict[str, dict[str, Any]] = {
    name: orjson.loads(resource_path("schemas", f"{name}.json").read_bytes())["examples"][0]
    for name in REGISTRY
}
"""A valid event of each type."""


class Stored(NamedTuple):
    """Implements :class:`rollcall.dead_letters.view.StoredRecord`."""

    value: bytes | None
    headers: Sequence[Header] = ()
    key: bytes | None = None
    partition: int = 0
    offset: int = 0
    timestamp: int | None = 0
    topic: str = "canvas.dead-letter"


def event(name: str, /, **body: object) -> bytes:
    """The example of an event type, with changed fields in its body."""
    example = EXAMPLES[name]
    return orjson.dumps(example | {"body": example["body"] | body})


def error_headers(
    code: ErrorCode = ErrorCode.SCHEMA_VIOLATION,
    attempt: int = 1,
    headers: Sequence[Header] = (),
    *,
    name: str = "user_created",
    path: str = "/body/name",
) -> list[Header]:
    """Of a dead letter, as the router writes them."""
    schema = f"urn:rollcall:canvas:{name}:1.0.0" if code is ErrorCode.SCHEMA_VIOLATION else ""
    before: list[Header] = [*headers, (ATTEMPT_HEADER, str(attempt - 1).encode())]
    return dead_letter_headers(
        DeadLetter(code, "type: must be text", path, schema, name, b"", before, False),
        "canvas.raw",
        2,
        7,
    )


def dead_letter(
    value: bytes | None,
    code: ErrorCode = ErrorCode.SCHEMA_VIOLATION,
    *,
    key: bytes | None = None,
    partition: int = 0,
    **options: Any,
) -> Sent:
    """A dead letter to send."""
    timestamp_ms = options.pop("timestamp_ms", 0)
    headers = tuple((name, content or b"") for name, content in error_headers(code, **options))
    return Sent(value, key, partition, headers, timestamp_ms)
