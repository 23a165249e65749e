"""The catalogue: every topic of an installation, with keys, headers, schemas and examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rollcall.catalogue.event_schemas import EVENT, event_parts, field_types, part
from rollcall.catalogue.examples import Example, dead_letter_example, row_examples, typed_examples
from rollcall.catalogue.headers import (
    ALTERED,
    CLOUD_EVENTS,
    DATASCHEMA,
    ERRORS,
    ID_PATTERN,
    OTHER_HEADERS,
    REASON,
    SOURCES,
    TYPE,
    HeaderField,
)
from rollcall.catalogue.plans import plan_topics
from rollcall.catalogue.row_schemas import NORMAL_ID, key_schema, row_schema
from rollcall.events.event_type import EventType
from rollcall.events.pipeline import Pipeline
from rollcall.events.schemas.files import Schema
from rollcall.events.schemas.validation import EventValidator
from rollcall.kafka.topics import TopicPlan, barrier_topic
from rollcall.process.event_types import event_types, schema_files, validators_of
from rollcall.rosters.registry import RELATIONS, stages
from rollcall.rosters.topics import has_rosters, roster_topics
from rollcall.router.topics import plan_router_topics
from rollcall.settings import Settings

ROUTER, ROSTERS, SERVE, INGEST = "router", "rosters", "serve", "ingest"

PLACED_BY_KEY = "by the key, as Java's default partitioner places it (murmur2)"
PLACED_BY_RAW = (
    f"{PLACED_BY_KEY}; without a key, by the number of the raw partition, modulo the number "
    "of partitions"
)
PLACED_BY_CONTEXT = (
    "by the key's part before the first `/`, as Java's default partitioner places it (murmur2)"
)

TOMBSTONE = (
    "A tombstone: the key has no row any more. A removal in Canvas is not a tombstone: the row "
    "stays, with its state."
)

_JSON = "application/json"


class TopicKind(StrEnum):
    """Kinds of topics."""

    RAW = "raw"
    TYPED = "typed"
    UNKNOWN = "unknown"
    DEAD_LETTER = "dead-letter"
    ROSTER = "roster"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Message:
    """The records of a topic; a roster topic has a second message for tombstones."""

    name: str
    title: str
    summary: str
    key: Schema
    headers: tuple[HeaderField, ...]
    other_headers: str
    """A sentence on headers that are not listed."""
    payload: Schema
    """May refer to :attr:`Catalogue.schemas`."""
    examples: tuple[Example, ...] = ()
    content_type: str = _JSON
    fields: Schema | None = None
    """Flat schema of the object that is specific to the topic: a body, or a row."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic."""

    id: str
    """Name of the topic without the parts that differ between installations."""
    kind: TopicKind
    plan: TopicPlan
    contents: str
    partitioning: str
    messages: tuple[Message, ...]
    """Empty for an internal topic: its records may change with any version."""
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All topics of an installation, in the order of ``rollcall topics plan``."""

    settings: Settings
    topics: tuple[Topic, ...]
    schemas: Mapping[str, Schema]
    """The component schemas that payloads refer to, by name."""
    field_types: Mapping[str, Schema]
    """Schemas of the field types, by title."""

    def of(self, kind: TopicKind) -> tuple[Topic, ...]:
        """The topics of a kind."""
        return tuple(topic for topic in self.topics if topic.kind is kind)


def catalogue(settings: Settings) -> Catalogue:
    """The catalogue of an installation.

    Raises:
        ConfigurationError: as in :func:`rollcall.process.event_types.event_types`.
    """
    return _CatalogueBuilder(settings).catalogue()


def _typed_key(validator: EventValidator) -> Schema:
    """The schema of a typed topic's keys."""
    key = validator.event_type.key
    if key is None:
        return {"type": "null", "description": "None."}
    section, *names = key.path
    form = "in normal form" if key.is_id else "unchanged"
    rest = "" if validator.requires_key else "; none if the event has none"
    schema: Schema = {
        "type": "string" if validator.requires_key else ["string", "null"],
        "description": f"`{'.'.join(names)}` of the {section}, {form}{rest}.",
    }
    return {**schema, "pattern": f"^{ID_PATTERN}$"} if key.is_id else schema


class _CatalogueBuilder:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = roster_topics(settings)
        self._types = event_types(settings)
        self._files = schema_files(settings.schemas)
        self._validators = validators_of(settings)
        self._has_rosters = has_rosters(settings)
        self._pipeline = Pipeline(self._validators, shard=settings.shard)
        self._plans = {plan.name: plan for plan in plan_topics(settings)}
        self._barriers = {
            barrier_topic(settings.group(process)): process for process in (ROUTER, ROSTERS)
        }
        self._writers, self._readers = self._writers_and_readers()
        self._typed_examples = typed_examples(
            self._pipeline, self._types.selected.values(), self._files
        )
        self._schemas = event_parts(self._files, self._types.selected)

    def catalogue(self) -> Catalogue:
        names = self._names.names
        topics = [
            self._topic(
                "raw",
                TopicKind.RAW,
                names.raw,
                "raw events, one a record",
                "by ingest: by the key, as Java's default partitioner places it (murmur2); or by "
                "your bridge",
                [self._raw()],
            ),
            *map(self._typed, self._types.selected.values()),
            self._topic(
                "unknown",
                TopicKind.UNKNOWN,
                names.unknown,
                "events without a typed topic",
                PLACED_BY_RAW,
                [self._unknown()],
            ),
            self._topic(
                "dead-letter",
                TopicKind.DEAD_LETTER,
                names.dead_letter,
                "records that are not valid events, or not usable for a roster",
                PLACED_BY_RAW,
                [self._dead_letter()],
            ),
            *(self._rosters() if self._has_rosters else ()),
            *self._internal(),
        ]
        order = {name: number for number, name in enumerate(self._plans)}
        types = {**field_types(self._files), NORMAL_ID["title"]: NORMAL_ID}
        return Catalogue(
            self._settings,
            tuple(sorted(topics, key=lambda topic: order[topic.plan.name])),
            self._schemas,
            types,
        )

    def _topic(
        self,
        identity: str,
        kind: TopicKind,
        name: str,
        contents: str,
        partitioning: str,
        messages: Iterable[Message],
    ) -> Topic:
        return Topic(
            identity,
            kind,
            self._plans[name],
            contents,
            partitioning,
            tuple(messages),
            tuple(self._writers[name]),
            tuple(self._readers[name]),
        )

    def _writers_and_readers(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """The processes that write each topic, and those that read it."""
        writers: defaultdict[str, dict[str, None]] = defaultdict(dict)
        readers: defaultdict[str, dict[str, None]] = defaultdict(dict)
        names = self._names
        raw, dead_letter = names.names.raw, names.names.dead_letter
        readers[raw][ROUTER] = None
        writers[raw][INGEST] = None
        for plan in plan_router_topics(self._settings):
            if plan.name not in (raw, *self._barriers):
                writers[plan.name][ROUTER] = None
        writers[dead_letter][ROSTERS] = None
        if not self._has_rosters:
            return self._in_plan(writers), self._in_plan(readers)
        for stage in stages(self._settings.shard):
            for topic in (*map(names.full, stage.inputs), names.changelog(stage)):
                readers[topic][ROSTERS] = None
            for topic in (*map(names.full, stage.outputs), names.changelog(stage)):
                writers[topic][ROSTERS] = None
        for relation in RELATIONS:
            readers[names.full(relation.topic)][SERVE] = None
        readers[dead_letter][SERVE] = None
        return self._in_plan(writers), self._in_plan(readers)

    def _in_plan(self, processes: Mapping[str, Mapping[str, None]]) -> dict[str, list[str]]:
        """The processes of each planned topic."""
        return {name: list(processes.get(name, ())) for name in self._plans}

    def _raw(self) -> Message:
        examples = [
            example._replace(headers={}) for example in next(iter(self._typed_examples.values()))
        ]
        key = {
            "description": "Any, or none: of ingest, that of the typed record, or a digest of the "
            "value. Records on unknown and dead-letter keep it."
        }
        summary = "One event. Any other record is accepted, too, and becomes a dead letter."
        return Message(
            "raw",
            "Raw event",
            summary,
            key,
            SOURCES,
            "Any, or none. The output record keeps all of them.",
            part(EVENT),
            tuple(examples),
        )

    def _typed(self, event_type: EventType) -> Topic:
        validator: EventValidator = self._validators[event_type.name]
        constants = {TYPE.name: event_type.name, DATASCHEMA.name: validator.schema_id}
        message = Message(
            event_type.name,
            validator.schema["title"],
            validator.schema["description"],
            _typed_key(validator),
            (
                *(
                    header.with_value(constants[header.name])
                    if header.name in constants
                    else header
                    for header in CLOUD_EVENTS
                ),
                *ALTERED,
            ),
            f"{OTHER_HEADERS}, except headers with one of these names or with the prefix of dead "
            "letters' headers.",
            part(event_type.name),
            tuple(self._typed_examples[event_type.name]),
            fields=validator.schema["properties"]["body"],
        )
        contents = f"valid events `{event_type.name}`"
        return self._topic(
            f"events.{event_type.name}",
            TopicKind.TYPED,
            self._names.names.typed(event_type),
            contents,
            PLACED_BY_KEY if validator.requires_key else PLACED_BY_RAW,
            [message],
        )

    def _unknown(self) -> Message:
        summary = (
            "An event with a valid envelope, and without a typed topic for its name. A header has "
            "the reason."
        )
        other_headers = f"{OTHER_HEADERS}, except those of dead letters."
        return Message(
            "unknown",
            "Unknown event",
            summary,
            {"description": "The raw record's key."},
            (REASON, *ALTERED),
            other_headers,
            part(EVENT),
        )

    def _dead_letter(self) -> Message:
        return Message(
            "dead-letter",
            "Dead letter",
            "The original record, with the reason in its headers. The value is any bytes, or "
            "null; a value that is too large is cut.",
            {"description": "The key of the raw record, or of the typed record."},
            (*ERRORS, *ALTERED),
            f"{OTHER_HEADERS}; a typed record keeps its headers.",
            {"description": "Any bytes, or null."},
            (dead_letter_example(self._pipeline, self._files, self._names.names.raw),),
            content_type="application/octet-stream",
        )

    def _rosters(self) -> Iterable[Topic]:
        examples = row_examples(self._pipeline, self._files, self._settings.shard)
        for relation in RELATIONS:
            name = relation.topic
            schema, key = row_schema(relation, self._files), key_schema(relation)
            self._schemas[name] = schema
            other_headers = "Rows have no headers except those of a trace (`traceparent`)."
            row = Message(
                name,
                schema["title"],
                "The current row.",
                key,
                (),
                other_headers,
                part(name),
                tuple(examples.get(name, ())),
                fields=schema,
            )
            removed = Message(
                f"{name}.removed",
                f"No row of {relation.name}",
                TOMBSTONE,
                key,
                (),
                other_headers,
                {"type": "null"},
            )
            partitioning = PLACED_BY_CONTEXT if len(relation.key) > 1 else PLACED_BY_KEY
            yield self._topic(
                name,
                TopicKind.ROSTER,
                self._names.full(name),
                relation.rows,
                partitioning,
                [row, removed],
            )

    def _internal(self) -> Iterable[Topic]:
        tables = {
            self._names.changelog(stage): stage.name for stage in stages(self._settings.shard)
        }
        prefix = f"{self._names.group}-"
        for name in self._plans:
            identity = name.removeprefix(prefix)
            if name in self._barriers:
                identity = f"{self._barriers[name]}-barrier"
                contents, partitioning = (
                    f"none: `{self._barriers[name]}` commits offsets for it that prove others "
                    "current",
                    "a partition for each lane",
                )
            elif name in tables:
                contents, partitioning = (
                    f"the table of the stage `{tables[name]}`",
                    "by the partition of the table",
                )
            elif name.startswith(prefix):
                contents, partitioning = (
                    "records from one stage of the rosters for the next",
                    PLACED_BY_CONTEXT,
                )
            else:
                continue
            yield self._topic(
                f"internal.{identity}", TopicKind.INTERNAL, name, contents, partitioning, []
            )
