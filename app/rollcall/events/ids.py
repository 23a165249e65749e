"""The normal form of Canvas ids: one key for one entity, in all notations of its id.

A global id is ``shard * 10^13 + local id`` (canvas-lms, ``Shard.global_id_for``); a number below
10^13 is local to a shard. Events mix both, as strings and as integers.
"""

from __future__ import annotations

SHARD_SIZE = 10_000_000_000_000
"""Number of ids in one shard. A smaller number is a local id."""

LOCAL_DIGITS = len(str(SHARD_SIZE)) - 1
"""Maximum number of digits of a local id."""

_GREATEST = 2**63 - 1
_EXACT_FLOAT = 2**53
_SHARD_DIGITS = len(str(_GREATEST)) - LOCAL_DIGITS


def whole_number(value: object) -> int | None:
    """The number of an id: a string of digits, an integer, or an exact float (a whole number up to
    2^53). None for any other value.
    """
    if isinstance(value, str):
        if len(value) > 19 or not (value.isascii() and value.isdigit()):
            return None
    elif isinstance(value, float):
        if not value.is_integer() or abs(value) > _EXACT_FLOAT:
            return None
    elif isinstance(value, bool) or not isinstance(value, int):
        return None
    number = int(value)
    return number if 0 < number <= _GREATEST else None


def text_key(value: object) -> bytes | None:
    """A key that is no id, which is text or a whole number. None: it is empty, or another value."""
    if isinstance(value, float):
        value = whole_number(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).encode() or None


def shard_of(value: object) -> int | None:
    """The shard of a global id; None for a local id and for any other value."""
    number = whole_number(value)
    return None if number is None or number < SHARD_SIZE else number // SHARD_SIZE


def normal_id(value: object, shard: int | None) -> str | None:
    """The normal form of an id: the global id in decimal digits if the shard is known, else the
    local id. None if the value is not an id.
    """
    # Fast path for nearly all ids: 14 to 18 digits are a global id below the maximum.
    if (
        type(value) is str
        and 13 < len(value) < 19
        and value.isascii()
        and value.isdigit()
        and value[0] != "0"
    ):
        return value
    number = whole_number(value)
    if number is None:
        return None
    if number < SHARD_SIZE and shard is not None:
        number += shard * SHARD_SIZE
    return str(number)


def parse_id(text: str, shard: int | None) -> str | None:
    """The normal form of an id in a URL of Canvas: global, local to ``shard``, or ``shard~local``.
    None if the text is not an id.
    """
    shard_text, tilde, local_text = text.rpartition("~")
    if not tilde:
        return normal_id(text, shard)
    id_shard, local_id = whole_number(shard_text), whole_number(local_text)
    if (
        id_shard is None
        or local_id is None
        or local_id >= SHARD_SIZE
        or len(shard_text) > _SHARD_DIGITS
        or len(local_text) > LOCAL_DIGITS
    ):
        return None
    return normal_id(id_shard * SHARD_SIZE + local_id, None)
