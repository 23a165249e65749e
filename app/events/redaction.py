"""Credentials that Canvas leaves in events (``metadata.url`` can hold ``access_token=...``) are replaced before a record goes anywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

REPLACEMENT = b"REDACTED"

# What follows the equals sign, up to whatever ends a parameter: an ampersand, a hash, a semicolon, a quote, a bracket or blank space, each also in the forms
# in which JSON (backslash-u0026) and URLs within URLs (%26) write them.
_VALUE = rb"""(?:[^&"'\\#;<>\s%]|%(?!26|23|22|3B|3b)[0-9A-Fa-f]{0,2}|\\/|\\u(?!00(?:2[0236-7]|3[bBcCeE]|0[0-9a-fA-F]))[0-9A-Fa-f]{4})*"""

_BETWEEN = rb"""(?:\]|%(?:25)*5[Dd])?(?:\[\]|%(?:25)*5[Bb]%(?:25)*5[Dd])?(?:=|%(?:25)*3[Dd]|\\u003[dD])(?:\\"|%(?:25)*22)?"""
# What stands between name and value: the equals sign, in any of its forms, behind the brackets of nested parameters and of lists; and an opening quote.


class Redactor:
    """Replaces the values of parameters, by name, anywhere in bytes. Case counts, as it does for Canvas; a longer name that ends in a listed one is hit too."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(name.encode() for name in names)
        any_name = b"|".join(re.escape(name) for name in sorted(self._names, key=len, reverse=True))
        self._pattern = re.compile(rb"(" + any_name + rb")(" + _BETWEEN + rb")" + _VALUE)

    def __call__(self, data: bytes) -> tuple[bytes, frozenset[bytes]]:
        """The redacted bytes and the names of the parameters that were found; the same object and nothing when there is none."""
        if b"=" not in data and b"%" not in data and b"\\" not in data:  # the quickest way to know that there is no parameter at all
            return data, frozenset()
        for name in self._names:
            if name in data:
                break
        else:
            return data, frozenset()
        found = frozenset(match[1] for match in self._pattern.finditer(data))
        return (self._pattern.sub(rb"\1\2" + REPLACEMENT, data), found) if found else (data, found)
