"""Which records are meant: a filter, and the offsets between which it has to look. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rollcall.dead_letters.letter import event_name_of, header_text
from rollcall.errors import ConfigurationError
from rollcall.events.outcomes import ErrorCode
from rollcall.events.pipeline import ERROR_PREFIX
from rollcall.record import Record

CODE_HEADER = f"{ERROR_PREFIX}code"

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_match_ago = re.compile(r"([0-9]{1,9})([smhd])").fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(text: str, now_ms: int) -> int:
    """A moment as a person writes it, in milliseconds since the epoch: ``90s``, ``15m``, ``2h`` or
    ``3d`` ago, or a date or time of ISO 8601.

    A time without an offset is UTC, a date is its first moment.

    Raises:
        ConfigurationError: it is none of these.
    """
    if match := _match_ago(text):
        return max(now_ms - int(match[1]) * _UNITS_MS[match[2]], 0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!a} is no time: write 2h or 3d (ago; also s and m), 2024-03-29, or "
            "2024-03-29T15:43:00Z"
        ) from None
    return max(
        ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH)
        // timedelta(milliseconds=1),
        0,
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """A record is meant when all of this holds for it. Nothing given: all records are."""

    codes: frozenset[ErrorCode] = frozenset()
    """One of these is its code."""
    event_names: frozenset[str] = frozenset()
    """One of these is what it says to be."""
    since_ms: int | None = None
    """Its timestamp is this or a later one."""
    until_ms: int | None = None
    """Its timestamp is an earlier one."""
    partition: int | None = None
    from_offset: int | None = None
    to_offset: int | None = None
    """The first offset behind those that are meant."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ConfigurationError: the message says what to give instead.
        """
        if self.partition is None and (self.from_offset is not None or self.to_offset is not None):
            raise ConfigurationError("an offset is one of a partition: give --partition, too")
        if (
            self.from_offset is not None
            and self.to_offset is not None
            and self.from_offset >= self.to_offset
        ):
            raise ConfigurationError(
                f"there is no offset from {self.from_offset} on and before {self.to_offset}: "
                "--to-offset is the first that is left out"
            )
        if (
            self.since_ms is not None
            and self.until_ms is not None
            and self.since_ms >= self.until_ms
        ):
            raise ConfigurationError("--since must be before --until, or nothing can be found")

    def fits(self, record: Record) -> bool:
        """Whether a record of the chosen partitions and offsets is meant."""
        timestamp = -1 if record.timestamp is None else record.timestamp
        if (self.since_ms is not None and timestamp < self.since_ms) or (
            self.until_ms is not None and timestamp >= self.until_ms
        ):
            return False
        if self.codes and header_text(record.headers, CODE_HEADER) not in self.codes:
            return False
        return not self.event_names or event_name_of(record) in self.event_names

    def bounds(self, beginning: int, end: int) -> tuple[int, int]:
        """From which offset on to look, and before which, in a partition that has those from
        ``beginning`` on and before ``end``.
        """
        first = beginning if self.from_offset is None else max(beginning, self.from_offset)
        return first, end if self.to_offset is None else min(end, self.to_offset)
