"""``python -m tests.router.digests``: what the router makes of many records, in short, as JSON."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from random import Random

from rollcall.events.dropping import MetadataDropper
from rollcall.events.pipeline import Pipeline
from rollcall.events.redaction import Redactor
from rollcall.events.schemas.validation import load_validators
from rollcall.kafka.batches import BatchedOutputs
from rollcall.router import typed_outputs
from rollcall.router.handler import RouterHandler
from rollcall.sandbox.canvas.traffic import TrafficPlan, generate_traffic
from rollcall.streaming.chunks import Chunk
from tests.fuzz.inputs import any_headers, any_input
from tests.router.handling import FakeRecord, Producer, context_of

EVENTS = 2_000
OTHERS = 500
CHUNK_RECORDS = 100


def digests() -> dict[str, str]:
    """By the settings and the first record of each chunk: a digest of the encoded records that it
    became, and of all that was counted.
    """
    validators = load_validators()
    full = Pipeline(
        validators,
        shard=2107,
        redactor=Redactor(("access_token", "client_secret")),
        dropper=MetadataDropper(("client_ip", "user_agent", "url")),
    )
    fetched = list(_records())
    return {
        f"{name} {start}": _digest(pipeline, fetched[start : start + CHUNK_RECORDS])
        for name, pipeline in (("defaults", Pipeline(validators)), ("full", full))
        for start in range(0, len(fetched), CHUNK_RECORDS)
    }


def _records() -> Iterator[FakeRecord]:
    random = Random(1)
    for number, sent in enumerate(generate_traffic(TrafficPlan(count=EVENTS))):
        yield FakeRecord(number, sent.key, sent.value, sent.headers, number)
    for number in range(EVENTS, EVENTS + OTHERS):
        yield FakeRecord(number, b"key", any_input(random), any_headers(random), number)


def _digest(pipeline: Pipeline, fetched: Sequence[FakeRecord]) -> str:
    outputs = BatchedOutputs(Producer())
    result = RouterHandler(context_of(pipeline)).process(
        [Chunk("canvas.raw", 1, 0, 1, list(fetched), 0)], outputs
    )
    counts = [getattr(result, each.name) for each in fields(result) if each.name != "metrics"]
    digest = hashlib.sha256()
    for place, batches in sorted(outputs._batches.items()):
        digest.update(repr(place).encode())
        for batch in batches.batches:
            digest.update(bytes(batch.encoded))
    digest.update(repr(counts).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    json.dump([str(typed_outputs.__file__), digests()], sys.stdout)
