"""A broker with Kafka's default settings creates every requested topic. Rollcall's requests do not
allow that.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest
from confluent_kafka import KafkaException, TopicCollection

from rollcall.catalogue.plans import plan_topics
from rollcall.kafka.bounded import stop_reader
from rollcall.kafka.client import client_options
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.kafka.topic_ids import describe_topics
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.settings import load_settings
from tests.kafka_client import admin_client
from tests.processes import EVENTS, PROGRAM, RollcallProcess
from tests.waiting import DEADLINE_SECONDS, result_of, wait_until

ASKING = (sys.executable, str(Path(__file__).with_name("asking.py")))

KAFKAS_OWN = {
    "auto.create.topics.enable": "true",
    "group.initial.rebalance.delay.ms": "3000",
    "num.partitions": "1",
}


@pytest.fixture(scope="module")
def obliging(jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap server of a broker that creates topics."""
    with EmbeddedBroker(
        tmp_path_factory.mktemp("obliging") / "kafka", jars=jars, heap="512m", properties=KAFKAS_OWN
    ) as broker:
        yield broker.bootstrap


def topics_of(bootstrap: str, prefix: str) -> set[str]:
    """Topics of an installation."""
    return {
        topic
        for topic in admin_client(bootstrap).list_topics(timeout=30).topics
        if topic.startswith(prefix)
    }


def identities(bootstrap: str, prefix: str) -> dict[str, str]:
    """Topics of an installation, with their ids: a topic that is created again has another id."""
    names = TopicCollection(sorted(topics_of(bootstrap, prefix)))
    found: dict[str, str] = {}
    for name, described in (
        admin_client(bootstrap).describe_topics(names).items() if names.topic_names else ()
    ):
        with contextlib.suppress(KafkaException):  # it has just gone
            found[name] = str(described.result(DEADLINE_SECONDS).topic_id)
    return found


async def _consume(options: dict[str, Any], topic: str) -> None:
    consumer = AIOKafkaConsumer(topic, **options, group_id=topic)
    try:
        await asyncio.wait_for(consumer.start(), 10)
        await consumer._client.force_metadata_update()
    finally:
        await stop_reader(consumer)


async def _assign(options: dict[str, Any], topic: str) -> None:
    consumer = AIOKafkaConsumer(**options)
    try:
        await consumer.start()
        consumer.assign([TopicPartition(topic, 0)])
        await consumer._client.force_metadata_update()
    finally:
        await stop_reader(consumer)


async def _produce(options: dict[str, Any], topic: str) -> None:
    producer = AIOKafkaProducer(**options, request_timeout_ms=1_000)
    try:
        await producer.start()
        await producer.send(topic, b"value")
    finally:
        await producer.stop()


async def _describe(options: dict[str, Any], topic: str) -> None:
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        assert topic not in (await describe_topics(admin, [topic])).topics
        await admin.describe_topics([topic])
    finally:
        await admin.close()


WAYS: dict[str, Callable[[dict[str, Any], str], Awaitable[None]]] = {
    "consume": _consume,
    "assign": _assign,
    "produce": _produce,
    "describe": _describe,
}


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "as aiokafka does"])
@pytest.mark.parametrize("way", WAYS)
def test_no_client_makes_a_topic_by_asking(
    obliging: str, prefix: str, monkeypatch: pytest.MonkeyPatch, way: str, mended: bool
) -> None:
    if not mended:
        monkeypatch.setattr(MetadataRequest, "build", inspect.unwrap(MetadataRequest.build))

    async def ask() -> None:
        with contextlib.suppress(KafkaError, TimeoutError):
            await WAYS[way](client_options(load_settings(), obliging), f"{prefix}.{way}")

    asyncio.run(ask())
    if mended:
        assert topics_of(obliging, prefix) == set()
    else:
        wait_until(
            lambda: topics_of(obliging, prefix) == {f"{prefix}.{way}"}, what="what the broker makes"
        )


@pytest.mark.slow
@pytest.mark.parametrize("mended", [True, False], ids=["mended", "as aiokafka does"])
@pytest.mark.parametrize("command", ["router", "rosters", "serve"])
def test_no_process_makes_topics_that_are_gone(
    obliging: str, prefix: str, tmp_path: Path, command: str, mended: bool
) -> None:
    settings = load_settings(
        kafka=obliging, topic_prefix=prefix, group_prefix=prefix, partitions=1, events=EVENTS
    )
    asyncio.run(ensure_topics(settings, obliging, plan_topics(settings)))
    made = identities(obliging, prefix)
    given = {"partitions": 1, "replica": tmp_path / "replica.sqlite", "create_topics": False}
    with RollcallProcess(
        command,
        tmp_path,
        obliging,
        prefix,
        program=PROGRAM if mended else ASKING,
        variables=None,
        **given,
    ) as process:
        process.wait_ready()
        for deleted in admin_client(obliging).delete_topics(list(made)).values():
            result_of(deleted, what="the end of a topic")
        if mended:
            wait_until(
                lambda: process.get("/readyz")[0] != 200,
                what="what the process says without topics",
            )
            assert topics_of(obliging, prefix) == set()
        else:
            wait_until(
                lambda: identities(obliging, prefix).items() - made.items(),
                what="what the broker makes",
            )
