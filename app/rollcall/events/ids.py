"""The normal form of Canvas ids: one key for one entity, however its id is written.

A global id is ``shard * 10^13 + local id`` (canvas-lms, ``Shard.global_id_for``); a number below
10^13 is local to a shard. Events mix both, as strings and as integers.
"""

from __future__ import annotations

SHARD_SIZE = 10_000_000_000_000
"""Ids of one shard; a smaller number is a local id."""

LOCAL_DIGITS = len(str(SHARD_SIZE)) - 1
"""Most digits of a local id."""

_GREATEST = 2**63 - 1
_EXACT_FLOAT = 2**53
_SHARD_DIGITS = len(str(_GREATEST)) - LOCAL_DIGITS


def whole_number(value: object) -> int | None:
    """The number that an id stands for: of a string of digits, an integer, or a float that is exact
    (a whole number up to 2^53). None for anything else.
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


def shard_of(value: object) -> int | None:
    """The shard of a global id; None when the id is local or no id."""
    number = whole_number(value)
    return None if number is None or number < SHARD_SIZE else number // SHARD_SIZE


def normal_id(value: object, shard: int | None) -> str | None:
    """The normal form of an id: the global id in decimal digits when the shard is known, else the
    id as it stands. None when it is no id.
    """
    # The way of nearly all ids: 14 to 18 digits are a global id, and below the greatest.
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
    """The normal form of an id as Canvas takes it in URLs: global, local to ``shard``, or
    ``shard~local``. None when it is no id.
    """
    before, tilde, written = text.rpartition("~")
    if not tilde:
        return normal_id(text, shard)
    its_shard, local = whole_number(before), whole_number(written)
    if (
        its_shard is None
        or local is None
        or local >= SHARD_SIZE
        or len(before) > _SHARD_DIGITS
        or len(written) > LOCAL_DIGITS
    ):
        return None
    return normal_id(its_shard * SHARD_SIZE + local, None)
