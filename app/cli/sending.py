"""Sends simulated events to the raw topic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import islice

from aiokafka.errors import KafkaError

from app.access import check_access
from app.canvas.sending import send_records
from app.canvas.simulation import SimulatedEvent
from app.canvas.traffic import Expectation, Kind, TrafficRecord
from app.cli.cluster import bootstrap_servers
from app.errors import BrokerUnavailableError
from app.kafka import client_options
from app.settings import Settings, load_settings
from app.topic_admin import ensure_topics
from app.topics import TopicNames, plan_router_topics


def send_to_kafka(events: Iterator[SimulatedEvent], rate: float | None) -> tuple[int, str]:
    """Send events to the raw topic of the configured cluster, so many a second; how many there were, and the topic's name."""
    settings = load_settings()
    topic = TopicNames(settings.topic_prefix).raw
    return asyncio.run(_send(settings, bootstrap_servers(settings), topic, events, rate)), topic


async def _send(settings: Settings, bootstrap: str, topic: str, events: Iterator[SimulatedEvent], rate: float | None) -> int:
    await check_access(settings, bootstrap, "bridge")
    await ensure_topics(settings, bootstrap, [plan for plan in plan_router_topics(settings) if plan.name == topic])
    options = client_options(settings, bootstrap)
    records = (TrafficRecord(None, event.value, (), event.time_ms, Expectation(Kind.ROUTED, event.name, None)) for event in events)
    try:
        if rate is None:
            return await send_records(options, topic, records)
        began, sent = time.monotonic(), 0
        # What is due in a second at once; at low rates one event at a time.
        while batch := list(islice(records, max(1, int(rate)))):
            await asyncio.sleep(began + sent / rate - time.monotonic())
            sent += await send_records(options, topic, batch)
        return sent
    except (KafkaError, OSError) as error:
        raise BrokerUnavailableError(f"the events could not be sent to {topic} at {bootstrap} ({type(error).__name__}: {error}); check the cluster") from None
