"""What a row of a roster is, as JSON Schema: from the family of its fields, and from the schema of
the events that carry them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollcall.catalogue.event_schemas import non_null_title
from rollcall.catalogue.headers import ID_PATTERN
from rollcall.events.schemas.files import KNOWN_VALUES, Schema, SchemaFile, reference_registry
from rollcall.events.schemas.flatten import flatten
from rollcall.rosters.group import ACCOUNT_PREFIX
from rollcall.serve.replica.relations import Relation

NORMAL_ID: Schema = {
    "title": "Id in normal form",
    "description": "A Canvas id as a string: the global id where the shard is known, else as it "
    "stands.",
    "type": "string",
    "pattern": f"^{ID_PATTERN}$",
}

_AS_OF_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$"

_NOW: Mapping[str, str] = {
    "course_id": "The course to which it belongs now.",
    "context_type": "What the group belongs to: `Course` or `Account`.",
    "context_id": "The course or account to which the group belongs.",
}
"""What fields mean that the stages set, where a row is of something else than these."""

_REASONS: Mapping[str, str] = {
    "course": "the course's own workflow_state",
    "section": "the section's own workflow_state",
    "enrollment": "the enrollment's own workflow_state",
    "group": "the group's own workflow_state",
    "membership": "the membership's own workflow_state",
    "user": "the user's own workflow_state",
    "dates": "what the enrollment comes to by the dates of course, section and term",
    "section_deleted": "the section is deleted",
    "course_deleted": "the course is deleted",
    "course_completed": "the course is concluded",
    "group_deleted": "the group is deleted",
}
"""Values of state_reason, and what they mean."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the rows of a relation come from."""

    bodies: tuple[str, ...]
    """The bodies of the events: the first one's fields are those of the row, and the states of all
    of them can become the row's.
    """
    holds: str
    reasons: tuple[str, ...]


_ROWS: Mapping[str, _Rows] = {
    "courses": _Rows(("course",), "one row for each course of which an event came", ("course",)),
    "sections": _Rows(
        ("course_section",),
        "one row for each section, in the course to which it belongs now",
        ("section",),
    ),
    "enrollments": _Rows(
        ("enrollment", "enrollment_state"),
        "one row for each enrollment, in the course to which its section belongs now",
        ("enrollment", "dates", "section_deleted", "course_deleted", "course_completed"),
    ),
    "groups": _Rows(
        ("group",),
        "one row for each group, of a course or of an account",
        ("group", "course_deleted"),
    ),
    "memberships": _Rows(
        ("group_membership",),
        "one row for each membership, in the course or account of its group",
        ("membership", "group_deleted", "course_deleted"),
    ),
    "users": _Rows(("user",), "one row for each user, whatever courses the user is in", ("user",)),
}


def rows_summary(relation: Relation) -> str:
    """One line."""
    return _ROWS[relation.name].holds


def key_schema(relation: Relation) -> Schema:
    """The key of a relation's records."""
    names = relation.key[1:] if relation.context else relation.key
    if relation.context:
        forms = [
            f"{prefix}<{name}>/<{names[1]}>"
            for prefix, name in (("", "course_id"), (ACCOUNT_PREFIX, "account_id"))
        ]
    else:
        forms = ["/".join(f"<{name}>" for name in names)]
    pattern = "/".join([ID_PATTERN] * len(names))
    written = ", or ".join(f"`{form}`" for form in forms)
    return {
        "type": "string",
        "description": written,
        "pattern": f"^{f'({ACCOUNT_PREFIX})?' if relation.context else ''}{pattern}$",
    }


def row_schema(relation: Relation, files: Mapping[str, SchemaFile]) -> Schema:
    """A row. Fields that are null in the event, or not there, are not in the row."""
    rows, family = _ROWS[relation.name], relation.family
    references = reference_registry(file.document for file in files.values())
    bodies = [
        flatten(file.document, references.resolver(file.id))
        for file in (files[f"bodies/{name}"] for name in rows.bodies)
    ]
    said = bodies[0]["properties"]
    fields = {
        name: _normal_id(said[name]) if name in family.ids else _not_null(said[name])
        for name in family.names
    }
    if relation.context and "context_id" not in fields:
        fields["context_type"] = {"title": "Word", "type": "string", "enum": ["Course", "Account"]}
        fields["context_id"] = NORMAL_ID
    for name in fields.keys() & _NOW.keys() - {relation.key[-1]}:
        fields[name] = {**fields[name], "description": _NOW[name]}
    states = [
        value
        for body in bodies
        for name in ("workflow_state", "state")
        for value in body["properties"].get(name, {}).get(KNOWN_VALUES, ())
    ]
    shown: Schema = {
        "state": {
            "title": "Word",
            "type": "string",
            "minLength": 1,
            "description": "The state as it is now: what to go by.",
            KNOWN_VALUES: list(dict.fromkeys(states)),
        },
        "state_reason": {
            "title": "Word",
            "type": "string",
            "description": f"Where the state comes from. {_explained(rows.reasons)}",
            "enum": list(rows.reasons),
        },
        "as_of": {
            "title": "Time",
            "type": "string",
            "pattern": _AS_OF_PATTERN,
            "description": "`event_time` of the latest of the events that gave the row its "
            "values: UTC, milliseconds.",
        },
    }
    needed = [
        name for name in fields if name in family.words or name in ("context_type", "context_id")
    ]
    return {
        "title": f"Row of {relation.name}",
        "description": f"{rows.holds[0].upper()}{rows.holds[1:]}. Fields may be added with any "
        "version.",
        "type": "object",
        "required": [*needed, *shown],
        "properties": {**fields, **shown},
    }


def _normal_id(field: Schema) -> Schema:
    return {**NORMAL_ID, "description": field["description"]}


def _not_null(field: Schema) -> Schema:
    types = field["type"]
    if not isinstance(types, list):
        return field
    left = [name for name in types if name != "null"]
    title = {"title": non_null_title(field["title"])} if "title" in field else {}
    return {**field, **title, "type": left[0] if len(left) == 1 else left}


def _explained(reasons: tuple[str, ...]) -> str:
    return "; ".join(f"`{reason}`: {_REASONS[reason]}" for reason in reasons) + "."
