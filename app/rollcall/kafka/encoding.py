"""Encoding of records and batches in Kafka's format (record format 2,
https://kafka.apache.org/documentation/#recordbatch).

``_encoding.pyx`` encodes records if it is compiled. Otherwise aiokafka does, which takes nearly
twice as long: it makes Python objects of header names and of each record's metadata.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from backports.zstd import ZstdCompressor

from rollcall.record import Headers

_HEADER = struct.Struct(">qiibIhiqqqhii")
_CRC = struct.Struct(">I")
_CRC_AT = 17
_AFTER_LENGTH = 12
_AFTER_CRC = 21
_MAGIC = 2
_NO_LEADER_EPOCH = -1
_TRANSACTIONAL = 0x10
_ZSTD = 0x04

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
    """Does the same as :class:`rollcall.kafka._encoding.RecordBatch`, with aiokafka's builder."""

    def __init__(self, max_bytes: int) -> None:
        self.count = 0
        self.first_timestamp = self.max_timestamp = 0
        self._builder = DefaultRecordBatchBuilder(
            _MAGIC, DefaultRecordBatch.CODEC_NONE, False, -1, -1, -1, max_bytes
        )

    def append(
        self, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Headers
    ) -> bool:
        """Add a record; False: no room."""
        added = self._builder.append(self.count, timestamp, key, value, headers)
        if added is None:
            return False
        if not self.count:
            self.first_timestamp = self.max_timestamp = added.timestamp
        self.max_timestamp = max(self.max_timestamp, added.timestamp)
        self.count += 1
        return True

    @property
    def encoded(self) -> bytes:
        """The records."""
        return bytes(self._builder.build()[_HEADER.size :])


class PythonRecordBatches:
    """Does the same as :class:`rollcall.kafka._encoding.RecordBatches`, with aiokafka's builder."""

    def __init__(self, max_bytes: int) -> None:
        self.batches: list[PythonRecordBatch] = []
        self._max_bytes = max_bytes

    def append(
        self, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Add a record to the last batch, or to a new one."""
        if self.batches and self.batches[-1].append(timestamp, key, value, headers):
            return
        self.batches.append(PythonRecordBatch(self._max_bytes))
        if not self.batches[-1].append(timestamp, key, value, headers):
            raise RuntimeError("a record does not fit into an empty batch")


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
