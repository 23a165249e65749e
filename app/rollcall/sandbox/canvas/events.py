"""Builds valid events with slots from the documented events. traffic.py sends them as they are,
invalid.py makes invalid events of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.files import own_schema_files
from rollcall.sandbox.canvas.families import BODIES, METADATA, body_name
from rollcall.sandbox.canvas.fields import Field, FieldKind
from rollcall.sandbox.canvas.pools import Pools
from rollcall.sandbox.canvas.templates import Slot, event_time

Json = dict[str, Any]

CONSOLE_SHARE = 0.05
JOB_SHARE = 0.25
ATTRIBUTES_SHARE = 0.05
CREDENTIAL_SHARE = 0.1
UNKNOWN_FIELDS_SHARE = 0.15
CLAIMS_SHARE = 0.05

_VARIED = frozenset({"context_id", "request_id", "user_id"})
"""Metadata that differs between records. Other metadata differs only between templates."""

_UNKNOWN_FIELDS: tuple[tuple[str, Any], ...] = (
    ("pronouns", "they/them"),
    ("sis_import_id", "4811"),
    ("sis_import_id", None),
    ("weights", [0.5, 1, -2]),
    ("extra", {"nested": {"deep": [True, None, "ü"]}}),
    ("temporary_enrollment", False),
)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that callers may change: no two drafts share data."""

    event_name: str
    event: Json
    metadata_name: str
    """``metadata``, or ``attributes`` as in events of a self-hosted Canvas."""
    fields: Mapping[str, Field]
    """Fields of the body. Empty for a body that is not in
    app/rollcall/sandbox/canvas/families.py.
    """
    entity: Slot | None
    """The value that becomes the key on the typed topic."""

    @property
    def metadata(self) -> Json:
        """The event's metadata, under either name."""
        metadata: Json = self.event[self.metadata_name]
        return metadata

    @property
    def body(self) -> Json:
        """The event's body."""
        body: Json = self.event["body"]
        return body


def documented_events() -> dict[str, list[Json]]:
    """Documented events of Canvas, by event_name: the examples in the schemas."""
    files = own_schema_files()
    return {
        name: deepcopy(files[name].document.get("examples", []))
        for name, event_type in REGISTRY.items()
        if event_type.is_of_canvas
    }


class EventMaker:
    """Builds events with slots."""

    def __init__(self, random: Random, pools: Pools) -> None:
        self.random = random
        self.pools = pools
        self._examples = {
            name: examples for name, examples in documented_events().items() if examples
        }
        every = [
            _metadata_of(example) for examples in self._examples.values() for example in examples
        ]
        self._web = [metadata for metadata in every if "request_id" in metadata]
        self._jobs = [metadata for metadata in every if "job_id" in metadata]

    @property
    def event_names(self) -> list[str]:
        """Event names with a documented event."""
        return list(self._examples)

    def draft(self, event_name: str) -> Draft:
        """A valid event of a documented type."""
        random = self.random
        example = random.choice(self._examples[event_name])
        fields = BODIES.get(body_name(event_name), {})
        body = self._body(example["body"], fields)
        if random.random() < UNKNOWN_FIELDS_SHARE:
            body.update(random.sample(_UNKNOWN_FIELDS, random.randint(1, 3)))
        metadata_name, event = self._envelope(event_name, _metadata_of(example), body)
        key = REGISTRY[event_name].key
        entity = None if key is None else key.value(event[metadata_name], body)
        return Draft(
            event_name,
            event,
            metadata_name,
            fields,
            entity if isinstance(entity, Slot) else None,
        )

    def unknown_draft(self, event_name: str) -> Draft:
        """An event of a type without a schema, with an arbitrary body."""
        random = self.random
        body: Json = {
            "id": Slot(self.pools.ids("course", False, False)),
            "name": Slot(self.pools.texts("title")),
            "any": random.choice((None, [], {}, 1.5, "x")),
        }
        metadata_name, event = self._envelope(
            event_name,
            random.choice((*self._web, *self._jobs)),
            {} if random.random() < 0.1 else body,
        )
        return Draft(event_name, event, metadata_name, {}, None)

    def _body(self, example: Json, fields: Mapping[str, Field]) -> Json:
        """The example's fields in its order, then the body's other fields. A field that is not in
        families.py keeps the example's value.
        """
        random = self.random
        drop_nulls = random.random() < 0.5  # like newer versions of Canvas
        body: Json = {}
        for name in [*example, *(name for name in fields if name not in example)]:
            field = fields.get(name)
            if field is None:
                body[name] = example[name]
            elif not field.required and random.random() < (0.9 if field.rare else 0.35):
                if not drop_nulls and not field.rare:
                    body[name] = None
            elif field.kind is FieldKind.NULL:
                body[name] = None
            else:
                body[name] = self._value(field)
        if random.random() < 0.1:
            names = list(body)
            random.shuffle(names)
            body = {name: body[name] for name in names}
        return body

    def _value(self, field: Field) -> Any:
        """A slot; or an object, or a list of objects, with slots."""
        if field.kind is FieldKind.OBJECT:
            return self._object(field)
        if field.kind is FieldKind.OBJECTS:
            return [self._object(field) for _ in range(self.random.randrange(4))]
        return Slot(self.pools.values(field))

    def _object(self, field: Field) -> Json:
        """An object with all required fields, and some of the others. Nulls stay: Canvas drops them
        at the top level only.
        """
        return {
            name: None
            if not member.required and self.random.random() < 0.2
            else self._value(member)
            for name, member in field.members.items()
            if member.required or self.random.random() < 0.8
        }

    def _envelope(self, event_name: str, example: Json, body: Json) -> tuple[str, Json]:
        random = self.random
        metadata = self._metadata(example)
        head = {"event_name": event_name, "event_time": event_time(random)}
        metadata = head | metadata if random.random() < 0.5 else metadata | head
        metadata_name = "attributes" if random.random() < ATTRIBUTES_SHARE else "metadata"
        event: Json = {metadata_name: metadata, "body": body}
        if random.random() < 0.1:
            event = {"body": body, metadata_name: metadata}
        if random.random() < CLAIMS_SHARE:
            event |= {"iss": "Canvas", "iat": 1_711_752_180, "sub": None}
        return metadata_name, event

    def _metadata(self, example: Json) -> Json:
        """Metadata of a web request or a background job, usually with the example's fields. Empty
        for an event from a console.
        """
        random = self.random
        chance = random.random()
        if chance < CONSOLE_SHARE:
            return {}
        if chance < CONSOLE_SHARE + 0.2:
            example = random.choice(self._jobs if random.random() < JOB_SHARE else self._web)
        metadata: Json = {}
        with_context = random.random() < 0.7
        for name, value in example.items():
            field = METADATA.get(name)
            if name in ("event_name", "event_time") or (
                name.startswith("context_") and not with_context
            ):
                continue
            if field is None:
                metadata[name] = value
            elif value is None or random.random() < 0.05:
                metadata[name] = None if name != "root_account_id" else value
            else:
                pool = self.pools.values(field)
                metadata[name] = Slot(pool if name in _VARIED else (random.choice(pool),))
        if "request_id" in metadata:
            if random.random() < CREDENTIAL_SHARE:
                metadata["url"] = Slot((random.choice(self.pools.credential_urls),))
            if random.random() < 0.1:
                metadata["real_user_id"] = Slot(self.pools.values(METADATA["real_user_id"]))
        if random.random() < 0.05:
            metadata["trace_id"] = Slot(self.pools.texts("request"))
        return metadata


def _metadata_of(event: Json) -> Json:
    metadata: Json = event["metadata"] if "metadata" in event else event["attributes"]
    return metadata
