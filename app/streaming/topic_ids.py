"""Which topics a cluster has, each with its id: a topic that was deleted and created again has the same name and another id (KIP-516). And what a client may do
with them (KIP-430).

aiokafka's metadata requests are older than both, so this is one of a later version.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IncompatibleBrokerVersion, TopicAuthorizationFailedError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import AbstractType, Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

_UUID_BYTES = 16
_NO_UUID = str(UUID(int=0))

_OPERATIONS = 31
"""Bits of what is told about them."""

_NOT_TOLD = -(2**31)

_TOO_OLD = (IncompatibleBrokerVersion, NotImplementedError)
"""Of a broker. The second is what aiokafka says of a version that the broker does not know."""


class Topic(NamedTuple):
    """A topic as it is now."""

    partitions: int
    identity: str | None
    """None: the cluster does not tell (before Kafka 2.8)."""


class Topics(NamedTuple):
    """Those of a cluster."""

    cluster: str
    """Its id."""
    topics: Mapping[str, Topic]
    """By name, as far as they are there."""


async def describe_topics(admin: AIOKafkaAdminClient, names: Collection[str]) -> Topics:
    """Ask a cluster for some of its topics.

    Raises:
        aiokafka.errors.KafkaError: it does not answer.
    """
    try:
        # For all topics: to ask for one by its name creates it where brokers are set to do so.
        answer = await admin._send_request(TopicsRequest(None))
    except _TOO_OLD:
        described = await admin.describe_topics()
        found = {topic["topic"]: Topic(len(topic["partitions"]), None) for topic in described if topic["topic"] in names and not topic["error_code"]}
        return Topics((await admin.describe_cluster())["cluster_id"], found)
    topics = {name: Topic(len(partitions), identity) for error, name, identity, _internal, partitions, *_ in answer.topics if name in names and not error}
    return Topics(answer.cluster_id, topics)


async def allowed_operations(connection: AIOKafkaConnection, names: Collection[str]) -> dict[str, frozenset[int] | None]:
    """What this client may do with topics: Kafka's numbers of operations, by name. None: the cluster does not tell, or there is no such topic.

    Raises:
        aiokafka.errors.KafkaError: it does not answer.
    """
    try:
        answer = await connection.send(TopicsRequest(names))
    except _TOO_OLD:
        return dict.fromkeys(names)
    allowed: dict[str, frozenset[int] | None] = {}
    for error, name, _identity, _internal, _partitions, operations, _tags in answer.topics:
        if error == TopicAuthorizationFailedError.errno:
            allowed[name] = frozenset()
        elif error or operations == _NOT_TOLD:
            allowed[name] = None
        else:
            allowed[name] = frozenset(number for number in range(_OPERATIONS) if operations >> number & 1)
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
        ("brokers", CompactArray(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), ("tags", TaggedFields))),
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
    """For topics of some names, with what may be done with them, or for all (None). Creates none."""

    API_KEY = 3

    def __init__(self, names: Collection[str] | None) -> None:
        self._names = names

    def build(self, request_struct_class: Any) -> Any:
        """The request itself."""
        topics: list[tuple[str, str, dict[int, bytes]]] | None = None if self._names is None else [(_NO_UUID, name, {}) for name in self._names]
        return request_struct_class(topics, False, topics is not None, {})
