"""How aiokafka decodes what it has fetched, in two respects its own way.

Records come bare, without an object around each. And the name of a header may be of any bytes:
Kafka means it to be a string, but nothing keeps a producer from writing what it likes. aiokafka's
decoder then raises, at every start again, and one such record would keep its partition, and the
process, from ever getting on. Here the batch is decoded once more, slowly, and what is no UTF-8 in
a name is written as ``\\xff``.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy

from rollcall.record import Record


def skip_record_wrapping(fetched: object) -> None:
    """Let aiokafka yield records as they are decoded: wrapping each into a ConsumerRecord
    (``aiokafka/consumer/fetcher.py:290``) costs as much as that.
    """
    if isinstance(fetched, FetchResult) and fetched.has_more():
        fetched._partition_records._consumer_record = _unwrapped


def record_size(record: Record) -> int:
    """How many bytes a record has: key, value and headers."""
    size = len(record.value or b"") + len(record.key or b"")
    for name, content in record.headers:
        size += len(name) + len(content or b"")
    return size


def _unwrapped(_tp: object, record: Record) -> Record:
    return record


class RetainedRecords:
    """Stands for aiokafka's MemoryRecords in its fetcher, and keeps what was fetched, so that it
    can be decoded again.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        records = MemoryRecords(data)
        self.has_next = records.has_next
        self.next_batch = records.next_batch
        self.size_in_bytes = records.size_in_bytes


def retain_fetched_data() -> None:
    """Let aiokafka's consumers in this process keep what they fetch until it is decoded."""
    fetcher.MemoryRecords = RetainedRecords


def decode_leniently(fetched: FetchResult, position: int) -> None:
    """Have records from a position on decoded leniently, after a UnicodeDecodeError."""
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
    # Batches before the position are passed over by their offsets; what was known of aborted
    # transactions there is still known.
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
