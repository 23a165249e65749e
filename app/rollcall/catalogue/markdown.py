"""The catalogue as a page in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from rollcall.catalogue.event_schemas import non_null_title
from rollcall.catalogue.headers import ALTERED, CLOUD_EVENTS, DATASCHEMA, TYPE, HeaderField
from rollcall.catalogue.topics import Catalogue, Message, Topic, TopicKind
from rollcall.events.schemas.files import KNOWN_VALUES, Schema
from rollcall.kafka.topics import DAY_MS, TopicPlan

_HEAD = """\
# Topics

Every topic with its key, headers and fields. Names and numbers are those of the default settings;
`rollcall topics describe --markdown` prints yours. For programs there is an
[AsyncAPI](https://www.asyncapi.com) 3.0 document: [asyncapi.json](asyncapi.json), and for your
settings `rollcall topics describe`. Guarantees beyond names and types: [events.md](events.md),
[rosters.md](rosters.md). `make docs` writes both files from the code.

## Before you read

- **Read committed records**: `isolation.level=read_committed`. All topics but the raw one are
  written in transactions. The setting is the default of librdkafka (confluent-kafka, kcat). It is
  not the default of Java's client, which then returns records of aborted transactions.
- **Placed by key** means `(murmur2(key) & 0x7fffffff) % partitions`, the rule of Java's default
  partitioner. librdkafka has another default: set `partitioner=murmur2_random`.
- **A tombstone**, on a compacted topic, is a record without a value: its key has no row any more.
- **Open schemas**: a value may have fields that are not listed here. New versions may list more.
- Only Rollcall may write these topics, except the raw one, which your bridge writes. Anybody may
  read them.
"""


def page(catalogue: Catalogue) -> str:
    """The page."""
    return "\n".join(_parts(catalogue))


def _parts(catalogue: Catalogue) -> Iterator[str]:
    yield _HEAD
    yield _overview(topic for topic in catalogue.topics if topic.kind is not TopicKind.INTERNAL)
    (raw,), (unknown,), (dead,) = map(
        catalogue.of, (TopicKind.RAW, TopicKind.UNKNOWN, TopicKind.DEAD_LETTER)
    )
    yield _heading("##", [raw])
    yield _about(raw)
    yield f"{raw.messages[0].summary} The output record keeps its headers.\n"
    yield from _typed(catalogue)
    yield _heading("##", [unknown])
    yield _about(unknown)
    yield f"{unknown.messages[0].summary} It has the raw record's value, key, headers and time.\n"
    yield _headers(unknown.messages[0])
    yield _heading("##", [dead])
    yield _about(dead)
    yield f"{dead.messages[0].summary}\n"
    yield _headers(dead.messages[0])
    yield _example(
        dead.messages[0],
        dead.messages[0].examples[0].headers,
        "headers of an event whose id is missing",
    )
    yield from _rosters(catalogue)
    yield _internal(catalogue)
    yield _types(catalogue)


def _overview(topics: Iterable[Topic]) -> str:
    lines = [
        "## The topics",
        "",
        "| topic | contents | partitions | cleanup | kept | written by | read by |",
        "|---|---|---|---|---|---|---|",
    ]
    for topic in topics:
        plan = topic.plan
        partitions = f"{plan.partitions}, or any" if plan.any_partitions else str(plan.partitions)
        processes = ", ".join(topic.written_by) or "your bridge", ", ".join(topic.read_by)
        cells = [
            f"`{plan.name}`",
            topic.contents,
            partitions,
            plan.config["cleanup.policy"],
            _kept(plan),
            *processes,
        ]
        lines.append(_row(cells))
    return "\n".join([*lines, ""])


def _typed(catalogue: Catalogue) -> Iterator[str]:
    topics = catalogue.of(TopicKind.TYPED)
    yield "## Typed events\n"
    yield (
        "The value is the raw record's, byte for byte: an object with `metadata` (a self-hosted "
        "Canvas calls it `attributes`) and `body`. It is valid by\n"
        "the schema that `ce_dataschema` names. Headers and metadata are the same on all topics; "
        "the bodies follow, by topic.\n"
    )
    common = [TYPE, DATASCHEMA]
    headers = [
        next((same for same in common if same.name == header.name), header)
        for header in (*CLOUD_EVENTS, *ALTERED)
    ]
    yield _headers_table(headers, topics[0].messages[0].other_headers)
    yield "### Metadata\n"
    yield _fields(catalogue.schemas["envelope.metadata"], "field of the metadata")
    for _, alike in groupby(
        topics, key=lambda topic: (topic.messages[0].fields, topic.messages[0].key["description"])
    ):
        group = list(alike)
        message = group[0].messages[0]
        assert message.fields is not None
        yield _heading("###", group)
        yield f"{message.fields['description']}\n"
        yield _about(group[0])
        yield _fields(message.fields, "field of the body")
        example = message.examples[0]
        key = "without a key" if example.key is None else f"with key `{example.key}`"
        yield _example(message, example.value["body"], f"the body of a record {key}")


def _rosters(catalogue: Catalogue) -> Iterator[str]:
    yield "## Rosters\n"
    yield (
        "The value is a row, or null: a tombstone, the key has no row any more. A removal in "
        "Canvas is not a tombstone: the row stays, with its\n"
        "state. Rows have no headers except those of a trace. A field that is null or missing in "
        "the event is not in the row.\n"
    )
    for topic in catalogue.of(TopicKind.ROSTER):
        message = topic.messages[0]
        assert message.fields is not None
        yield _heading("###", [topic])
        yield f"{message.fields['description']}\n"
        yield _about(topic)
        yield _fields(message.fields, "field of the row")
        example = message.examples[0]
        yield _example(message, example.value, f"the row with key `{example.key}`")


def _internal(catalogue: Catalogue) -> str:
    topics = catalogue.of(TopicKind.INTERNAL)
    lines = [
        "## Internal topics",
        "",
        "Only the rosters write and read them. Their format may change with any version.",
        "",
    ]
    lines += [
        "| topic | contents | placed | partitions | cleanup | kept |",
        "|---|---|---|---|---|---|",
    ]
    for topic in topics:
        plan = topic.plan
        lines.append(
            _row(
                [
                    f"`{plan.name}`",
                    topic.contents,
                    topic.partitioning,
                    str(plan.partitions),
                    plan.config["cleanup.policy"],
                    _kept(plan),
                ]
            )
        )
    return "\n".join([*lines, ""])


def _types(catalogue: Catalogue) -> str:
    lines = ["## Types", "", "| type | in JSON | meaning |", "|---|---|---|"]
    for title, schema in catalogue.field_types.items():
        meaning = schema["description"]
        if "x-expects" in schema:
            meaning = f"{meaning} {_sentence(schema['x-expects'])}"
        lines.append(_row([title.lower(), _json_types(schema), meaning]))
    return "\n".join([*lines, ""])


def _heading(level: str, topics: Iterable[Topic]) -> str:
    return f"{level} {', '.join(f'`{topic.plan.name}`' for topic in topics)}\n"


def _about(topic: Topic) -> str:
    plan = topic.plan
    lines = [
        f"- Key: {topic.messages[0].key['description']}",
        f"- Placed {topic.partitioning}.",
        f"- Cleanup: `{plan.config['cleanup.policy']}`; kept: {_kept(plan)}.",
    ]
    return "\n".join([*lines, ""])


def _kept(plan: TopicPlan) -> str:
    if plan.config["cleanup.policy"] == "compact":
        return (
            "the last value of each key, tombstones "
            f"{int(plan.config['delete.retention.ms']) // DAY_MS} days"
        )
    return f"{int(plan.config['retention.ms']) // DAY_MS} days"


def _headers(message: Message) -> str:
    return _headers_table(message.headers, message.other_headers)


def _headers_table(fields: Iterable[HeaderField], other_headers: str) -> str:
    lines = ["| header | meaning | on every record | value |", "|---|---|---|---|"]
    lines += (
        _row(
            [
                f"`{field.name}`",
                field.meaning,
                "yes" if field.always else "no",
                _value(field.schema),
            ]
        )
        for field in fields
    )
    return "\n".join([*lines, "", other_headers, ""])


def _value(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    return f"`{schema['pattern']}`" if "pattern" in schema else schema.get("format", "text")


def _fields(schema: Schema, head: str) -> str:
    if not schema["properties"]:
        return "The body has no fields.\n"
    lines = [f"| {head} | type | null | needed | meaning |", "|---|---|---|---|---|"]
    lines += _field_rows(schema, "")
    return "\n".join([*lines, ""])


def _field_rows(schema: Schema, place: str) -> Iterator[str]:
    """The rows of an object's fields, and of the fields of its objects."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        values = [f"`{value}`" for value in field.get(KNOWN_VALUES, field.get("enum", ()))]
        meaning = field.get("description", "") + (
            f" Known: {', '.join(values)}." if KNOWN_VALUES in field else ""
        )
        cells = [
            f"`{place}{name}`",
            _type(field),
            "yes" if "null" in _types_of(field) else "no",
            "yes" if name in required else "no",
            meaning,
        ]
        yield _row(cells)
        yield from _field_rows(field, f"{place}{name}.")
        yield from _field_rows(field.get("items", {}), f"{place}{name}[].")


def _type(field: Schema) -> str:
    if "title" in field:
        return non_null_title(field["title"]).lower()
    return f"list of {_type(field['items'])}" if "items" in field else _json_types(field)


def _json_types(field: Schema) -> str:
    return " or ".join(name for name in _types_of(field) if name != "null")


def _types_of(field: Schema) -> list[str]:
    """The types of a field in JSON. A field of any type may be null."""
    types = field.get("type", ["any", "null"])
    return types if isinstance(types, list) else [types]


def _example(message: Message, value: Any, title: str) -> str:
    return f"Example, {title}:\n\n```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
