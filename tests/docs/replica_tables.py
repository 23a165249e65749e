"""The tables of docs/replica.md, from the declarations of the relations, each as its lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollcall.catalogue.row_schemas import row_schema
from rollcall.events.schemas.files import SchemaFile, read_schema_folder
from rollcall.rosters.fields import Field, Sort
from rollcall.serve.replica.tables import TABLES, Table, sql_type

_TYPES = {Sort.FLAG: "0 or 1", Sort.NUMBER: "a number"}


def view_columns() -> Iterator[str]:
    """A table of the columns for each view."""
    files = read_schema_folder()
    for table in TABLES:
        yield from (f"| column of `{table.name}` | type | |", "|---|---|---|")
        yield from _columns(table, files)
        yield ""


def view_indexes() -> Iterator[str]:
    """The columns by which rows of each view are found quickly."""
    yield from ("| view | by |", "|---|---|")
    for table in TABLES:
        lookups = (table.relation.key, *table.relation.lookups)
        found = "; ".join(", ".join(f"`{name}`" for name in names) for names in lookups)
        yield f"| `{table.name}` | {found} |"


def _columns(table: Table, files: Mapping[str, SchemaFile]) -> Iterator[str]:
    fields = row_schema(table.relation, files)["properties"]
    for field in table.fields:
        meaning = fields[field.name]["description"] if field.name in fields else field.meaning
        kind = _TYPES.get(field.sort) or sql_type(field)
        yield f"| `{field.name}` | {kind} | {_of_key(table, field)}{meaning} |"


def _of_key(table: Table, field: Field) -> str:
    key = table.relation.key
    if field.name not in key:
        return ""
    return "The key. " if key == (field.name,) else "Part of the key. "
