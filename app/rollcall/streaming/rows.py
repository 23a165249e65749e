"""The rows of one partition of a table, held as they are stored: bytes by key and unit.

A row is stored as JSON: ``[published, row]``, what it has published by output key with a digest of
each, and the row itself; and ``[published, row, 1]`` for a lead row whose change the key's other
rows have not all followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from rollcall.errors import RollcallError

LEAD = ""
"""The unit of a key's lead row."""

_STORED = b"[{"
"""How every stored row begins."""

_PARKED = b"[{},"
"""How a stored row begins that has published nothing: it waits for something that it does not know
yet.
"""

_PENDING = b",1]"
"""How a lead row ends whose change the key's other rows have not all followed."""

_ROW_TYPES = (list, dict, type(None))

FOREIGN = (
    "the changelog holds a record that Rollcall did not write: find out who writes there, "
    "then make the rosters anew (docs/operations.md)"
)


class ChangelogError(RollcallError):
    """A changelog holds what Rollcall did not write."""


def encode_row(published: dict[str, int], row: Any, pending: bool) -> bytes:
    """The stored form."""
    # A copy: what orjson gives holds on to the whole page in which it was written, ten times the
    # memory of most rows.
    return bytes(memoryview(orjson.dumps([published, row, 1] if pending else [published, row])))


def decode_row(stored: bytes) -> tuple[dict[str, int], Any, bool]:
    """What a stored form says: what was published, the row, and whether others have still to follow
    it.

    Raises:
        ChangelogError: it is none.
    """
    try:
        published, row, *rest = orjson.loads(stored)
    except (ValueError, TypeError):
        raise ChangelogError(FOREIGN) from None
    if type(published) is not dict or type(row) not in _ROW_TYPES:
        raise ChangelogError(FOREIGN)
    return published, row, bool(rest)


class Rows:
    """Rows by key and unit, in their stored form."""

    __slots__ = ("_leads", "_parked", "_pending", "_unit_count", "_units")

    def __init__(self) -> None:
        self._leads: dict[str, bytes] = {}
        self._units: dict[str, dict[str, bytes]] = {}
        self._unit_count = 0
        self._parked = 0
        self._pending: set[str] = set()

    def __len__(self) -> int:
        return len(self._leads) + self._unit_count

    @property
    def parked(self) -> int:
        """How many rows have published nothing."""
        return self._parked

    @staticmethod
    def record_key(key: str, unit: str) -> bytes:
        """The key of a row's changelog record."""
        return f"{key}/{unit}".encode() if unit else key.encode()

    def load(self, record_key: bytes | None, value: bytes | None) -> None:
        """Take a changelog record. Later ones of the same key replace earlier ones; None: the row
        is gone.

        Raises:
            ChangelogError: it is none.
        """
        try:
            key, _, unit = (record_key or b"").decode().partition("/")
        except UnicodeDecodeError:
            key = unit = ""
        if not key or not (value is None or value.startswith(_STORED)):
            raise ChangelogError(FOREIGN)
        self.put(key, unit, value)

    def knows(self, key: str) -> bool:
        """Whether there is any row of a key."""
        return key in self._leads or key in self._units

    def has_units(self, key: str) -> bool:
        """Whether a key has rows besides the lead row."""
        return key in self._units

    def units(self, key: str) -> list[str]:
        """The units of a key, as of now, without the lead row."""
        return list(self._units.get(key, ()))

    def pending_keys(self) -> Iterable[str]:
        """The keys whose rows have not all followed their lead row."""
        return sorted(self._pending)

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All rows, by the keys of their changelog records."""
        for key, value in self._leads.items():
            yield self.record_key(key, LEAD), value
        for key, units in self._units.items():
            for unit, value in units.items():
                yield self.record_key(key, unit), value

    def get(self, key: str, unit: str) -> bytes | None:
        """A stored row, or None."""
        if unit == LEAD:
            return self._leads.get(key)
        units = self._units.get(key)
        return None if units is None else units.get(unit)

    def put(self, key: str, unit: str, value: bytes | None) -> None:
        """Set a row, or remove it (None)."""
        if unit == LEAD:
            old = self._leads.pop(key, None) if value is None else self._leads.get(key)
            if value is not None:
                self._leads[key] = value
                if value.endswith(_PENDING):
                    self._pending.add(key)
                else:
                    self._pending.discard(key)
            else:
                self._pending.discard(key)
        else:
            old = self._put_unit(key, unit, value)
        if old is not None and old.startswith(_PARKED):
            self._parked -= 1
        if value is not None and value.startswith(_PARKED):
            self._parked += 1

    def _put_unit(self, key: str, unit: str, value: bytes | None) -> bytes | None:
        units = self._units.get(key)
        if value is None:
            if units is None:
                return None
            old = units.pop(unit, None)
            self._unit_count -= old is not None
            if not units:
                del self._units[key]
            return old
        if units is None:
            units = self._units[key] = {}
        old = units.get(unit)
        self._unit_count += old is None
        units[unit] = value
        return old
