"""Decoding of fetched records, with two changes to aiokafka's consumer.

Records are not wrapped into objects of their own. And a header name may hold any bytes: Kafka
defines it as a string, but producers can write invalid UTF-8. aiokafka's decoder then raises, again
after each restart, so one such record would block its partition and the process for ever. Here the
batch is decoded a second time, slowly, and invalid bytes of a name become ``\\xff``.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy

from rollcall.record import Record


def skip_record_wrapping(fetched: object) -> None:
    """Make aiokafka yield records as they are decoded. Wrapping each into a ConsumerRecord
    (``aiokafka/consumer/fetcher.py:290``) costs as much as decoding it.
    """
    if isinstance(fetched, FetchResult) and fetched.has_more():
        fetched._partition_records._consumer_record = _unwrapped


def record_size(record: Record) -> int:
    """Size of a record in bytes: key, value and headers."""
    size = len(record.value or b"") + len(record.key or b"")
    for name, content in record.headers:
        size += len(name) + len(content or b"")
    return size


def _unwrapped(_tp: object, record: Record) -> Record:
    return record


class RetainedRecords:
    """Keeps the fetched bytes, so that they can be decoded again."""

    # Replaces aiokafka/consumer/fetcher.py:833 (MemoryRecords), in rollcall.kafka.patches.

    def __init__(self, data: bytes) -> None:
        self.data = data
        records = MemoryRecords(data)
        self.has_next = records.has_next
        self.next_batch = records.next_batch
        self.size_in_bytes = records.size_in_bytes


def decode_leniently(fetched: FetchResult, position: int) -> None:
    """Decode records again from a position on, leniently, after a UnicodeDecodeError."""
    failed = fetched._partition_records
    lenient = PartitionRecords(
        failed._tp,
        _LenientRecords(failed._records.data),
        aborted_transactions=failed._aborted_transactions,
        fetch_offset=position,
        key_deserializer=None,
        value_deserializer=None,
        check_crcs=failed._check_crcs,
        isolation_level=failed._isolation_level,
    )
    # Batches before the position are skipped by their offsets; keep what their markers said about
    # aborted transactions.
    lenient._aborted_producers = set(failed._aborted_producers)
    fetched._partition_records = lenient


class _LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]  # it is final for type checkers only
    def next_batch(self, *_unused: Any) -> _DefaultRecordBatchPy:
        data = self._next_slice
        self._cache_next()
        return _LenientBatch(data)


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # likewise
    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _LenientBuffer(self._buffer)  # type: ignore[has-type]


class _LenientBuffer(bytearray):
    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        return (
            _LenientBytes(super().__getitem__(key))
            if isinstance(key, slice)
            else super().__getitem__(key)
        )


class _LenientBytes(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
