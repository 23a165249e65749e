"""From records to rows of SQL: whatever comes is a row that SQLite gives back as it was stored, or
is told to be none.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.serve.replica.tables import TABLES, Table, UnusableRecordError
from tests.examples import examples

BY_NAME = {table.name: table for table in TABLES}
SHOWN = {"state": "active", "state_reason": "dates", "as_of": "2024-03-29T22:43:00.000Z"}

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = (
    scalars
    | st.lists(scalars, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), scalars, max_size=2)
)


@st.composite
def records(draw: st.DrawFn) -> tuple[Table, bytes, bytes]:
    """A table, a key that may be one of its keys, and a value with its fields, each of whatever
    kind.
    """
    table = draw(st.sampled_from(TABLES))
    part = st.integers(1, 2**63 - 1).map(str) | st.sampled_from(
        ["", "0", "01", "-1", "9" * 19, "9" * 20, "9" * 5_000, "\u0661", "account:1", "a"]
    )
    key = "/".join(draw(st.lists(part, min_size=1, max_size=3)))
    row = (
        draw(st.dictionaries(st.sampled_from([*table.columns, "other"]), values, max_size=8))
        | SHOWN
    )
    return (
        table,
        key.encode(),
        json.dumps(row).encode() if draw(st.integers(0, 9)) else draw(st.binary(max_size=40)),
    )


@given(records())
@settings(max_examples=examples(400), derandomize=True, deadline=None, database=None)
def test_any_record(record: tuple[Table, bytes, bytes]) -> None:
    """It is stored, and found again by its key exactly as it is; or it is no row."""
    table, key, value = record
    try:
        known = table.key_of(key)
        columns = table.columns_of(known, value)
    except UnusableRecordError:
        return
    with sqlite3.connect(":memory:") as database:
        for statement in (*table.ddl(), *table.index_ddl()):
            database.execute(statement)
        database.execute(table.insert, columns)
        assert database.execute(table.select, known).fetchone() == columns
        # a name of ours
        assert database.execute(f"SELECT * FROM {table.name}").fetchone() == columns  # noqa: S608
        assert database.execute(table.delete, known).rowcount == 1


def a_group(**fields: Any) -> bytes:
    """A row of groups."""
    return orjson.dumps(
        {
            "group_id": "7",
            "context_id": "5",
            "context_type": "Course",
            "group_name": "g",
            "workflow_state": "available",
            **SHOWN,
            **fields,
        }
    )


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"5",
        b"5/",
        b"/7",
        b"5/7/1",
        b"05/7",
        b"5/-7",
        b"account:/7",
        b"account:account:1/7",
        "٥/٧".encode(),
        b"5/" + b"9" * 20,
        b"\xff/7",
    ],
)
def test_keys_that_are_none(key: bytes) -> None:
    """Whoever wrote them."""
    with pytest.raises(UnusableRecordError):
        BY_NAME["groups"].key_of(key)


@pytest.mark.parametrize(
    "fields",
    [
        {"group_category_id": "9" * 20},
        {"group_category_id": [1]},
        {"group_category_id": "x"},
        {"group_name": {"a": 1}},
        {"state": None},
    ],
)
def test_values_that_are_none(fields: dict[str, Any]) -> None:
    """Whoever wrote them."""
    groups = BY_NAME["groups"]
    with pytest.raises(UnusableRecordError):
        groups.columns_of(groups.key_of(b"5/7"), a_group(**fields))


def test_a_number_that_sqlite_does_not_have() -> None:
    """Canvas's schemas allow it, so it is kept, as text."""
    groups = BY_NAME["groups"]
    columns = groups.columns_of(groups.key_of(b"account:5/7"), a_group(max_membership=2**63))
    assert dict(zip(groups.columns, columns, strict=True)) | {
        "max_membership": str(2**63),
        "context_type": "Account",
        "context_id": 5,
    } == dict(zip(groups.columns, columns, strict=True))
