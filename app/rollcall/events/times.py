"""Parses times in Canvas's formats.

There are three: ``2019-11-01T19:11:01.163Z``, ``2024-03-29T15:43:00-07:00`` (the acting user's
offset) and ``2019-10-05 05:38:00 -0800`` (Rails; with ``UTC`` instead of the offset in UTC).
schemas/common.json accepts the same set of strings as :func:`is_time`; a property test compares the
two.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

_DATE = r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
_CLOCK = r"([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)"
_match_iso = re.compile(rf"{_DATE}T{_CLOCK}(Z|[+-][0-9]{{2}}:[0-5][0-9])").fullmatch
_match_long_year = re.compile(r"([1-9][0-9]{4,5})(-.*)", re.DOTALL).fullmatch
_match_rails = re.compile(rf"{_DATE} {_CLOCK} (UTC|[+-][0-9]{{2}}[0-5][0-9])").fullmatch

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIRST_MICROSECOND = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).days * 86_400_000_000
LAST_MICROSECOND = ((datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH).days + 1) * 86_400_000_000 - 1
"""Range of the years 1 to 9999 in UTC, microseconds since the epoch."""


class Instant(NamedTuple):
    """A point in time."""

    epoch: float
    """Seconds since 1970-01-01T00:00:00Z."""

    rfc3339: str
    """The same in RFC 3339, UTC."""


def is_time(text: object) -> bool:
    """Whether a text is a time that exists. Years may have up to six digits, which no datetime of
    Python has: Canvas stores years that are mistyped, such as 20240.
    """
    if isinstance(text, str) and (match := _match_long_year(text)):
        year, rest = match.groups()
        text = f"{2000 + int(year) % 400}{rest}"  # the same days: leap years repeat
    try:
        return _read(text) is not None
    except ValueError:
        return False


def parse_time(text: object) -> Instant | None:
    """Parse a time. None for another format, and for a time that does not exist, such as February
    30th.
    """
    try:
        moment = _read(text)
        if moment is None:
            return None
        if isinstance(text, str) and text[-1] == "Z":
            return Instant(moment.timestamp(), text)
        return Instant(
            moment.timestamp(), moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
        )
    except (ValueError, OverflowError):
        return None


def parse_microseconds(text: object) -> int | None:
    """Parse a time into exact microseconds since 1970-01-01T00:00:00Z; None as in
    :func:`parse_time`. A float of seconds is exact only for a few centuries.
    """
    try:
        moment = _read(text)
    except (ValueError, OverflowError):
        return None
    if moment is None:
        return None
    since = moment - _EPOCH
    # A time in year 1 or 9999 with an offset can be outside the range of datetime in UTC.
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return microseconds if FIRST_MICROSECOND <= microseconds <= LAST_MICROSECOND else None


def _read(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    if _match_iso(text):
        return datetime.fromisoformat(text)
    if match := _match_rails(text):
        date, clock, offset = match.groups()
        return datetime.fromisoformat(f"{date}T{clock}{'Z' if offset == 'UTC' else offset}")
    return None


def read_valid_time(text: str) -> Instant | None:
    """A faster :func:`parse_time` for a text that a schema has accepted. None if the year is out of
    range in UTC.
    """
    if text[-1] == "Z":
        try:
            # half the time of Instant(), whose ``__new__`` is Python
            return tuple.__new__(Instant, (datetime.fromisoformat(text).timestamp(), text))
        except (ValueError, OverflowError):
            return None
    return _read_offset(text)


@lru_cache(maxsize=4096)
def _read_offset(text: str) -> Instant | None:
    """Parse a time with an offset. Cached: such times have whole seconds, and repeat in a burst."""
    return parse_time(text)
