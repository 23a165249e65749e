"""The peers of the router's benchmark: plain agents with Faust's defaults, one event at a time.

There are three:

- ``same job`` writes the router's records with the router's pipeline, but cuts large values;
- ``short`` parses, validates and sends, without headers, id, redaction and reasons of dead letters;
- ``short, waits`` also waits for the acknowledgement of each record.

The first two do not wait for acknowledgements, as in Faust's guide, and commit the offsets of
events that were not delivered. The third loses no event, but repeats some.
:mod:`rollcall.sandbox.bench.router` runs this module as a process. It prints one JSON object at the
end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, cast

import faust
import orjson

from rollcall.events.outcomes import Routed, Unknown
from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.validation import load_validators
from rollcall.process.dead_letter_records import bounded_dead_letter
from rollcall.process.topics import TopicNames
from rollcall.record import Header
from rollcall.router.pipeline_factory import new_pipeline
from rollcall.sandbox.bench.figures import Throughput
from rollcall.sandbox.bench.machine import default_settings

MAX_BYTES = 900_000
"""Limit of a value. Faust's producer refuses a larger record, and a record without key and value,
and the agent ends.
"""


class Peer(StrEnum):
    """The agent's work."""

    SAME_JOB = "same job"
    SHORT = "short"
    WAITS = "short, waits"


class _Sent(NamedTuple):
    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    timestamp: float | None = None
    """Seconds since the epoch; None: now."""


class _SameJob:
    """The router's pipeline."""

    def __init__(self, names: TopicNames, typed: Mapping[str, str], drop_metadata: str) -> None:
        self._names = names
        self._typed = typed
        self._pipeline = new_pipeline(default_settings(drop_metadata=drop_metadata))

    def __call__(self, message: Any) -> _Sent:
        outcome = self._pipeline(message.value, message.headers)
        if isinstance(outcome, Routed):
            return _Sent(
                self._typed[outcome.event_type.name],
                outcome.key,
                outcome.value,
                outcome.headers,
                message.timestamp,
            )
        key = self._pipeline.clean_key(message.key)
        if isinstance(outcome, Unknown):
            return _Sent(
                self._names.unknown, key, outcome.value, outcome.headers, message.timestamp
            )
        dead_letter, key, headers = bounded_dead_letter(
            outcome, key, message.topic, message.partition, message, MAX_BYTES
        )
        return _Sent(self._names.dead_letter, key, dead_letter.value, headers, message.timestamp)


class _Short:
    """Validation only. The key is the unnormalized id."""

    def __init__(self, names: TopicNames, typed: Mapping[str, str]) -> None:
        self._names = names
        self._typed = typed
        self._validators = load_validators()

    def __call__(self, message: Any) -> _Sent:
        value = message.value or b""
        topic, key = self._names.dead_letter, message.key
        try:
            event = orjson.loads(value)
            name = event["metadata"]["event_name"]
            validator = self._validators.get(name)
            if validator is None:
                topic = self._names.unknown
            elif validator.is_valid(event):
                place = validator.event_type.key
                entity = place and place.value(event["metadata"], event["body"])
                topic, key = self._typed[name], entity and str(entity).encode()
        except (ValueError, TypeError, KeyError):
            pass
        return _Sent(topic, key, value, [])


async def route_stock(
    bootstrap: str, raw: str, prefix: str, count: int, scratch: str, peer: Peer, drop_metadata: str
) -> Throughput:
    """Route ``count`` events from the raw topic to the typed topics of a prefix."""
    app = faust.App(
        f"{prefix}-stock",
        env={},
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=scratch,
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
    )
    names = TopicNames(prefix)
    typed = {name: names.typed(event_type) for name, event_type in REGISTRY.items()}
    judge = _SameJob(names, typed, drop_metadata) if peer is Peer.SAME_JOB else _Short(names, typed)
    bytes_topic: dict[str, Any] = {"key_type": bytes, "value_type": bytes}
    topics = {
        name: app.topic(name, **bytes_topic)
        for name in (names.unknown, names.dead_letter, *typed.values())
    }
    done = asyncio.Event()
    started = [0.0, 0.0]
    processed = 0

    async def agent(stream: Any) -> None:
        nonlocal processed
        async for event in stream.events():
            if not processed:
                started[:] = time.perf_counter(), time.process_time()
            topic, key, value, headers, timestamp = judge(event.message)
            sent = await topics[topic].send(
                key=key,
                value=(value or b"")[:MAX_BYTES],
                timestamp=timestamp,
                headers=cast(Any, headers),
            )
            if peer is Peer.WAITS:
                await sent
            processed += 1
            if processed == count:
                done.set()

    app.agent(app.topic(raw, **bytes_topic))(agent)
    await app.start()
    await done.wait()
    await app.producer.flush()
    return Throughput(count, time.perf_counter() - started[0], time.process_time() - started[1])


def main() -> None:
    """Arguments: bootstrap servers, raw topic, prefix of the output topics, number of events, peer,
    fields of metadata to drop.
    """
    bootstrap, raw, prefix, count, peer, drop_metadata = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(_report(bootstrap, raw, prefix, int(count), scratch, Peer(peer), drop_metadata))


async def _report(
    bootstrap: str, raw: str, prefix: str, count: int, scratch: str, peer: Peer, drop_metadata: str
) -> None:
    result = await route_stock(bootstrap, raw, prefix, count, scratch, peer, drop_metadata)
    print(
        json.dumps(
            {"events": result.events, "seconds": result.seconds, "cpu_seconds": result.cpu_seconds}
        ),
        flush=True,
    )
    # no regular stop: it takes long, or never ends
    os._exit(0)


if __name__ == "__main__":
    main()
