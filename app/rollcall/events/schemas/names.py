"""Checks of the names of schema files, and of a user's files beside those of Rollcall."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rollcall.events.schemas.annotations import FAMILY
from rollcall.events.schemas.files import SchemaFile

_NAME = r"[A-Za-z][A-Za-z0-9._-]*"
_match_id = re.compile(
    rf"urn:rollcall:canvas:(?P<name>{_NAME}(?::{_NAME})?):(?P<version>(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){{2}})"
).fullmatch
_EVENT_NAME = re.compile(_NAME)
_MOST_NAME_CHARACTERS = 141
"""Of an event_name. A topic of Kafka has at most 249, of which the longest prefix takes 108."""


class Problem(NamedTuple):
    """A fault in the schema files, with its remedy."""

    file: str
    """Path relative to the folder of the schemas, or of the code."""

    pointer: str
    """JSON pointer into the file; empty: the whole file."""

    fault: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.file}{'#' + self.pointer if self.pointer else ''}: {self.fault}; {self.remedy}"
        )


def version_of(file: SchemaFile) -> list[int] | None:
    """The version in the ``$id``; None: it is not in order."""
    match = _match_id(file.id)
    return [int(part) for part in match["version"].split(".")] if match else None


def clash_problems(
    own: Mapping[str, SchemaFile], added: Mapping[str, SchemaFile]
) -> Iterator[Problem]:
    """Added files with the name of one of Rollcall's files."""
    for name in added.keys() & own.keys():
        yield Problem(
            f"{name}.json",
            "",
            "is the name of a schema file of Rollcall, too",
            "rename the added file, and what it describes",
        )


def name_problems(files: Mapping[str, SchemaFile]) -> Iterator[Problem]:
    """Names and ids that are not usable, or too much alike."""
    yield from _identity_problems(files)
    yield from _event_name_problems({name: file for name, file in files.items() if file.is_event})


def _identity_problems(files: Mapping[str, SchemaFile]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, file in files.items():
        expected = f"urn:rollcall:canvas:{name.replace('/', ':')}:"
        if not (match := _match_id(file.id)) or f"urn:rollcall:canvas:{match['name']}:" != expected:
            yield Problem(
                f"{name}.json",
                "/$id",
                "does not name its file and a version",
                f"write {expected}<major>.<minor>.<patch>",
            )
        if (owner := owners.setdefault(file.id, name)) != name:
            yield Problem(
                f"{name}.json", "/$id", f"is also the $id of {owner}.json", "give each file its own"
            )


def _event_name_problems(events: Mapping[str, SchemaFile]) -> Iterator[Problem]:
    alike: dict[str, str] = {}
    families: defaultdict[str, list[str]] = defaultdict(list)
    for name, file in events.items():
        families[str(file.document.get(FAMILY))].append(name)
        if not _EVENT_NAME.fullmatch(name) or len(name) > _MOST_NAME_CHARACTERS:
            yield Problem(
                f"{name}.json",
                "",
                "has a name that cannot be a part of a topic's name",
                f"use at most {_MOST_NAME_CHARACTERS} letters, digits, '.', '_' and '-'",
            )
        if (other := alike.setdefault(name.replace(".", "_"), name)) != name:
            yield Problem(
                f"{name}.json",
                "",
                f"differs from {other}.json only by '.' and '_', which Kafka's metrics do not tell "
                "apart",
                "remove one",
            )
    for name in events:
        if families.get(name, [name]) != [name]:
            others = ", ".join(sorted(each for each in families[name] if each != name))
            yield Problem(
                f"{name}.json",
                "",
                f"has the name of the family of {others}, so that a selection of event types by "
                "this word would have two meanings",
                "rename the event type or the family",
            )
    if "all" in events or "all" in families:
        names = ["all"] if "all" in events else families["all"]
        yield Problem(
            f"{names[0]}.json", "", "uses the word all, which selects all types", "rename it"
        )
