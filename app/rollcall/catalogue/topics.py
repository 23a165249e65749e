"""The catalogue: each topic of an installation, with all that there is to say of its records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rollcall.catalogue.event_schemas import EVENT, event_parts, kinds_of_fields, part
from rollcall.catalogue.examples import Example, dead_letter_example, row_examples, typed_examples
from rollcall.catalogue.headers import (
    ALTERED,
    CLOUD_EVENTS,
    DATASCHEMA,
    ERRORS,
    ID_PATTERN,
    PASSED_ON,
    TYPE,
    HeaderField,
)
from rollcall.catalogue.plans import plan_topics
from rollcall.catalogue.row_schemas import NORMAL_ID, key_schema, row_schema, what_rows_there_are
from rollcall.events.pipeline import Pipeline
from rollcall.events.registry import EVENT_TYPES, EventType
from rollcall.events.schemas.files import Schema, read_schema_folder
from rollcall.events.schemas.validation import EventValidator, load_validators
from rollcall.kafka.topics import TopicPlan, barrier_topic
from rollcall.rosters.registry import stages
from rollcall.rosters.topics import roster_topics
from rollcall.router.topics import plan_router_topics
from rollcall.serve.replica.relations import RELATIONS
from rollcall.settings import Settings

ROUTER, ROSTERS, SERVE = "router", "rosters", "serve"

PLACED_BY_KEY = "by the key, as Java's default partitioner places it (murmur2)"
PLACED_BY_RAW = (
    f"{PLACED_BY_KEY}; without one, the partition has the number of the raw one, "
    "modulo their number"
)
PLACED_BY_CONTEXT = (
    "by what stands before the first `/` of the key, as Java's default "
    "partitioner places that (murmur2)"
)

TOMBSTONE = (
    "A tombstone: there is no row under this key any more. A removal in Canvas is none: "
    "the row stays, with its state."
)

_JSON = "application/json"


class Sort(StrEnum):
    """Sorts of topics."""

    RAW = "raw"
    TYPED = "typed"
    UNKNOWN = "unknown"
    DEAD_LETTER = "dead-letter"
    ROSTER = "roster"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Message:
    """The records of a topic, or, beside rows, its tombstones."""

    name: str
    title: str
    summary: str
    key: Schema
    headers: tuple[HeaderField, ...]
    passed_on: str
    """What is said of other headers."""
    payload: Schema
    """It may refer to :attr:`Catalogue.schemas`."""
    examples: tuple[Example, ...] = ()
    content_type: str = _JSON
    fields: Schema | None = None
    """The object whose fields tell records of this topic apart from others, flat: a body, or a row.
    """


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic."""

    id: str
    """Its name without what differs between installations."""
    sort: Sort
    plan: TopicPlan
    holds: str
    placed: str
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
    """The parts to which payloads refer."""
    kinds: Mapping[str, Schema]
    """What a field can be, by the title that its schema has."""

    def of(self, sort: Sort) -> tuple[Topic, ...]:
        """The topics of a sort."""
        return tuple(topic for topic in self.topics if topic.sort is sort)


def catalogue(settings: Settings) -> Catalogue:
    """The catalogue of an installation.

    Raises:
        rollcall.events.schemas.files.SchemaError: the schema files cannot be used.
    """
    return _Maker(settings).catalogue()


class _Maker:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = roster_topics(settings)
        self._files = read_schema_folder()
        self._validators = load_validators()
        self._pipeline = Pipeline(self._validators, shard=settings.shard)
        self._plans = {plan.name: plan for plan in plan_topics(settings)}
        self._barriers = {
            barrier_topic(settings.group(process)): process for process in (ROUTER, ROSTERS)
        }
        self._writers, self._readers = self._who()
        self._typed_examples = typed_examples(self._pipeline, self._files)
        self._schemas = event_parts(self._files)

    def catalogue(self) -> Catalogue:
        names = self._names.names
        topics = [
            self._topic(
                "raw",
                Sort.RAW,
                names.raw,
                "what your bridge sends: one event a record",
                "as the bridge likes",
                [self._raw()],
            ),
            *map(self._typed, EVENT_TYPES),
            self._topic(
                "unknown",
                Sort.UNKNOWN,
                names.unknown,
                "events whose name has no schema",
                PLACED_BY_RAW,
                [self._unknown()],
            ),
            self._topic(
                "dead-letter",
                Sort.DEAD_LETTER,
                names.dead_letter,
                "what is no valid event, or of no use to a roster",
                PLACED_BY_RAW,
                [self._dead()],
            ),
            *self._rosters(),
            *self._internal(),
        ]
        order = {name: place for place, name in enumerate(self._plans)}
        kinds = {**kinds_of_fields(self._files), NORMAL_ID["title"]: NORMAL_ID}
        return Catalogue(
            self._settings,
            tuple(sorted(topics, key=lambda topic: order[topic.plan.name])),
            self._schemas,
            kinds,
        )

    def _topic(
        self,
        identity: str,
        sort: Sort,
        name: str,
        holds: str,
        placed: str,
        messages: Iterable[Message],
    ) -> Topic:
        return Topic(
            identity,
            sort,
            self._plans[name],
            holds,
            placed,
            tuple(messages),
            tuple(self._writers[name]),
            tuple(self._readers[name]),
        )

    def _who(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Who writes each topic, and who reads it."""
        writers: defaultdict[str, dict[str, None]] = defaultdict(dict)
        readers: defaultdict[str, dict[str, None]] = defaultdict(dict)
        names = self._names
        raw, dead_letter = names.names.raw, names.names.dead_letter
        readers[raw][ROUTER] = None
        for plan in plan_router_topics(self._settings):
            if plan.name not in (raw, *self._barriers):
                writers[plan.name][ROUTER] = None
        writers[dead_letter][ROSTERS] = None
        for stage in stages(self._settings.shard):
            for topic in (*map(names.full, stage.inputs), names.changelog(stage)):
                readers[topic][ROSTERS] = None
            for topic in (*map(names.full, stage.outputs), names.changelog(stage)):
                writers[topic][ROSTERS] = None
        for relation in RELATIONS:
            readers[names.full(f"rosters.{relation.name}")][SERVE] = None
        readers[dead_letter][SERVE] = None
        return {name: list(writers[name]) for name in self._plans}, {
            name: list(readers[name]) for name in self._plans
        }

    def _raw(self) -> Message:
        examples = [
            example._replace(headers={}) for example in self._typed_examples[EVENT_TYPES[0].name]
        ]
        key = {"description": "Any, or none. It stays the key on unknown and dead-letter."}
        summary = "One event. What is none is taken as well, and becomes a dead letter."
        return Message(
            "raw",
            "Raw event",
            summary,
            key,
            (),
            "Any, or none. They go along on whatever the record becomes.",
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
            {
                "type": "string",
                "description": f"`{event_type.key}` of the body, in normal form.",
                "pattern": f"^{ID_PATTERN}$",
            },
            (
                *(
                    header.being(constants[header.name]) if header.name in constants else header
                    for header in CLOUD_EVENTS
                ),
                *ALTERED,
            ),
            f"{PASSED_ON}, but for those that are called like one of these or begin like those of "
            "dead letters.",
            part(event_type.name),
            tuple(self._typed_examples[event_type.name]),
            fields=validator.schema["properties"]["body"],
        )
        holds = f"valid events `{event_type.name}`"
        return self._topic(
            f"events.{event_type.name}",
            Sort.TYPED,
            self._names.names.typed(event_type),
            holds,
            PLACED_BY_KEY,
            [message],
        )

    def _unknown(self) -> Message:
        summary = "An event with a proper envelope whose name has no schema."
        passed_on = f"{PASSED_ON}, but for those of dead letters."
        return Message(
            "unknown",
            "Unknown event",
            summary,
            {"description": "That of the raw record."},
            ALTERED,
            passed_on,
            part(EVENT),
        )

    def _dead(self) -> Message:
        return Message(
            "dead-letter",
            "Dead letter",
            "The record as it was, with the reason why it is here. Its value is any bytes, or "
            "none; one that is too large is cut.",
            {"description": "That of the raw record; of a typed record, its key."},
            (*ERRORS, *ALTERED),
            f"{PASSED_ON}; of a typed record, its headers do.",
            {"description": "Any bytes, or none."},
            (dead_letter_example(self._pipeline, self._files, self._names.names.raw),),
            content_type="application/octet-stream",
        )

    def _rosters(self) -> Iterable[Topic]:
        examples = row_examples(self._pipeline, self._files, self._settings.shard)
        for relation in RELATIONS:
            name = f"rosters.{relation.name}"
            schema, key = row_schema(relation, self._files), key_schema(relation)
            self._schemas[name] = schema
            passed_on = (
                "Rows have no headers, but for those of a trace (`traceparent`) where one is made."
            )
            row = Message(
                name,
                schema["title"],
                "The row as it is now.",
                key,
                (),
                passed_on,
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
                passed_on,
                {"type": "null"},
            )
            placed = PLACED_BY_CONTEXT if len(relation.key) > 1 else PLACED_BY_KEY
            yield self._topic(
                name,
                Sort.ROSTER,
                self._names.full(name),
                what_rows_there_are(relation),
                placed,
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
                holds, placed = (
                    f"nothing: `{self._barriers[name]}` commits offsets for it that prove others "
                    "current",
                    "a partition for each lane",
                )
            elif name in tables:
                holds, placed = (
                    f"the table of the stage `{tables[name]}`",
                    "by the partition of the table",
                )
            elif name.startswith(prefix):
                holds, placed = "what one stage of the rosters tells the next", PLACED_BY_CONTEXT
            else:
                continue
            yield self._topic(f"internal.{identity}", Sort.INTERNAL, name, holds, placed, [])
