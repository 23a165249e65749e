"""Writes typed records: checks their size, chooses partition and timestamp, counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rollcall.events.outcomes import DeadLetter, Routed
from rollcall.process.dead_letter_records import (
    MAX_COUNTED_PER_HEADER_BYTE,
    MAX_COUNTED_WITH_ID,
    record_bytes,
    too_large,
)
from rollcall.streaming.chunks import Outputs

if TYPE_CHECKING:
    from rollcall.router.handler import RouterResult


class TypedOutputs:
    """Writes typed records, and counts them.

    Args:
        outputs: receives the records.
        result: receives the counts.
        topics: by event_name.
        partition_of: from key to partition of these topics.
        keyless_partition: the partition of records without a key.
        max_record_bytes: maximum record size that these topics accept.
        accepted: earliest and latest timestamp (ms) that they accept. A record with another one
            gets the time of writing.
    """

    def __init__(
        self,
        *,
        outputs: Outputs,
        result: RouterResult,
        topics: dict[str, str],
        partition_of: Callable[[bytes], int],
        keyless_partition: int,
        max_record_bytes: int,
        accepted: tuple[int, int],
    ) -> None:
        self._append = outputs.append
        self._result = result
        self._routed, self._event_times = result.routed, result.event_times
        self._topics = topics
        self._partition_of = partition_of
        self._keyless_partition = keyless_partition
        self._limit = max_record_bytes
        self._surely_below = max_record_bytes - MAX_COUNTED_WITH_ID
        self._earliest, self._latest = accepted

    def publish(self, typed: Routed, timestamp: int | None) -> DeadLetter | None:
        """Write a record with the raw record's timestamp. A dead letter: it is too large."""
        name, key, value = typed.event_type.name, typed.key, typed.value
        headers = typed.encoded_headers
        key_size = 0 if key is None else len(key)  # any text, unlike an id
        if len(value) + key_size + MAX_COUNTED_PER_HEADER_BYTE * len(headers) > self._surely_below:
            size = record_bytes(key, value, typed.headers)
            if size > self._limit:
                return too_large(value, typed.raw_headers, name, size, self._limit, typed.redacted)
        if timestamp is not None and not self._earliest <= timestamp <= self._latest:
            timestamp = None
        partition = self._keyless_partition if key is None else self._partition_of(key)
        self._append(self._topics[name], partition, key, value, timestamp, headers)
        self._routed.append(name)
        self._event_times.append(typed.event_time)
        if typed.unknown_fields:
            self._result.unknown_fields[name] += typed.unknown_fields
        if typed.unknown_values:
            self._result.unknown_values[name] += typed.unknown_values
        if typed.redacted:
            self._result.redacted += 1
        return None
