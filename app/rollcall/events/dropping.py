"""Cuts configured fields of ``metadata`` (``client_ip``, ``user_agent``, ...) out of the raw text.

All other bytes stay the same. Only direct members of ``metadata`` are cut, or of ``attributes``,
which is its name in a self-hosted Canvas. Fields with the same name elsewhere stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import orjson

_PARTS = (b"metadata", b"attributes")

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_SCALAR = rb'(?:%b|[^\s,\[\]{}"]++)' % _STRING
_match_key = re.compile(rb"[\s,]*+(" + _STRING + rb")\s*+:\s*+", re.DOTALL).match
_match_scalar = re.compile(_SCALAR, re.DOTALL).match
_match_to_bracket = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+[\[\]{}]", re.DOTALL).match
_match_simple_member = re.compile(
    _STRING + rb"\s*+:\s*+(?P<value>" + _SCALAR + rb")(?:\s*+,\s*+)?+", re.DOTALL
).match
_match_comma = re.compile(rb"\s*+,\s*+").match
_search_hidden = re.compile(rb"\\u00(?:3[0-9]|[46][1-9a-fA-F]|5[0-9aAfF]|7[0-9aA])").search
"""An escape of a letter, a digit or an underscore, which can hide a name. Canvas escapes only other
characters, such as the ampersand.
"""


class MetadataDropper:
    """Cuts members out of an event's metadata.

    Args:
        names: names of letters, digits and underscores.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = {name.encode(): name for name in names}
        self.names = tuple(names)
        self._named = re.compile(b'"(%b)"' % b"|".join(self._names)).finditer

    def places(self, data: bytes, metadata: Mapping[str, Any]) -> tuple[tuple[int, str], ...]:
        """Where these members begin, in order, and the name of each.

        Args:
            data: a JSON object that orjson accepts.
            metadata: its ``metadata``, or else its ``attributes``, parsed by orjson.
        """
        places = self._literal_places(data, metadata)
        if places is None:
            places = dict(_places(data, self._names))
        return tuple((at, self._names[name]) for at, name in places.items())

    def cut(self, data: bytes, places: Iterable[tuple[int, str]]) -> bytes:
        """The text without the members that begin at these places."""
        return _without(data, (at for at, _ in places))

    def without(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Parsed metadata without these members."""
        kept = dict(metadata)
        for name in self._names.values():
            kept.pop(name, None)
        return kept

    def _literal_places(self, data: bytes, metadata: Mapping[str, Any]) -> dict[int, bytes] | None:
        """Names of the members by position, found without parsing; None if that is ambiguous.

        Without escapes, every name is a literal in the text. A literal that occurs once, and that
        is a key of the metadata, is that member.
        """
        if b"\\" in data and _search_hidden(data):
            return None
        places: dict[int, bytes] = {}
        for match in self._named(data):
            name = match[1]
            if self._names[name] not in metadata or name in places.values():
                return None
            places[match.start()] = name
        return places


def _places(data: bytes, names: Collection[bytes]) -> Iterator[tuple[int, bytes]]:
    """Position and name of the members with these names, in order. Searches every ``metadata`` if
    the key is repeated.
    """
    for _, part, value_at in _members(data, data.index(b"{")):
        if part in _PARTS and data[value_at] == ord("{"):
            for at, name, _ in _members(data, value_at):
                if name in names:
                    yield at, name


def _members(data: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    """Each member of the object at a position: its start, its name, and the start of its value."""
    at += 1
    while key := _match_key(data, at):
        text = key[1]
        yield key.start(1), orjson.loads(text).encode() if b"\\" in text else text[1:-1], key.end()
        at = _end_of_value(data, key.end())


def _end_of_value(data: bytes, at: int) -> int:
    if data[at] not in b"[{":
        return _end(_match_scalar(data, at))
    depth = 0
    while True:
        at = _end(_match_to_bracket(data, at))
        depth += 1 if data[at - 1] in b"[{" else -1
        if not depth:
            return at


def _end(match: re.Match[bytes] | None) -> int:
    assert match is not None, "orjson accepted the text"
    return match.end()


def _without(data: bytes, places: Iterable[int]) -> bytes:
    """The text without the members at these positions, in order. Each goes with the comma before
    it, or after it for the first member.
    """
    pieces: list[bytes] = []
    done = 0
    for at in places:
        if member := _match_simple_member(data, at):
            end, next_at = member.end("value"), member.end()
        else:
            end = _end_of_value(data, _end(_match_key(data, at)))
            comma = _match_comma(data, end)
            next_at = end if comma is None else comma.end()
        before = at - 1
        while data[before] in b" \t\r\n":
            before -= 1
        if data[before] == ord("{") or (pieces and done == at):
            pieces.append(data[done:at])
            done = next_at
        else:
            pieces.append(data[done:before])
            done = end
    pieces.append(data[done:])
    return b"".join(pieces)
