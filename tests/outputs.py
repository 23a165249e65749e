"""What handlers write, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rollcall.record import EncodedHeaders, Header, decode_headers


class Output(NamedTuple):
    """A written record."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: int | None = None
    headers: Sequence[Header] = ()


class MemoryOutputs(list[Output]):
    """Implements :class:`rollcall.streaming.chunks.Outputs`."""

    def append(  # type: ignore[override]  # of a list
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int | None,
        headers: EncodedHeaders,
    ) -> None:
        """Add a record."""
        super().append(Output(topic, partition, key, value, timestamp, decode_headers(headers)))
