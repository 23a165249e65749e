"""A fetched Kafka record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

Header = tuple[str, bytes | None]
Headers = list[Header]

TRACE_HEADERS = frozenset({"traceparent", "tracestate"})
"""Headers of W3C Trace Context: the trace to which a record belongs."""


class Record(Protocol):
    """A fetched record, as aiokafka's decoder yields it, without the wrapper for single-record
    consumers.
    """

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int | None:
        """Milliseconds since the epoch; -1: not set by the producer."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Sequence[Header]: ...
