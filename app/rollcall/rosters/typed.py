"""Reads typed events: those of the router, and any records that others wrote to a typed topic."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from rollcall.events.ids import normal_id, shard_of
from rollcall.events.times import parse_microseconds
from rollcall.record import Record
from rollcall.streaming.stages.stage import UnusableError

DIGEST_DIGITS = 16
"""Number of digits of ce_id that are kept. They decide only between events with equal event_time,
rank and updated_at.
"""


class TypedEvent(NamedTuple):
    """A decoded typed event."""

    time: int
    """event_time, microseconds since the epoch."""
    rank: int
    """1 for an ``_updated`` event, 0 for a ``_created`` one."""
    digest: str
    """The beginning of ce_id."""
    shard: int | None
    """Shard of its local ids; None: unknown."""
    body: Mapping[str, Any]

    def id(self, name: str) -> str:
        """An id of the body, in normal form.

        Raises:
            UnusableError: the value is no id.
        """
        identity = normal_id(self.body.get(name), self.shard)
        if identity is None:
            raise UnusableError("required: must be an id that is a whole number", f"/body/{name}")
        return identity


Reader = Callable[[Record], TypedEvent]
"""Decodes a record, or raises :class:`UnusableError`."""


def typed_reader(event_name: str, shard: int | None) -> Reader:
    """A function that reads the records of one typed topic.

    Args:
        event_name: event_name of the topic's events.
        shard: shard of local ids in events without a root account; None: unknown.
    """
    rank = 1 if event_name.endswith("_updated") else 0

    @lru_cache(maxsize=1024, typed=True)
    def root_shard(root_account_id: str | float | None) -> int | None:
        return shard_of(root_account_id) or shard

    def read(record: Record) -> TypedEvent:
        value = record.value
        try:
            event = orjson.loads(value or b"")
            metadata = event["metadata"] if "metadata" in event else event["attributes"]
            body, name, event_time, root = (
                event["body"],
                metadata["event_name"],
                metadata["event_time"],
                metadata.get("root_account_id"),
            )
            event_shard = root_shard(root)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise UnusableError(
                "the record is no typed event: JSON with metadata (event_name, event_time) and body"
            ) from None
        if name != event_name:
            raise UnusableError(
                f"const: must be {event_name}, the topic's event", "/metadata/event_name"
            )
        time = parse_microseconds(event_time)
        if time is None:
            raise UnusableError(
                "required: must be a time that exists, as Canvas writes times",
                "/metadata/event_time",
            )
        if type(body) is not dict:
            raise UnusableError("required: must be an object", "/body")
        return TypedEvent(time, rank, _digest(record, metadata, body), event_shard, body)

    return read


def _digest(record: Record, metadata: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    for name, content in record.headers:
        if name == "ce_id" and content and len(content) >= DIGEST_DIGITS and content.isalnum():
            return content[:DIGEST_DIGITS].decode()
    # not written by the router: computed as in schema_recogniser.py and publishing.py of
    # app/rollcall/events/
    try:
        canonical = orjson.dumps({"metadata": metadata, "body": body}, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise UnusableError("nested deeper than 254 levels") from None
    return hashlib.sha256(canonical).hexdigest()[:DIGEST_DIGITS]
