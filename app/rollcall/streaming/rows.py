"""Rows of one partition of a table, in stored form: bytes by key and row id.

The stored form is JSON: ``[published, row]``, where ``published`` maps each published output key to
a digest of its value. A lead row whose cascade is unfinished is ``[published, row, 1]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
import orjson

from rollcall.errors import RollcallError

LEAD = ""
"""Row id of a key's lead row."""

_STORED = b"[{"
"""Prefix of every stored row."""

_PARKED = b"[{},"
"""Prefix of a stored row that has published nothing: it waits for another row."""

_PENDING = b",1]"
"""Suffix of a stored lead row whose cascade is unfinished."""

FOREIGN = (
    "the changelog holds a record that Rollcall did not write: find out who writes there, "
    "then rebuild the rosters (docs/operations.md)"
)


class ChangelogError(RollcallError):
    """A changelog holds a record that Rollcall did not write."""


RowT = TypeVar("RowT")


class StoredRow(msgspec.Struct, Generic[RowT], array_like=True, gc=False):
    """A stored row, decoded."""

    published: dict[str, int]
    """Digest of each published value, by output key."""
    row: RowT | None
    pending: int = 0
    """1: a lead row whose cascade is unfinished."""


RowDecoder: TypeAlias = Callable[[bytes], StoredRow[RowT]]


def row_decoder(row: Any) -> RowDecoder[Any]:
    """Make a function that decodes stored rows of a type. It raises :class:`ChangelogError` for
    other bytes.
    """
    decode_json = msgspec.json.Decoder(StoredRow[row]).decode

    def decode(stored: bytes) -> StoredRow[Any]:
        try:
            return decode_json(stored)
        except ValueError:
            raise ChangelogError(FOREIGN) from None

    return decode


def encode_row(published: dict[str, int], row: Any, pending: bool) -> bytes:
    """Encode a row in its stored form."""
    # A copy, because orjson's result keeps its whole buffer page alive: ten times the size of most
    # rows.
    return bytes(memoryview(encode_json([published, row, 1] if pending else [published, row])))


def encode_json(value: Any) -> bytes:
    """Encode a value as JSON, with Structs as arrays.

    Always by orjson: msgspec writes large floats in other bytes, and the digests of published
    values are those of the bytes. A whole number beyond 64 bits, which only others write, becomes a
    float: so orjson reads it in events.
    """
    try:
        return orjson.dumps(value, default=msgspec.structs.astuple)
    except orjson.JSONEncodeError:
        return orjson.dumps(orjson.loads(msgspec.json.encode(value)))


class Rows:
    """Rows by key and row id, in stored form."""

    __slots__ = ("_leads", "_other_count", "_others", "_parked", "_pending")

    def __init__(self) -> None:
        self._leads: dict[str, bytes] = {}
        self._others: dict[str, dict[str, bytes]] = {}
        self._other_count = 0
        self._parked = 0
        self._pending: set[str] = set()

    def __len__(self) -> int:
        return len(self._leads) + self._other_count

    @property
    def parked(self) -> int:
        """Number of rows that have published nothing."""
        return self._parked

    @staticmethod
    def record_key(key: str, row_id: str) -> bytes:
        """Key of a row's changelog record."""
        return f"{key}/{row_id}".encode() if row_id else key.encode()

    def load(self, record_key: bytes | None, value: bytes | None) -> None:
        """Apply a changelog record. Later records of a key replace earlier ones; value None removes
        the row.

        Raises:
            ChangelogError: it is no stored row.
        """
        try:
            key, _, row_id = (record_key or b"").decode().partition("/")
        except UnicodeDecodeError:
            key = row_id = ""
        if not key or not (value is None or value.startswith(_STORED)):
            raise ChangelogError(FOREIGN)
        self.put(key, row_id, value)

    def has_key(self, key: str) -> bool:
        """Whether the key has any row."""
        return key in self._leads or key in self._others

    def has_other_rows(self, key: str) -> bool:
        """Whether the key has rows besides the lead row."""
        return key in self._others

    def row_ids(self, key: str) -> list[str]:
        """Row ids of a key, without the lead row. A copy."""
        return list(self._others.get(key, ()))

    def pending_keys(self) -> Iterable[str]:
        """Keys whose cascade is unfinished."""
        return sorted(self._pending)

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All rows, by the keys of their changelog records."""
        for key, value in self._leads.items():
            yield self.record_key(key, LEAD), value
        for key, others in self._others.items():
            for row_id, value in others.items():
                yield self.record_key(key, row_id), value

    def get(self, key: str, row_id: str) -> bytes | None:
        """A stored row, or None."""
        if row_id == LEAD:
            return self._leads.get(key)
        others = self._others.get(key)
        return None if others is None else others.get(row_id)

    def put(self, key: str, row_id: str, value: bytes | None) -> None:
        """Set a row, or remove it (None)."""
        if row_id == LEAD:
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
            old = self._put_other(key, row_id, value)
        if old is not None and old.startswith(_PARKED):
            self._parked -= 1
        if value is not None and value.startswith(_PARKED):
            self._parked += 1

    def _put_other(self, key: str, row_id: str, value: bytes | None) -> bytes | None:
        others = self._others.get(key)
        if value is None:
            if others is None:
                return None
            old = others.pop(row_id, None)
            self._other_count -= old is not None
            if not others:
                del self._others[key]
            return old
        if others is None:
            others = self._others[key] = {}
        old = others.get(row_id)
        self._other_count += old is None
        others[row_id] = value
        return old
