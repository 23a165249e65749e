"""The catalogue as a page in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from rollcall.catalogue.event_schemas import without_null
from rollcall.catalogue.headers import ALTERED, CLOUD_EVENTS, DATASCHEMA, TYPE, HeaderField
from rollcall.catalogue.topics import Catalogue, Message, Sort, Topic
from rollcall.events.schemas.files import KNOWN_VALUES, Schema
from rollcall.kafka.topics import DAY_MS, TopicPlan

_HEAD = """\
# Topics

Every topic with its key, headers and fields. Names and numbers are those of the default settings;
for yours: `rollcall topics describe --markdown`. The same for programs, as an
[AsyncAPI](https://www.asyncapi.com) 3.0 document: [asyncapi.json](asyncapi.json), and for yours
`rollcall topics describe`. What may be relied on beyond names and types: [events.md](events.md),
[rosters.md](rosters.md). Both files are written by `make docs` from what the code knows.

## Before you read

- **Ask for committed records**: `isolation.level=read_committed`. All topics but the raw one are
  written in transactions. It is the default of librdkafka (confluent-kafka, kcat), and not of
  Java's client, which shows records of aborted transactions without it.
- **Placed by key** means `(murmur2(key) & 0x7fffffff) % partitions`, as Java's default partitioner
  computes it. librdkafka's default is another: `partitioner=murmur2_random`.
- **A tombstone**, on a compacted topic, is a record without a value: there is no row under its key
  any more.
- **Open schemas**: a value may have more fields than are named here, and more may be named with any
  version.
- Only Rollcall may write these topics, but the raw one, on which your bridge does. Anybody may read
  them.
"""


def page(catalogue: Catalogue) -> str:
    """The page."""
    return "\n".join(_parts(catalogue))


def _parts(catalogue: Catalogue) -> Iterator[str]:
    yield _HEAD
    yield _overview(topic for topic in catalogue.topics if topic.sort is not Sort.INTERNAL)
    (raw,), (unknown,), (dead,) = map(catalogue.of, (Sort.RAW, Sort.UNKNOWN, Sort.DEAD_LETTER))
    yield _heading("##", [raw])
    yield _about(raw)
    yield f"{raw.messages[0].summary} Any headers go along on whatever the record becomes.\n"
    yield from _typed(catalogue)
    yield _heading("##", [unknown])
    yield _about(unknown)
    yield f"{unknown.messages[0].summary} Value, key, headers and timestamp are the raw record's.\n"
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
        "| topic | what is on it | partitions | cleanup | kept | written by | read by |",
        "|---|---|---|---|---|---|---|",
    ]
    for topic in topics:
        plan = topic.plan
        partitions = f"{plan.partitions}, or any" if plan.any_partitions else str(plan.partitions)
        processes = ", ".join(topic.written_by) or "your bridge", ", ".join(topic.read_by)
        cells = [
            f"`{plan.name}`",
            topic.holds,
            partitions,
            plan.config["cleanup.policy"],
            _kept(plan),
            *processes,
        ]
        lines.append(_row(cells))
    return "\n".join([*lines, ""])


def _typed(catalogue: Catalogue) -> Iterator[str]:
    topics = catalogue.of(Sort.TYPED)
    yield "## Typed events\n"
    yield (
        "The value is the raw record's, byte for byte: an object with `metadata` (which a "
        "self-hosted Canvas calls `attributes`) and `body`. It is valid by\n"
        "the schema that `ce_dataschema` names. Headers and metadata are the same for all; the "
        "bodies follow, by topic.\n"
    )
    common = [TYPE, DATASCHEMA]
    headers = [
        next((same for same in common if same.name == header.name), header)
        for header in (*CLOUD_EVENTS, *ALTERED)
    ]
    yield _headers_table(headers, topics[0].messages[0].passed_on)
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
        yield _example(
            message, example.value["body"], f"the body of a record with key `{example.key}`"
        )


def _rosters(catalogue: Catalogue) -> Iterator[str]:
    yield "## Rosters\n"
    yield (
        "The value is a row, or nothing: a tombstone, there is no row under this key any more. A "
        "removal in Canvas is no tombstone: the row stays, with its\n"
        "state. Rows have no headers, but for those of a trace where one is made. A field that is "
        "null in the event, or not there, is not in the row.\n"
    )
    for topic in catalogue.of(Sort.ROSTER):
        message = topic.messages[0]
        assert message.fields is not None
        yield _heading("###", [topic])
        yield f"{message.fields['description']}\n"
        yield _about(topic)
        yield _fields(message.fields, "field of the row")
        example = message.examples[0]
        yield _example(message, example.value, f"the row with key `{example.key}`")


def _internal(catalogue: Catalogue) -> str:
    topics = catalogue.of(Sort.INTERNAL)
    lines = [
        "## Internal topics",
        "",
        "The rosters write and read them, and nobody else: their form may change with any version.",
        "",
    ]
    lines += [
        "| topic | what is on it | placed | partitions | cleanup | kept |",
        "|---|---|---|---|---|---|",
    ]
    for topic in topics:
        plan = topic.plan
        lines.append(
            _row(
                [
                    f"`{plan.name}`",
                    topic.holds,
                    topic.placed,
                    str(plan.partitions),
                    plan.config["cleanup.policy"],
                    _kept(plan),
                ]
            )
        )
    return "\n".join([*lines, ""])


def _types(catalogue: Catalogue) -> str:
    lines = ["## Types", "", "| type | in JSON | meaning |", "|---|---|---|"]
    for title, kind in catalogue.kinds.items():
        said = (
            f"{kind['description']} {_sentence(kind['x-expects'])}"
            if "x-expects" in kind
            else kind["description"]
        )
        lines.append(_row([title.lower(), _json_types(kind), said]))
    return "\n".join([*lines, ""])


def _heading(level: str, topics: Iterable[Topic]) -> str:
    return f"{level} {', '.join(f'`{topic.plan.name}`' for topic in topics)}\n"


def _about(topic: Topic) -> str:
    plan = topic.plan
    lines = [
        f"- Key: {topic.messages[0].key['description']}",
        f"- Placed {topic.placed}.",
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
    return _headers_table(message.headers, message.passed_on)


def _headers_table(fields: Iterable[HeaderField], passed_on: str) -> str:
    lines = ["| header | meaning | on every record | value |", "|---|---|---|---|"]
    lines += (
        _row(
            [f"`{field.name}`", field.means, "yes" if field.always else "no", _value(field.schema)]
        )
        for field in fields
    )
    return "\n".join([*lines, "", passed_on, ""])


def _value(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    return f"`{schema['pattern']}`" if "pattern" in schema else schema.get("format", "text")


def _fields(schema: Schema, head: str) -> str:
    lines = [f"| {head} | type | null | needed | meaning |", "|---|---|---|---|---|"]
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        values = [f"`{value}`" for value in field.get(KNOWN_VALUES, field.get("enum", ()))]
        said = field.get("description", "") + (
            f" Known: {', '.join(values)}." if KNOWN_VALUES in field else ""
        )
        cells = [
            f"`{name}`",
            _type(field),
            "yes" if "null" in _types_of(field) else "no",
            "yes" if name in required else "no",
            said,
        ]
        lines.append(_row(cells))
    return "\n".join([*lines, ""])


def _type(field: Schema) -> str:
    if "title" in field:
        return without_null(field["title"]).lower()
    return f"list of {_type(field['items'])}" if "items" in field else _json_types(field)


def _json_types(field: Schema) -> str:
    return " or ".join(name for name in _types_of(field) if name != "null")


def _types_of(field: Schema) -> list[str]:
    return field["type"] if isinstance(field["type"], list) else [field["type"]]


def _example(message: Message, value: Any, what: str) -> str:
    return f"Example, {what}:\n\n```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
