"""The catalogue as an AsyncAPI 3.0 document."""

from __future__ import annotations

from typing import Any

import orjson

from rollcall.catalogue.headers import headers_schema
from rollcall.catalogue.topics import ROSTERS, ROUTER, Catalogue, Message, Topic, TopicKind
from rollcall.settings import Settings
from rollcall.version import package_version

VERSION = "3.0.0"
KAFKA_BINDING = "0.5.0"

_NUMBERS = frozenset({"retention.ms", "delete.retention.ms", "max.message.bytes"})
"""Entries of a topic's configuration that the binding wants as numbers. The others are text, as in
Kafka.
"""

_SASL = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512"}
"""AsyncAPI's names of Kafka's mechanisms."""

_DESCRIPTION = """\
Canvas live events on Kafka: raw events from your bridge, valid events by type, and the \
rosters that result.

**Read committed records.** All topics but the raw one are written in transactions: set \
`isolation.level=read_committed`. It is the default of librdkafka, and not of Java's client.

The operations are those of Rollcall's own processes. A program of yours has the opposite \
ones: it sends what the router receives, and receives what router and rosters send. Topics \
with the tag `internal` are for Rollcall only."""

_TAGS = {
    TopicKind.RAW: "Raw events from the bridge.",
    TopicKind.TYPED: "Valid events, by type.",
    TopicKind.UNKNOWN: "Events without a schema.",
    TopicKind.DEAD_LETTER: "Records that are not valid events.",
    TopicKind.ROSTER: "Members of courses, sections and groups.",
    TopicKind.INTERNAL: "Internal data of the rosters; may change with any version.",
}


def asyncapi_document(catalogue: Catalogue) -> dict[str, Any]:
    """The document, as JSON values."""
    settings = catalogue.settings
    channels = {topic.id: _channel(topic, settings) for topic in catalogue.topics}
    components: dict[str, Any] = {"schemas": dict(catalogue.schemas)}
    document: dict[str, Any] = {
        "asyncapi": VERSION,
        "info": {
            "title": "Rollcall",
            "version": package_version(),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
            "tags": [
                {"name": str(kind), "description": description}
                for kind, description in _TAGS.items()
            ],
        },
        "defaultContentType": "application/json",
    }
    if settings.kafka is not None:
        document["servers"] = _servers(settings, settings.kafka)
        components |= _security(settings)
    return {
        **document,
        "channels": channels,
        "operations": _operations(catalogue),
        "components": components,
    }


def asyncapi_text(catalogue: Catalogue) -> str:
    """The document as JSON, which is YAML too."""
    return orjson.dumps(
        asyncapi_document(catalogue), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    ).decode()


def _channel(topic: Topic, settings: Settings) -> dict[str, Any]:
    plan = topic.plan
    config: dict[str, Any] = {
        name: int(value) if name in _NUMBERS else value for name, value in plan.config.items()
    }
    config["cleanup.policy"] = config["cleanup.policy"].split(",")
    any_number = (
        " An existing topic may have any number of partitions." if plan.any_partitions else ""
    )
    channel: dict[str, Any] = {
        "address": plan.name,
        "summary": _sentence(topic.contents),
        "description": f"Placed {topic.partitioning}.{any_number}",
        "tags": [{"name": str(topic.kind)}],
        "bindings": {
            "kafka": {
                "topic": plan.name,
                "partitions": plan.partitions,
                "replicas": settings.replication_factor,
                "topicConfiguration": config,
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }
    if topic.messages:
        channel["messages"] = {message.name: _message(message) for message in topic.messages}
    return channel


def _message(message: Message) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": message.name,
        "title": message.title,
        "summary": message.summary,
        "contentType": message.content_type,
        "headers": headers_schema(message.headers, message.other_headers),
        "payload": message.payload,
        "bindings": {"kafka": {"key": message.key, "bindingVersion": KAFKA_BINDING}},
    }
    if message.examples:
        described["examples"] = [
            {
                "summary": "No key" if example.key is None else f"Key {example.key}",
                "headers": example.headers,
                "payload": example.value,
            }
            for example in message.examples
        ]
    return described


def _operations(catalogue: Catalogue) -> dict[str, Any]:
    groups = {name: catalogue.settings.group(name) for name in (ROUTER, ROSTERS)}
    operations: dict[str, Any] = {}
    for topic in catalogue.topics:
        for action, verb, processes in (
            ("send", "writes", topic.written_by),
            ("receive", "reads", topic.read_by),
        ):
            for process in processes:
                operation: dict[str, Any] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{topic.id}"},
                    "summary": f"`rollcall {process}` {verb} {topic.contents}.",
                    "tags": [{"name": process}],
                }
                if action == "receive" and process in groups:
                    operation["bindings"] = {
                        "kafka": {
                            "groupId": {"type": "string", "const": groups[process]},
                            "bindingVersion": KAFKA_BINDING,
                        }
                    }
                operations[f"{process}.{action}.{topic.id}"] = operation
    return dict(sorted(operations.items()))


def _servers(settings: Settings, bootstrap: str) -> dict[str, Any]:
    secure = settings.security_protocol.endswith("SSL")
    server: dict[str, Any] = {"protocol": "kafka-secure" if secure else "kafka"}
    if schemes := _security(settings):
        server["security"] = [
            {"$ref": f"#/components/securitySchemes/{name}"} for name in schemes["securitySchemes"]
        ]
    hosts = [host.strip() for host in bootstrap.split(",")]
    return {
        f"bootstrap-{number}": {"host": host, **server}
        for number, host in enumerate(hosts, start=1)
    }


def _security(settings: Settings) -> dict[str, Any]:
    schemes: dict[str, Any] = {}
    if settings.security_protocol.startswith("SASL_"):
        schemes["sasl"] = {"type": _SASL[settings.sasl_mechanism]}
    if settings.security_protocol.endswith("SSL") and settings.ssl_cert_file is not None:
        schemes["certificate"] = {"type": "X509"}
    return {"securitySchemes": schemes} if schemes else {}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
