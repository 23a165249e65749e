"""Times, ids and names in Canvas's formats."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from random import Random

ZONES: tuple[tuple[str | None, int], ...] = (
    ("America/New_York", -5 * 3600),
    ("America/Denver", -7 * 3600),
    ("America/Los_Angeles", -8 * 3600),
    ("Asia/Kolkata", 5 * 3600 + 1800),
    ("Europe/Oslo", 3600),
    ("Etc/UTC", 0),
    (None, 0),
)
"""Time zones of users: the name, and the UTC offset in seconds."""

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"
_GIVEN = (
    "Isaac",
    "Ada",
    "Émilie",
    "Srinivasa",
    "Mary",
    "李",
    "Sofia",
    "Muhammad",
    "Katherine",
    "Björn",
    "Hypatia",
    "Alan",
    "Rosalind",
    "Chien-Shiung",
    "Olga",
)
_FAMILY = (
    "Newton",
    "Lovelace",
    "du Châtelet",
    "Ramanujan",
    "Somerville",
    "小龙",
    "Kovalevskaya",
    "al-Khwārizmī",
    "Johnson",
    "Ångström",
    "Turing",
    "Franklin",
    "O'Neil",
)
_SUBJECTS = (
    "Linear Algebra",
    "Organic Chemistry",
    "History of the Book",
    "Español II",
    "Thermodynamics",
    "Introduction to Logic",
    "Drawing",
    "Macroeconomics",
)


@lru_cache(maxsize=16_384)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def event_time(ms: int) -> str:
    """UTC with milliseconds. A whole second has none, as all times of older versions of Canvas."""
    seconds, rest = divmod(ms, 1000)
    return f"{_second(seconds)}.{rest:03d}Z" if rest else f"{_second(seconds)}Z"


def exact_time(ms: int) -> str:
    """UTC, always with milliseconds."""
    seconds, rest = divmod(ms, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=256)
def _offset(seconds: int, separator: str) -> str:
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02d}{separator}{minutes % 60:02d}"


def zoned_time(ms: int, offset: int) -> str:
    """Seconds with the acting user's offset: ``2024-03-29T15:43:00-07:00``. Offset 0 is ``Z``."""
    seconds = ms // 1000
    return (
        f"{_second(seconds + offset)}{_offset(offset, ':')}" if offset else f"{_second(seconds)}Z"
    )


def rails_time(ms: int, offset: int) -> str:
    """Seconds in Rails' default format: ``2019-10-05 05:38:00 -0800``. Offset 0 is ``UTC``."""
    return (
        f"{_second(ms // 1000 + offset).replace('T', ' ')} "
        f"{_offset(offset, '') if offset else 'UTC'}"
    )


def token(random: Random) -> str:
    """A uuid of Canvas: 40 letters and digits."""
    return "".join(random.choices(_LETTERS, k=40))


def request_id(random: Random) -> str:
    """The id of a web request."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def person(random: Random) -> str:
    """A user's name."""
    return f"{random.choice(_GIVEN)} {random.choice(_FAMILY)}"


def subject(random: Random) -> str:
    """A subject of a course."""
    return random.choice(_SUBJECTS)
