"""Records as they are written: the headers of dead letters, what becomes of records larger than the
topics take, and the timestamps that topics accept.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollcall.events.outcomes import DeadLetter, ErrorCode
from rollcall.events.pipeline import ERROR_PREFIX
from rollcall.record import Header, Record

KEPT_BYTES = 65_536
"""At most so much of a value that is too large is kept on the dead-letter topic: enough to see what
it is. Less where the topic takes little.
"""

_KEPT_HEADER_BYTES = 16_384
"""The raw record's headers are kept with it if all together are no larger (and no more than an
eighth of what the topic takes); otherwise they are part of what is too large, and left out.
"""

_KEPT_KEY_BYTES = 1_024

_RECORD_OVERHEAD = 128
"""More than a record and its batch need beside key, value and headers (61 + 21 bytes, and lengths).
"""

_HEADER_OVERHEAD = 10

ATTEMPT_HEADER = f"{ERROR_PREFIX}attempt"
SIZE_HEADER = f"{ERROR_PREFIX}size"


def record_bytes(key: bytes | None, value: bytes | None, headers: list[Header]) -> int:
    """An upper bound of the size of a batch that holds only this record, before compression."""
    size = _RECORD_OVERHEAD + len(key or b"") + len(value or b"")
    for name, content in headers:
        size += _HEADER_OVERHEAD + 4 * len(name) + len(content or b"")
    return size


def dead_letter_headers(
    letter: DeadLetter, topic: str, partition: int, offset: int
) -> list[Header]:
    """The raw record's headers and the reason, in place of any that an earlier attempt left."""
    kept = [header for header in letter.headers if not header[0].startswith(ERROR_PREFIX)]
    return [
        *kept,
        (f"{ERROR_PREFIX}code", letter.code.value.encode()),
        (f"{ERROR_PREFIX}message", letter.message.encode()),
        (f"{ERROR_PREFIX}path", letter.path.encode()),
        (f"{ERROR_PREFIX}schema", letter.schema.encode()),
        (f"{ERROR_PREFIX}topic", topic.encode()),
        (f"{ERROR_PREFIX}partition", str(partition).encode()),
        (f"{ERROR_PREFIX}offset", str(offset).encode()),
        (ATTEMPT_HEADER, str(attempts_of(letter.headers) + 1).encode()),
    ]


def attempts_of(headers: Sequence[Header]) -> int:
    """How many times a record has failed, as its headers say."""
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
    """The dead letter for a record of ``size`` bytes where the topic takes ``limit``: its value
    cut, its full length in a header.
    """
    attempt = [header for header in headers if header[0] == ATTEMPT_HEADER]
    kept = (
        headers
        if record_bytes(None, None, headers) <= min(_KEPT_HEADER_BYTES, limit // 8)
        else attempt
    )
    length = min(KEPT_BYTES, limit // 2)
    message = (
        f"the record has {size} bytes with its headers and the topic takes {limit}; the "
        f"value is cut to {length} bytes at most"
    )
    return DeadLetter(
        ErrorCode.TOO_LARGE, message, "", "", event_name, (value or b"")[:length], kept, redacted
    )


def size_header(value: bytes | None) -> Header:
    """How long the value was before it was cut."""
    return (SIZE_HEADER, str(len(value or b"")).encode())


def kept_key(key: bytes | None) -> bytes | None:
    """The key that goes with a record that is too large."""
    return key if key is None or len(key) <= _KEPT_KEY_BYTES else key[:_KEPT_KEY_BYTES]


def final_letter(
    letter: DeadLetter, key: bytes | None, topic: str, partition: int, record: Record, limit: int
) -> tuple[DeadLetter, bytes | None, list[Header]]:
    """The dead letter for a record of a partition, with the key and the headers that it gets: small
    enough for a topic that takes ``limit`` bytes.
    """
    headers = dead_letter_headers(letter, topic, partition, record.offset)
    size = record_bytes(key, letter.value, headers)
    if size > limit:
        letter = too_large(
            letter.value, letter.headers, letter.event_name, size, limit, letter.redacted
        )
        headers = dead_letter_headers(letter, topic, partition, record.offset)
    if letter.code is ErrorCode.TOO_LARGE:
        headers.append(size_header(record.value))
        key = kept_key(key)
    return letter, key, headers
