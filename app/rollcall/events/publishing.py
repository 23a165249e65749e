"""Makes the key and the headers of a typed record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from rollcall.events.ids import normal_id, shard_of
from rollcall.events.outcomes import Routed
from rollcall.events.recognised import Recognised
from rollcall.events.schemas.validation import EventValidator
from rollcall.record import EncodedHeaders, Header, encode_header, encode_headers, encode_varint

ERROR_PREFIX = "rollcall.error."
"""Prefix of the headers of a dead letter."""

REASON_HEADER = "rollcall.unknown.reason"
"""Header of an unknown event."""

OUTCOME_PREFIXES = (ERROR_PREFIX, REASON_HEADER)
"""Prefixes of the headers that state an outcome. No record is published with those of an earlier
attempt.
"""

EVENT_ID_DIGITS = 32
"""Hexadecimal digits of ce_id: 128 bits of SHA-256, so that two different events of one institution
never share one.
"""

OWN_HEADERS = frozenset(
    {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_dataschema", "content-type"}
)
"""Headers of every typed record. Their number is part of the encoded headers. Add a constant one in
:func:`_beginning`, before ``ce_id``, and one that differs between events in
:meth:`Publisher.publish`.
"""

_BEFORE_TIME = tuple(
    encode_header("ce_time", b"0" * size)[: -size or None]
    for size in range(64)  # the longest time has 30 characters
)
"""First part of the header ``ce_time``, before the time, by the length of the time."""

_sha256 = hashlib.sha256


class Publisher:
    """Makes typed records from the results of both recognisers.

    Args:
        validators: by event_name.
        shard: of local ids in events without a root account; None: unknown.
    """

    def __init__(self, validators: Mapping[str, EventValidator], shard: int | None) -> None:
        self._beginnings = {name: _beginning(each) for name, each in validators.items()}

        @lru_cache(maxsize=1024)
        def origin(root_account_id: str | int | None) -> tuple[int | None, bytes]:
            its_shard = shard_of(root_account_id) or shard
            root = normal_id(root_account_id, its_shard)
            source = b"canvas" if root is None else b"canvas/" + root.encode()
            return its_shard, encode_header("ce_source", source)

        self._origin = origin

    def publish(
        self, recognised: Recognised, value: bytes, raw: list[Header], redacted: bool
    ) -> Routed:
        """The typed record.

        Args:
            recognised: the content of the event.
            value: the value to publish.
            raw: the raw record's headers, which are kept.
            redacted: whether the raw record had credentials.
        """
        event_type, entity_id = recognised.event_type, recognised.entity_id
        shard, source = self._origin(recognised.root_account_id)
        if type(entity_id) is str and 13 < len(entity_id) < 19:  # global ids are in normal form
            key: bytes | None = entity_id.encode()
        elif entity_id is None or type(entity_id) is bytes:
            key = entity_id
        else:
            key = str(normal_id(entity_id, shard)).encode()
        time = recognised.time
        event_id = _sha256(recognised.canonical).hexdigest()[:EVENT_ID_DIGITS].encode()
        beginning = self._beginnings[event_type.name]
        headers = b"".join((beginning, event_id, _BEFORE_TIME[len(time)], time, source))
        if raw:
            headers = _with_raw(headers, raw)
        typed = Routed.__new__(Routed)
        typed.event_type = event_type
        typed.key = key
        typed.value = value
        typed.encoded_headers = headers
        typed.event_time = recognised.epoch
        typed.unknown_fields = recognised.unknown_fields
        typed.unknown_values = recognised.unknown_values
        typed.redacted = redacted
        typed.raw_headers = raw
        return typed


def _beginning(validator: EventValidator) -> bytes:
    """The encoded headers of a typed record, up to the digits of ``ce_id``."""
    headers: list[Header] = [
        ("ce_specversion", b"1.0"),
        ("ce_type", validator.event_type.name.encode()),
        ("ce_dataschema", validator.schema_id.encode()),
        ("content-type", b"application/json"),
        ("ce_id", b"0" * EVENT_ID_DIGITS),
    ]
    return _with_number(encode_headers(headers), len(OWN_HEADERS))[:-EVENT_ID_DIGITS]


def _with_raw(headers: EncodedHeaders, raw: list[Header]) -> EncodedHeaders:
    """The headers of a typed record, then those of the raw record."""
    kept = [
        encode_header(name, content)
        for name, content in raw
        if name not in OWN_HEADERS and not name.startswith(OUTCOME_PREFIXES)
    ]
    return b"".join((_with_number(headers, len(OWN_HEADERS) + len(kept)), *kept))


def _with_number(headers: EncodedHeaders, number: int) -> EncodedHeaders:
    """Encoded headers, fewer than 64, with another number of headers at their start."""
    return encode_varint(number) + headers[1:]
