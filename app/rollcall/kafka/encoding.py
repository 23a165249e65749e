"""Encoding of records and batches in Kafka's format (record format 2,
https://kafka.apache.org/documentation/#recordbatch).

The encoding of records is compiled where a C compiler is (``_encoding.pyx``), and plain Python
otherwise. aiokafka's takes headers only one by one, as Python objects.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.record.util import calc_crc32c
from backports.zstd import ZstdCompressor

from rollcall.record import EncodedHeaders, encode_varint

_HEADER = struct.Struct(">qiibIhiqqqhii")
_CRC = struct.Struct(">I")
_CRC_AT = 17
_AFTER_LENGTH = 12
_AFTER_CRC = 21
_MAGIC = 2
_NO_LEADER_EPOCH = -1
_TRANSACTIONAL = 0x10
_ZSTD = 0x04

_NO_ATTRIBUTES = b"\0"  # none are defined
_NULL = encode_varint(-1)
_MAX_OVERHEAD = 51
"""More than a record needs beside key, value and headers: its attributes, and five numbers."""

_ZSTD_LEVEL = 1
"""A fifth faster than aiokafka's level 3, and 4 % larger."""

_compressor = ZstdCompressor(level=_ZSTD_LEVEL)
"""One for all batches: creating one for each small batch takes half as long again."""


@dataclass(frozen=True, slots=True)
class ProducerState:
    """Identity of a batch's producer and its sequence number: lets the broker discard
    duplicates.
    """

    producer_id: int
    epoch: int
    base_sequence: int


NO_PRODUCER = ProducerState(-1, -1, -1)


class PythonRecordBatch:
    """Does what :class:`rollcall.kafka._encoding.RecordBatch` does."""

    def __init__(self, timestamp: int) -> None:
        self.count = 0
        self.first_timestamp = self.max_timestamp = timestamp
        self.size = 0
        self._records: list[bytes] = []

    def append(
        self, timestamp: int, key: bytes | None, value: bytes | None, headers: EncodedHeaders
    ) -> None:
        """Add a record."""
        pieces = (
            _NO_ATTRIBUTES,
            encode_varint(timestamp - self.first_timestamp),
            encode_varint(self.count),
            *_with_size(key),
            *_with_size(value),
            headers,
        )
        record = b"".join(pieces)
        record = encode_varint(len(record)) + record
        self._records.append(record)
        self.size += len(record)
        self.count += 1
        self.max_timestamp = max(self.max_timestamp, timestamp)

    @property
    def encoded(self) -> bytes:
        """The records."""
        return b"".join(self._records)


class PythonRecordBatches:
    """Does what :class:`rollcall.kafka._encoding.RecordBatches` does."""

    def __init__(self, max_bytes: int) -> None:
        self.batches: list[PythonRecordBatch] = []
        self._max_bytes = max_bytes

    def append(
        self, timestamp: int | None, key: bytes | None, value: bytes | None, headers: EncodedHeaders
    ) -> None:
        """Add a record to the last batch, or to a new one."""
        if timestamp is None:
            timestamp = int(time.time() * 1000)
        # What is no bytes is refused before there is a batch for it.
        max_size = len(b"".join((key or b"", value or b"", headers))) + _MAX_OVERHEAD
        if not self.batches or (
            self.batches[-1].count and self.batches[-1].size + max_size > self._max_bytes
        ):
            self.batches.append(PythonRecordBatch(timestamp))
        self.batches[-1].append(timestamp, key, value, headers)


def _with_size(content: bytes | None) -> tuple[bytes, bytes]:
    if content is None:
        return _NULL, b""
    return encode_varint(len(content)), content


if TYPE_CHECKING:
    from rollcall.kafka._encoding import RecordBatch as RecordBatch
    from rollcall.kafka._encoding import RecordBatches as RecordBatches
else:
    try:
        from rollcall.kafka._encoding import RecordBatch, RecordBatches
    except ModuleNotFoundError:  # not compiled
        RecordBatch, RecordBatches = PythonRecordBatch, PythonRecordBatches


def seal(
    batch: RecordBatch | PythonRecordBatch, producer: ProducerState, *, transactional: bool
) -> bytearray:
    """A batch as sent to the broker: compressed if that makes it smaller, with header and
    checksum.
    """
    records: bytes | memoryview = batch.encoded
    compressed = _compressor.compress(records, ZstdCompressor.FLUSH_FRAME)
    attributes = _TRANSACTIONAL if transactional else 0
    if len(compressed) < len(records):
        records = compressed
        attributes |= _ZSTD
    sealed = bytearray(_HEADER.size + len(records))
    _HEADER.pack_into(
        sealed,
        0,
        0,  # the offset is the broker's
        len(sealed) - _AFTER_LENGTH,
        _NO_LEADER_EPOCH,
        _MAGIC,
        0,  # the checksum, below
        attributes,
        batch.count - 1,
        batch.first_timestamp,
        batch.max_timestamp,
        producer.producer_id,
        producer.epoch,
        producer.base_sequence,
        batch.count,
    )
    sealed[_HEADER.size :] = records
    _CRC.pack_into(sealed, _CRC_AT, calc_crc32c(memoryview(sealed)[_AFTER_CRC:]))
    return sealed
