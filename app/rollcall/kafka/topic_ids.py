"""Topics of a cluster with their ids, and a client's operations on them.

A topic that was deleted and created again has the same name and another id (KIP-516). aiokafka's
metadata requests lack ids and operations (KIP-430), so this is a later version of the request.
Every Kafka since 2.8 supports it.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    KafkaError,
    NodeNotReadyError,
    NoError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_UUID_BYTES = 16
_NO_UUID = str(UUID(int=0))

_OPERATIONS = 31
"""Number of bits in an operations field."""

_NOT_REPORTED = -(2**31)


class Topic(NamedTuple):
    """A topic as it is now."""

    partitions: int
    identity: str
    leaderless: int
    """Number of partitions without a leader: nobody can read or write them."""


class Topics(NamedTuple):
    """Topics of a cluster."""

    cluster: str
    """Id of the cluster."""
    topics: Mapping[str, Topic]
    """Existing topics, by name."""


async def describe_topics(admin: AIOKafkaAdminClient, names: Collection[str]) -> Topics:
    """Describe some topics, from any broker that answers.

    Raises:
        aiokafka.errors.KafkaError: no broker answers, or not for all topics.
    """
    return _topics_of(await request_any(admin, TopicsRequest(names)))


async def topics_on_broker(admin: AIOKafkaAdminClient, node: int, names: Collection[str]) -> Topics:
    """Describe some topics as one broker knows them. Raises as :func:`describe_topics`."""
    return _topics_of(await admin._send_request(TopicsRequest(names), node))


async def request_any(admin: AIOKafkaAdminClient, request: Request[Any]) -> Any:
    """Response of any broker. If one does not answer, the next is tried (aiokafka would try only
    one).

    Raises:
        aiokafka.errors.KafkaError: none answers.
    """
    failure: KafkaError = NodeNotReadyError("no broker is known")
    for node in random.sample(nodes := broker_ids(admin), k=len(nodes)):
        try:
            return await admin._send_request(request, node)
        except KafkaError as error:
            failure = error
    raise failure


def broker_ids(admin: AIOKafkaAdminClient) -> list[int]:
    """Ids of the brokers that a client knows."""
    return [broker.nodeId for broker in admin._client.cluster.brokers()]


def _topics_of(answer: Any) -> Topics:
    topics: dict[str, Topic] = {}
    for code, name, identity, _internal, partitions, *_ in answer.topics:
        error = for_code(code)
        if error is NoError:
            topics[name] = Topic(
                len(partitions),
                identity,
                sum(leader < 0 for _code, _number, leader, *_ in partitions),
            )
        elif error is not UnknownTopicOrPartitionError:
            raise error(name)
    return Topics(answer.cluster_id, topics)


async def allowed_operations(
    connection: AIOKafkaConnection, names: Collection[str]
) -> dict[str, frozenset[int] | None]:
    """This client's operations on topics: Kafka's operation numbers, by topic. None: no such topic,
    or not reported.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    answer = await connection.send(TopicsRequest(names))
    allowed: dict[str, frozenset[int] | None] = {}
    for error, name, _identity, _internal, _partitions, operations, _tags in answer.topics:
        if error == TopicAuthorizationFailedError.errno:
            allowed[name] = frozenset()
        elif error or operations == _NOT_REPORTED:
            allowed[name] = None
        else:
            allowed[name] = frozenset(
                number for number in range(_OPERATIONS) if operations >> number & 1
            )
    return allowed


class _Uuid(AbstractType[str]):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: str) -> bytes:
        return UUID(value).bytes

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        return str(UUID(bytes=data.read(_UUID_BYTES)))


_TEXT = CompactString("utf-8")


class _MetadataResponseV12(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", _TEXT),
                ("port", Int32),
                ("rack", _TEXT),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequestV12(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponseV12
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _TEXT), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicsRequest(Request[_MetadataRequestV12]):  # type: ignore[misc]
    """Metadata of named topics, with allowed operations. Creates no topic."""

    API_KEY = 3

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def build(self, request_struct_class: Any) -> Any:
        """Build the request."""
        topics: list[tuple[str, str, dict[int, bytes]]] = [
            (_NO_UUID, name, {}) for name in self._names
        ]
        return request_struct_class(topics, False, True, {})
