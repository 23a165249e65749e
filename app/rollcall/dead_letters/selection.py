"""The filter of ``rollcall dead-letters``, and the offsets that it covers. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rollcall.dead_letters.view import event_name_of, header_text
from rollcall.errors import ConfigurationError
from rollcall.events.outcomes import ErrorCode
from rollcall.events.publishing import ERROR_PREFIX
from rollcall.record import Record

CODE_HEADER = f"{ERROR_PREFIX}code"

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_match_ago = re.compile(r"([0-9]{1,9})([smhd])").fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(text: str, now_ms: int) -> int:
    """Milliseconds since the epoch of an age (``90s``, ``15m``, ``2h``, ``3d``), or of a date or
    time of ISO 8601.

    A time without a UTC offset is UTC. A date is its first moment.

    Raises:
        ConfigurationError: the text has another form.
    """
    if match := _match_ago(text):
        return max(now_ms - int(match[1]) * _UNITS_MS[match[2]], 0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!a} is not a time: write an age such as 2h or 3d (also s and m), 2024-03-29, or "
            "2024-03-29T15:43:00Z"
        ) from None
    return max(
        ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH)
        // timedelta(milliseconds=1),
        0,
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions that a record must all meet. The default selects all records."""

    codes: frozenset[ErrorCode] = frozenset()
    """Accepted error codes; empty: all."""
    event_names: frozenset[str] = frozenset()
    """Accepted event_names; empty: all."""
    since_ms: int | None = None
    """Earliest timestamp."""
    until_ms: int | None = None
    """First timestamp after the range."""
    partition: int | None = None
    from_offset: int | None = None
    """First offset."""
    to_offset: int | None = None
    """First offset after the range."""

    def __post_init__(self) -> None:
        """Check that the conditions go together.

        Raises:
            ConfigurationError: they do not.
        """
        if self.partition is None and (self.from_offset is not None or self.to_offset is not None):
            raise ConfigurationError("an offset belongs to a partition: add --partition")
        if (
            self.from_offset is not None
            and self.to_offset is not None
            and self.from_offset >= self.to_offset
        ):
            raise ConfigurationError(
                f"no offset is from {self.from_offset} on and before {self.to_offset}: "
                "--to-offset is the first offset after the range"
            )
        if (
            self.since_ms is not None
            and self.until_ms is not None
            and self.since_ms >= self.until_ms
        ):
            raise ConfigurationError("--since must be before --until")

    def matches(self, record: Record) -> bool:
        """Whether a record matches by code, event_name and timestamp. :meth:`bounds` selects the
        offsets.
        """
        timestamp = -1 if record.timestamp is None else record.timestamp
        if (self.since_ms is not None and timestamp < self.since_ms) or (
            self.until_ms is not None and timestamp >= self.until_ms
        ):
            return False
        if self.codes and header_text(record.headers, CODE_HEADER) not in self.codes:
            return False
        return not self.event_names or event_name_of(record) in self.event_names

    def bounds(self, beginning: int, end: int) -> tuple[int, int]:
        """The first and end offset to read in a partition that has ``beginning`` to ``end``."""
        first = beginning if self.from_offset is None else max(beginning, self.from_offset)
        return first, end if self.to_offset is None else min(end, self.to_offset)
