"""The peer: what one would write with Faust as it comes, with its defaults. An agent that parses, validates and sends, event by event.

It does less than the router: no headers, no id, no redaction, no dead letters with reasons. It sends without waiting for acknowledgements, as Faust's guide
does, and then commits offsets of events whose delivery failed; or it waits for each, and loses none, though it repeats some. Run as a process of its own by
:mod:`app.bench.router`; prints one JSON object when it has processed so many events.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from typing import Any

import faust
import orjson

from app.bench.figures import Throughput
from app.events.registry import REGISTRY
from app.events.validation import load_validators
from app.topics import TopicNames

MOST_BYTES = 900_000
"""More would crash it: Faust's producer refuses the record, and the agent dies."""


async def route_stock(bootstrap: str, raw: str, prefix: str, count: int, scratch: str, *, wait: bool) -> Throughput:
    """Route ``count`` events from the raw topic to the typed topics of a prefix; with ``wait`` each is acknowledged before the next is taken."""
    app = faust.App(
        f"{prefix}-stock",
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
    validators = load_validators()
    bytes_topic: dict[str, Any] = {"key_type": bytes, "value_type": bytes}
    typed = {name: app.topic(names.typed(event_type), **bytes_topic) for name, event_type in REGISTRY.items()}
    unknown, dead_letter = app.topic(names.unknown, **bytes_topic), app.topic(names.dead_letter, **bytes_topic)
    done = asyncio.Event()
    started = [0.0, 0.0]
    processed = 0

    async def agent(stream: Any) -> None:
        nonlocal processed
        async for message in stream.events():
            if not processed:
                started[:] = time.perf_counter(), time.process_time()
            value = message.value
            topic, key = dead_letter, message.key
            try:
                event = orjson.loads(value or b"")
                name = event["metadata"]["event_name"]
                validator = validators.get(name)
                if validator is None:
                    topic = unknown
                elif validator.is_valid(event):
                    topic, key = typed[name], str(event["body"][validator.event_type.key]).encode()
            except (ValueError, TypeError, KeyError):
                pass
            sent = await topic.send(key=key, value=(value or b"")[:MOST_BYTES])
            if wait:
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
    """Arguments: bootstrap servers, raw topic, prefix of the topics to write, number of events, and whether to wait for acknowledgements (0 or 1)."""
    bootstrap, raw, prefix, count, wait = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(_report(bootstrap, raw, prefix, int(count), scratch, wait=wait == "1"))


async def _report(bootstrap: str, raw: str, prefix: str, count: int, scratch: str, *, wait: bool) -> None:
    result = await route_stock(bootstrap, raw, prefix, count, scratch, wait=wait)
    print(json.dumps({"events": result.events, "seconds": result.seconds, "cpu_seconds": result.cpu_seconds}), flush=True)
    os._exit(0)  # what it has read ahead is of no interest, and stopping it takes a while or does not end


if __name__ == "__main__":
    main()
