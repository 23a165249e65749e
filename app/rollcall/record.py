"""A record of Kafka, as it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

Header = tuple[str, bytes | None]
Headers = list[Header]

TRACE_HEADERS = frozenset({"traceparent", "tracestate"})
"""Headers of W3C Trace Context: the trace to which a record belongs."""


class Record(Protocol):
    """A fetched record, raw. What aiokafka's decoder yields, without the wrapping that it gives to
    single consumers.
    """

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int | None:
        """Milliseconds since the epoch; -1: the producer gave none."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Sequence[Header]: ...
