"""Safe printing of foreign text on terminals."""

from __future__ import annotations

import unicodedata

_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change text direction: a name with one could reverse the whole line."""

_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    """Text on one line without terminal control: such characters become ``\\u001b`` and the like.
    Other characters are kept.
    """
    return "".join(
        f"\\u{ord(character):04x}"
        if character in _DIRECTIONS or unicodedata.category(character) in _UNPRINTABLE
        else character
        for character in text
    )
