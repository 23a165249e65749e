"""The tables of documents that the code writes, each as its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby

from rollcall.catalogue.plans import required_rights
from rollcall.events.registry import EVENT_TYPES
from rollcall.settings import Settings
from tests.docs.replica_tables import view_columns, view_indexes
from tests.docs.settings_table import settings_tables

DEFAULTS = Settings.model_construct()


def table(*head: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def keys() -> Iterator[str]:
    """Which field of the body is the key of a typed record."""
    families = groupby(EVENT_TYPES, lambda event_type: event_type.key)
    rows = (
        (", ".join(f"`{each.name}`" for each in family), f"`{key}`") for key, family in families
    )
    return table("events", "key", rows=rows)


def rights() -> Iterator[str]:
    """The least rights on Kafka, one line for each name."""
    rows = (
        (f"`{who}`", resource, f"`{name}`", pattern, ", ".join(str(acl.operation) for acl in acls))
        for who, needed in required_rights(DEFAULTS).items()
        for (resource, name, pattern), acls in groupby(
            needed.acls,
            lambda acl: (
                acl.resource.value.replace("-", " "),
                acl.name,
                "prefixed" if acl.prefixed else "literal",
            ),
        )
    )
    return table("who", "resource", "name", "pattern", "operations", rows=rows)


TABLES: Mapping[str, Callable[[], Iterator[str]]] = {
    "keys": keys,
    "rights": rights,
    "settings": settings_tables,
    "columns": view_columns,
    "indexes": view_indexes,
}
"""By the name in the marker ``<!-- make docs: NAME -->``, which begins them in a document."""
