"""Reading typed events: what the router has found valid, and whatever else somebody may have
written to a typed topic.
"""

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
"""Of ce_id. Only events of equal event_time, rank and updated_at are told apart by it."""


class TypedEvent(NamedTuple):
    """A typed event, read."""

    time: int
    """event_time, microseconds since the epoch."""
    rank: int
    """1 for an ``_updated`` event, 0 for a ``_created`` one."""
    digest: str
    """The beginning of ce_id."""
    shard: int | None
    """Of its local ids; None: unknown."""
    body: Mapping[str, Any]

    def id(self, name: str) -> str:
        """An id of the body, in normal form.

        Raises:
            UnusableError: it is none.
        """
        identity = normal_id(self.body.get(name), self.shard)
        if identity is None:
            raise UnusableError("required: must be an id that is a whole number", f"/body/{name}")
        return identity


Reader = Callable[[Record], TypedEvent]
"""Raises :class:`UnusableError`."""


def typed_reader(event_name: str, shard: int | None) -> Reader:
    """A function that reads the records of one typed topic.

    Args:
        shard: of local ids in events that do not tell their shard; None: unknown.
    """
    rank = 1 if event_name.endswith("_updated") else 0

    @lru_cache(maxsize=1024, typed=True)
    def shard_named(root_account_id: str | float | None) -> int | None:
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
            its_shard = shard_named(root)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise UnusableError(
                "the record is no typed event: JSON with metadata (event_name, event_time) and body"
            ) from None
        if name != event_name:
            raise UnusableError(
                f"const: must be {event_name}, as the topic says", "/metadata/event_name"
            )
        time = parse_microseconds(event_time)
        if time is None:
            raise UnusableError(
                "required: must be a time that exists, as Canvas writes times",
                "/metadata/event_time",
            )
        if type(body) is not dict:
            raise UnusableError("required: must be an object", "/body")
        return TypedEvent(time, rank, _digest(record, metadata, body), its_shard, body)

    return read


def _digest(record: Record, metadata: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    for name, content in record.headers:
        if name == "ce_id" and content and len(content) >= DIGEST_DIGITS and content.isalnum():
            return content[:DIGEST_DIGITS].decode()
    # Not written by the router. See app/rollcall/events/pipeline.py.
    try:
        canonical = orjson.dumps({"metadata": metadata, "body": body}, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise UnusableError("nested deeper than 254 levels") from None
    return hashlib.sha256(canonical).hexdigest()[:DIGEST_DIGITS]
