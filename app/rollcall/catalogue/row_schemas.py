"""JSON Schemas of rows: from the declarations of the relations, and from the schemas of the events
that carry the fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollcall.catalogue.event_schemas import non_null_title
from rollcall.catalogue.headers import ID_PATTERN
from rollcall.events.schemas.files import KNOWN_VALUES, Schema, SchemaFile, reference_registry
from rollcall.events.schemas.flatten import flatten
from rollcall.rosters.fields import Field, Sort
from rollcall.rosters.relation import ACCOUNT_PREFIX, STATE, Relation

NORMAL_ID: Schema = {
    "title": "Id in normal form",
    "description": "A Canvas id as a string: the global id where the shard is known, else as it "
    "stands.",
    "type": "string",
    "pattern": f"^{ID_PATTERN}$",
}

CONTEXT_TYPE: Schema = {"title": "Word", "type": "string", "enum": ["Course", "Account"]}

_AS_OF_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$"


def key_schema(relation: Relation) -> Schema:
    """The key of a relation's records."""
    names = relation.key[1:] if relation.has_context else relation.key
    if relation.has_context:
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
        "pattern": f"^{f'({ACCOUNT_PREFIX})?' if relation.has_context else ''}{pattern}$",
    }


def row_schema(relation: Relation, files: Mapping[str, SchemaFile]) -> Schema:
    """A row. Fields that are null in the event, or not there, are not in the row."""
    references = reference_registry(file.document for file in files.values())
    bodies = [
        flatten(file.document, references.resolver(file.id))
        for file in (files[f"bodies/{name}"] for name in relation.bodies)
    ]
    of_event = bodies[0]["properties"]
    of_state = _state_schemas(relation, bodies)
    fields = {
        field.name: of_state[field.name]
        if field.name in of_state
        else _field_schema(field, of_event.get(field.name))
        for field in relation.fields
    }
    return {
        "title": f"Row of {relation.name}",
        "description": f"{relation.rows[0].upper()}{relation.rows[1:]}. Fields may be added with "
        "any version.",
        "type": "object",
        "required": [field.name for field in relation.fields if field.is_required],
        "properties": fields,
    }


def _field_schema(field: Field, of_event: Schema | None) -> Schema:
    if field.sort is Sort.ID:
        schema = NORMAL_ID
    elif of_event is None:
        schema = CONTEXT_TYPE
    else:
        schema = _not_null(of_event)
    meaning = field.meaning or (of_event or {})["description"]
    return {**schema, "description": meaning}


def _state_schemas(relation: Relation, bodies: Sequence[Schema]) -> dict[str, Schema]:
    """Those of the fields with which a row ends."""
    state, state_reason, as_of, snapshot_at, history = STATE
    states = [
        value
        for body in bodies
        for name in ("workflow_state", "state")
        for value in body["properties"].get(name, {}).get(KNOWN_VALUES, ())
    ]
    explained = "; ".join(f"`{reason}`: {why}" for reason, why in relation.reasons.items())
    return {
        state.name: {
            "title": "Word",
            "type": "string",
            "minLength": 1,
            "description": state.meaning,
            KNOWN_VALUES: list(dict.fromkeys(states)),
        },
        state_reason.name: {
            "title": "Word",
            "type": "string",
            "description": f"{state_reason.meaning} {explained}.",
            "enum": list(relation.reasons),
        },
        **{
            field.name: {
                "title": "Time",
                "type": "string",
                "pattern": _AS_OF_PATTERN,
                "description": field.meaning,
            }
            for field in (as_of, snapshot_at)
        },
        history.name: {
            "title": "History",
            "type": "object",
            "description": history.meaning,
            "required": ["snapshot"],
            "properties": {
                "event": _said("The fields of the latest event's body."),
                "snapshot": _said("`present`, and the fields that the snapshot states."),
            },
        },
    }


def _said(description: str) -> Schema:
    """What an event or a snapshot said."""
    event_time = {"title": "Time", "type": "string", "pattern": _AS_OF_PATTERN}
    return {
        "type": "object",
        "description": description,
        "required": ["event_time"],
        "properties": {"event_time": {**event_time, "description": "Its `event_time`."}},
    }


def _not_null(field: Schema) -> Schema:
    types = field["type"]
    if not isinstance(types, list):
        return field
    left = [name for name in types if name != "null"]
    title = {"title": non_null_title(field["title"])} if "title" in field else {}
    return {**field, **title, "type": left[0] if len(left) == 1 else left}
