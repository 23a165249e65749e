"""Raw records: an event's own bytes, with a key and headers.

Pure: no Kafka, no clock, no environment. The content is never judged: any bytes become a record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import NamedTuple

import orjson

from rollcall.events.event_type import EventType
from rollcall.events.ids import normal_id, shard_of, text_key
from rollcall.process.event_types import event_types
from rollcall.record import Header
from rollcall.settings import Settings

SOURCE_HEADER = "rollcall.source"
"""Header with the way by which an event came."""

SQS, HTTPS, FILE = "sqs", "https", "file"

FILE_HEADERS: tuple[Header, ...] = ((SOURCE_HEADER, FILE.encode()),)
"""Headers of a record from a file."""

MESSAGE_ID_HEADER = "sqs.message_id"
SENT_HEADER = "sqs.sent"
RECEIVES_HEADER = "sqs.receives"

DIGEST_BYTES = 16
"""Bytes of SHA-256 in the key of a record whose event has none."""

MOST_KEY_BYTES = 256
"""A longer key is replaced with a digest. Keys that are no ids are texts of any length."""


class RawRecord(NamedTuple):
    """A record for the raw topic."""

    key: bytes
    value: bytes
    headers: tuple[Header, ...]


class RawKeys:
    """Keys of raw records: twins get the same key, and so the same partition. So do the local and
    the global form of an entity's id.

    Args:
        types: the known event types, by event_name.
        shard: of local ids in events that do not tell their shard; None: unknown.
        dropped: names of members of the metadata that the router does not publish.
    """

    def __init__(
        self, types: Mapping[str, EventType], *, shard: int | None, dropped: Collection[str] = ()
    ) -> None:
        self._keys = {
            name: key
            for name, event_type in types.items()
            if (key := event_type.published_key(dropped)) is not None
        }
        self._shard = shard

    def key(self, value: bytes) -> bytes:
        """The key that the router will give the event, if it can be seen; else a digest."""
        key = self._event_key(value)
        if key is None or len(key) > MOST_KEY_BYTES:
            return hashlib.sha256(value).digest()[:DIGEST_BYTES].hex().encode()
        return key

    def _event_key(self, value: bytes) -> bytes | None:
        try:
            event = orjson.loads(value)
            metadata = event["metadata"] if "metadata" in event else event["attributes"]
            key = self._keys[metadata["event_name"]]
            found = key.value(metadata, event["body"])
            root = metadata.get("root_account_id")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return None
        if not key.is_id:
            return text_key(found)
        identity = normal_id(found, shard_of(root) or self._shard)
        return None if identity is None else identity.encode()


def raw_keys(settings: Settings) -> RawKeys:
    """The keys of an installation.

    Raises:
        ConfigurationError: as in :func:`rollcall.process.event_types.event_types`.
    """
    return RawKeys(
        event_types(settings).known, shard=settings.shard, dropped=settings.drop_metadata
    )


def sqs_headers(message_id: str, sent_ms: int | None, receives: int | None) -> tuple[Header, ...]:
    """Headers of a record from SQS.

    Args:
        sent_ms: when the queue took the message; None: the queue does not tell.
        receives: how often the message was received so far.
    """
    headers: list[Header] = [
        (SOURCE_HEADER, SQS.encode()),
        (MESSAGE_ID_HEADER, message_id.encode()),
    ]
    if sent_ms is not None:
        headers.append((SENT_HEADER, str(sent_ms).encode()))
    if receives is not None:
        headers.append((RECEIVES_HEADER, str(receives).encode()))
    return tuple(headers)
