"""Sends simulated events to the raw topic of the configured cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aiokafka.errors import KafkaError

from rollcall.catalogue.plans import bridge_rights
from rollcall.cli.cluster import bootstrap_servers
from rollcall.errors import BrokerUnavailableError
from rollcall.kafka.client import client_options
from rollcall.kafka.rights import check_rights
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.process.topics import TopicNames
from rollcall.router.topics import plan_router_topics
from rollcall.sandbox.canvas.sending import send_at_rate, send_records
from rollcall.sandbox.canvas.simulation import SimulatedEvent
from rollcall.sandbox.canvas.traffic import Destination, Expectation, TrafficRecord
from rollcall.settings import Settings, load_settings


def send_to_kafka(events: Iterator[SimulatedEvent], rate: float | None) -> tuple[int, str]:
    """Send events to the raw topic, ``rate`` a second, or without a limit. Returns their number and
    the topic's name.
    """
    settings = load_settings()
    topic = TopicNames(settings.topic_prefix).raw
    return asyncio.run(_send(settings, bootstrap_servers(settings), topic, events, rate)), topic


async def _send(
    settings: Settings,
    bootstrap: str,
    topic: str,
    events: Iterator[SimulatedEvent],
    rate: float | None,
) -> int:
    await check_rights(settings, bootstrap, bridge_rights(settings))
    await ensure_topics(
        settings, bootstrap, [plan for plan in plan_router_topics(settings) if plan.name == topic]
    )
    options = client_options(settings, bootstrap)
    records = (
        TrafficRecord(
            None, event.value, (), event.time_ms, Expectation(Destination.ROUTED, event.name, None)
        )
        for event in events
    )
    try:
        return await (
            send_records(options, topic, records)
            if rate is None
            else send_at_rate(options, topic, records, rate)
        )
    except (KafkaError, OSError) as error:
        raise BrokerUnavailableError(
            f"the events could not be sent to {topic} at {bootstrap} ({type(error).__name__}: "
            f"{error}); check the cluster"
        ) from None
