"""Dead letters as records: headers, size limits, truncation."""

from __future__ import annotations

from collections.abc import Sequence

from rollcall.events.outcomes import DeadLetter, ErrorCode
from rollcall.events.publishing import ERROR_PREFIX, OUTCOME_PREFIXES
from rollcall.record import Header, Record

MAX_KEPT_BYTES = 65_536
"""Maximum of a too large value that is kept on the dead-letter topic: enough to identify it. Less
if the topic accepts little.
"""

_KEPT_HEADER_BYTES = 16_384
"""Maximum total size of the raw record's headers to keep with a too large record, also limited to
an eighth of the topic's limit. Larger headers are dropped.
"""

_KEPT_KEY_BYTES = 1_024

_RECORD_OVERHEAD = 128
"""Upper bound of a record's and its batch's overhead besides key, value and headers (61 + 21 bytes,
and lengths).
"""

_HEADER_OVERHEAD = 10

MAX_COUNTED_PER_HEADER_BYTE = 6
""":func:`record_bytes` counts at most this for each byte of encoded headers."""

MAX_COUNTED_WITH_ID = 256
"""Upper bound of its count for a record with an id as key, besides value and headers."""

ATTEMPT_HEADER = f"{ERROR_PREFIX}attempt"
SIZE_HEADER = f"{ERROR_PREFIX}size"


def record_bytes(key: bytes | None, value: bytes | None, headers: list[Header]) -> int:
    """Upper bound of the size of a batch with only this record, before compression."""
    size = _RECORD_OVERHEAD + len(key or b"") + len(value or b"")
    for name, content in headers:
        size += _HEADER_OVERHEAD + 4 * len(name) + len(content or b"")
    return size


def dead_letter_headers(
    dead_letter: DeadLetter, topic: str, partition: int, offset: int
) -> list[Header]:
    """The raw record's headers and the reason, in place of the headers of an earlier attempt."""
    kept = [header for header in dead_letter.headers if not header[0].startswith(OUTCOME_PREFIXES)]
    return [
        *kept,
        (f"{ERROR_PREFIX}code", dead_letter.code.value.encode()),
        (f"{ERROR_PREFIX}message", dead_letter.message.encode()),
        (f"{ERROR_PREFIX}path", dead_letter.path.encode()),
        (f"{ERROR_PREFIX}schema", dead_letter.schema.encode()),
        (f"{ERROR_PREFIX}topic", topic.encode()),
        (f"{ERROR_PREFIX}partition", str(partition).encode()),
        (f"{ERROR_PREFIX}offset", str(offset).encode()),
        (ATTEMPT_HEADER, str(attempts_of(dead_letter.headers) + 1).encode()),
    ]


def attempts_of(headers: Sequence[Header]) -> int:
    """Number of earlier failures, from a record's headers."""
    for name, content in headers:
        if name == ATTEMPT_HEADER and content and content.isdigit() and len(content) < 10:
            return int(content)
    return 0


def too_large(
    value: bytes | None,
    headers: list[Header],
    event_name: str | None,
    size: int,
    limit: int,
    redacted: bool,
) -> DeadLetter:
    """Dead letter for a record of ``size`` bytes on a topic that accepts ``limit``. Its value is
    truncated; a header has its full length.
    """
    attempt = [header for header in headers if header[0] == ATTEMPT_HEADER]
    kept = (
        headers
        if record_bytes(None, None, headers) <= min(_KEPT_HEADER_BYTES, limit // 8)
        else attempt
    )
    length = min(MAX_KEPT_BYTES, limit // 2)
    message = (
        f"the record has {size} bytes with its headers and the topic takes {limit}; the "
        f"value is cut to {length} bytes at most"
    )
    return DeadLetter(
        ErrorCode.TOO_LARGE, message, "", "", event_name, (value or b"")[:length], kept, redacted
    )


def size_header(value: bytes | None) -> Header:
    """Header with the length of the value before truncation."""
    return (SIZE_HEADER, str(len(value or b"")).encode())


def truncated_key(key: bytes | None) -> bytes | None:
    """Key of a record that is too large."""
    return key if key is None or len(key) <= _KEPT_KEY_BYTES else key[:_KEPT_KEY_BYTES]


def bounded_dead_letter(
    dead_letter: DeadLetter,
    key: bytes | None,
    topic: str,
    partition: int,
    record: Record,
    limit: int,
) -> tuple[DeadLetter, bytes | None, list[Header]]:
    """Dead letter for a record of a partition, with its key and headers, within a topic's ``limit``
    of bytes.
    """
    headers = dead_letter_headers(dead_letter, topic, partition, record.offset)
    size = record_bytes(key, dead_letter.value, headers)
    if size > limit:
        dead_letter = too_large(
            dead_letter.value,
            dead_letter.headers,
            dead_letter.event_name,
            size,
            limit,
            dead_letter.redacted,
        )
        headers = dead_letter_headers(dead_letter, topic, partition, record.offset)
    if dead_letter.code is ErrorCode.TOO_LARGE:
        headers.append(size_header(record.value))
        key = truncated_key(key)
    return dead_letter, key, headers
