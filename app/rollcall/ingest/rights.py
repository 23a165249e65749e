"""The rights that ingest needs."""

from __future__ import annotations

from rollcall.kafka.rights import Operation, Rights, on_topic
from rollcall.process.topics import TopicNames
from rollcall.settings import Settings


def ingest_rights(settings: Settings) -> Rights:
    """The right to write raw events. Missing topics need the right to create them, too, unless
    ``rollcall topics apply`` was there before.
    """
    raw = TopicNames(settings.topic_prefix).raw
    return Rights("ingest", on_topic(raw, Operation.WRITE, Operation.DESCRIBE_CONFIGS), (raw,))
