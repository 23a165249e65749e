"""Ends of partitions, from the currently elected leaders.

A deposed leader that does not know it reports an old end. An end before a position that was reached
looks like a topic that was truncated or created again. Each election has a number, the leader
epoch. So all brokers are asked for the leader and its epoch, and the leader of the latest epoch is
asked for the end in that epoch (KIP-320): a broker that leads in another epoch refuses.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, NoError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Int64, Schema, String

from rollcall.kafka.topic_ids import TopicsRequest, broker_ids

_LATEST = -1
"""In place of a timestamp: the end."""


class UnprovenError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """No broker has given offsets that are proven to be current. A retry may get them."""

    retriable = True


class Leader(NamedTuple):
    """Leader of a partition."""

    epoch: int
    node: int


async def proven_ends(
    admin: AIOKafkaAdminClient, places: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    """High watermarks of partitions, from the leaders of the latest epochs that a majority of the
    brokers knows.

    Raises:
        UnprovenError: no majority of the brokers answers, or the leader of a partition does not.
        aiokafka.errors.KafkaError: the cluster does not answer.
    """
    await admin._client.force_metadata_update()
    brokers = broker_ids(admin)
    names = {tp.topic for tp in places}
    answers = await asyncio.gather(
        *(admin._send_request(TopicsRequest(names), node) for node in brokers),
        return_exceptions=True,
    )
    views = [
        leaders_in(response) for response in answers if not isinstance(response, BaseException)
    ]
    for response in answers:
        if isinstance(response, BaseException) and not isinstance(
            response, KafkaError | OSError | TimeoutError
        ):
            raise response
    if len(views) <= len(brokers) // 2:
        raise UnprovenError(f"{len(views)} of {len(brokers)} brokers say who leads which partition")
    leaders = latest(views)
    by_node: defaultdict[int, list[tuple[TopicPartition, int]]] = defaultdict(list)
    for tp in places:
        if tp not in leaders:
            raise UnprovenError(f"{tp.topic}, partition {tp.partition}, has no leader")
        by_node[leaders[tp].node].append((tp, leaders[tp].epoch))
    ends: dict[TopicPartition, int] = {}
    for node, partitions in by_node.items():
        ends |= _ends_in(await admin._send_request(_EndsRequest(partitions), node))
    return ends


def leaders_in(response: Any) -> dict[TopicPartition, Leader]:
    """Leaders in a broker's response to a :class:`TopicsRequest`."""
    return {
        TopicPartition(name, partition): Leader(epoch, node)
        for _error, name, _identity, _internal, partitions, *_ in response.topics
        for _partition_error, partition, node, epoch, *_ in partitions
        if node >= 0
    }


def latest(views: Collection[Mapping[TopicPartition, Leader]]) -> dict[TopicPartition, Leader]:
    """The leader of the latest epoch of each partition, from the views of several brokers."""
    leaders: dict[TopicPartition, Leader] = {}
    for view in views:
        for tp, leader in view.items():
            if tp not in leaders or leader.epoch > leaders[tp].epoch:
                leaders[tp] = leader
    return leaders


def _ends_in(response: Any) -> dict[TopicPartition, int]:
    ends = {}
    for topic, partitions in response.topics:
        for partition, code, _timestamp, offset, _epoch in partitions:
            error = for_code(code)
            if error is not NoError:
                raise UnprovenError(
                    f"the leader of {topic}, partition {partition}, does not tell its end: "
                    f"{error.__name__}"
                )
            ends[TopicPartition(topic, partition)] = offset
    return ends


class _EndsResponseV4(Response):  # type: ignore[misc]
    API_KEY = 2
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("timestamp", Int64),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                    ),
                ),
            ),
        ),
    )


class _EndsRequestV4(RequestStruct):  # type: ignore[misc]
    API_KEY = 2
    API_VERSION = 4
    RESPONSE_TYPE = _EndsResponseV4
    SCHEMA = Schema(
        ("replica_id", Int32),
        ("isolation_level", Int8),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(
                        ("partition", Int32), ("current_leader_epoch", Int32), ("timestamp", Int64)
                    ),
                ),
            ),
        ),
    )


class _EndsRequest(Request[_EndsRequestV4]):  # type: ignore[misc]
    """ListOffsets, version 4: ends of partitions, each with a leader epoch. aiokafka's own request
    writes the epoch in eight bytes instead of four.
    """

    API_KEY = 2

    def __init__(self, partitions: Collection[tuple[TopicPartition, int]]) -> None:
        self._partitions = partitions

    def build(self, request_struct_class: Any) -> Any:
        """Build the request."""
        topics: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for tp, epoch in self._partitions:
            topics[tp.topic].append((tp.partition, epoch, _LATEST))
        return request_struct_class(-1, 0, list(topics.items()))
