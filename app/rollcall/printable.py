"""Texts of others, for terminals."""

from __future__ import annotations

import unicodedata

_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of the text around them: of the whole line, if a name could.
"""

_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    """A text on one line, in which nothing can steer a terminal: such characters are written as
    ``\\u001b``. Everything else is left as it is.
    """
    return "".join(
        f"\\u{ord(character):04x}"
        if character in _DIRECTIONS or unicodedata.category(character) in _UNPRINTABLE
        else character
        for character in text
    )
