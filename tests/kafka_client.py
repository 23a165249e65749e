"""Independent Kafka client for tests: librdkafka, which shares no code with Rollcall's clients."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar, cast

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
    TopicPartitionInfo,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

from tests.waiting import DEADLINE_SECONDS, answer_of, wait_until

Result = TypeVar("Result")

IDEMPOTENCE: Mapping[str, Any] = {
    "enable.idempotence": True,
    "max.in.flight.requests.per.connection": 1,
}
"""librdkafka's settings of an idempotent producer for new topics.

With several requests in flight, the first record of a new partition was acknowledged and lost: the
partition began with sequence number 1. The broker may refuse the first request while it opens the
partition, and take the second one, because it does not know the producer yet.
"""

TIMED_OUT = (KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError.REQUEST_TIMED_OUT)

PASSING = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
)
"""Errors of a group coordinator while a fresh broker creates it."""

PASSING_FOR_READERS = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
)
"""Passing errors of a reader: lost connections, and new topics that the broker does not know
yet.
"""


@dataclass(frozen=True)
class Sent:
    """A record to send."""

    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int = 0


def in_time(call: Callable[[float], Result], *, what: str) -> Result:
    """Result of a librdkafka call with a timeout. Its timeouts count as lateness."""

    def ask(seconds: float) -> Result:
        try:
            return call(seconds)
        except KafkaException as error:
            if error.args[0].code() in TIMED_OUT:
                raise TimeoutError from error
            raise

    return answer_of(ask, what=what)


def flush(producer: Producer) -> None:
    """Wait until everything is acknowledged or refused."""
    wait_until(lambda: producer.flush(1) == 0, what="the acknowledgement of what was sent")


@cache
def admin_client(bootstrap: str) -> AdminClient:
    """One client for the whole session: librdkafka sometimes crashes when a client ends right after
    an answer.
    """
    # it outlives the brokers that tests stop
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})


def create_topic(
    bootstrap: str, topic: str, partitions: int = 4, config: dict[str, str] | None = None
) -> None:
    """Create a topic, with the brokers' default number of replicas, and wait until it is known."""
    admin = admin_client(bootstrap)
    in_time(
        admin.create_topics([NewTopic(topic, partitions, config=config or {})])[topic].result,
        what=f"the creation of {topic}",
    )
    _wait_known(bootstrap, topic, partitions)


def add_partitions(bootstrap: str, topic: str, total: int) -> None:
    """Add partitions to a topic until it has so many, and wait until they are known."""
    admin = admin_client(bootstrap)
    in_time(
        admin.create_partitions([NewPartitions(topic, total)])[topic].result,
        what=f"the new partitions of {topic}",
    )
    _wait_known(bootstrap, topic, total)


def _wait_known(bootstrap: str, topic: str, partitions: int) -> None:
    """Wait until the broker tells its clients of the partitions and their leaders. The controller
    acknowledges a change before the broker applies it.
    """

    wait_until(
        lambda: (
            sum(place.leader is not None for place in _described(bootstrap, [topic])[topic])
            == partitions
        ),
        what=f"{partitions} partitions of {topic}",
    )


def delete_topic(bootstrap: str, topic: str) -> None:
    """Delete a topic and wait until it is gone."""
    admin = admin_client(bootstrap)
    in_time(admin.delete_topics([topic])[topic].result, what=f"the deletion of {topic}")
    wait_until(lambda: topic not in topics_of(bootstrap), what=f"the end of {topic}")


def topics_of(bootstrap: str) -> set[str]:
    """The names of all topics."""
    return set(
        in_time(
            lambda seconds: admin_client(bootstrap).list_topics(timeout=seconds),
            what="the list of topics",
        ).topics
    )


def delete_records(bootstrap: str, topic: str, partition: int, *, before: int) -> None:
    """Delete the records of a partition before an offset, as retention does."""
    place = TopicPartition(topic, partition, before)
    admin = admin_client(bootstrap)

    def is_deleted() -> bool:
        try:
            in_time(admin.delete_records([place])[place].result, what="the deletion of records")
        except KafkaException as error:
            # that records of a topic may be deleted was allowed a moment ago, and the broker does
            # not know yet
            if error.args[0].code() != KafkaError.POLICY_VIOLATION:
                raise
            return False
        return True

    wait_until(is_deleted, what=f"the right to delete records of {topic}")


def set_committed(bootstrap: str, group: str, topic: str, offsets: dict[int, int]) -> None:
    """Set a group's committed offsets."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    consumer.commit(
        offsets=[TopicPartition(topic, partition, offset) for partition, offset in offsets.items()],
        asynchronous=False,
    )
    consumer.close()


def alter_topic(bootstrap: str, topic: str, config: dict[str, str]) -> None:
    """Set configuration values of a topic."""
    admin = admin_client(bootstrap)
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in config.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    in_time(
        next(iter(admin.incremental_alter_configs([resource]).values())).result,
        what=f"the configuration of {topic}",
    )


def limit_record_size(bootstrap: str, topic: str, max_bytes: int) -> None:
    """Set ``max.message.bytes`` of a topic, and wait until the broker applies it, which is a moment
    later.
    """
    alter_topic(bootstrap, topic, {"max.message.bytes": str(max_bytes)})
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": f"{topic}-probe",
            "message.max.bytes": 20_000_000,
        }
    )
    in_time(producer.init_transactions, what="a transactional producer")
    wait_until(
        lambda: (
            _takes(producer, topic, max_bytes - 200)
            and not _takes(producer, topic, max_bytes + 200)
        ),
        what=f"max.message.bytes of {topic}",
    )


def _takes(producer: Producer, topic: str, size: int) -> bool:
    """Whether a topic accepts a record of this size. The transaction is aborted, so nobody reads
    the record.
    """
    refusals: list[object] = []
    producer.begin_transaction()
    producer.produce(
        topic,
        bytes(size),
        on_delivery=lambda error, _message: refusals.extend([error] if error else []),
    )
    flush(producer)
    in_time(producer.abort_transaction, what="the end of a transaction")
    return not refusals


def send(
    bootstrap: str,
    topic: str,
    records: Iterable[Sent],
    *,
    transactional_id: str | None = None,
    commit: bool = True,
    security: Mapping[str, Any] | None = None,
) -> None:
    """Send records and wait until all are acknowledged; within one transaction if an id is given.
    ``security``: librdkafka's settings.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "linger.ms": 5,
        "compression.type": "zstd",
        "message.max.bytes": 20_000_000,
        **IDEMPOTENCE,
    }
    config |= security or {}
    if transactional_id:
        config["transactional.id"] = transactional_id
    producer = Producer(config)
    if transactional_id:
        in_time(producer.init_transactions, what="a transactional producer")
        producer.begin_transaction()
    failures: list[str] = []

    def on_delivery(error: object, _message: Message) -> None:
        if error is not None:
            failures.append(str(error))

    for record in records:
        partition = -1 if record.partition is None else record.partition
        while True:
            try:
                producer.produce(
                    topic,
                    record.value,
                    record.key,
                    partition,
                    on_delivery,
                    timestamp=record.timestamp_ms,
                    headers=list(record.headers),
                )
                break
            except BufferError:
                producer.poll(0.1)
    flush(producer)
    if transactional_id:
        in_time(
            producer.commit_transaction if commit else producer.abort_transaction,
            what="the end of a transaction",
        )
    assert not failures, failures[:3]


def partitions_of(bootstrap: str, topics: Sequence[str]) -> list[TopicPartition]:
    """All partitions of topics that exist."""
    return [
        TopicPartition(topic, partition.id)
        for topic, partitions in _described(bootstrap, topics).items()
        for partition in partitions
    ]


def _described(bootstrap: str, topics: Sequence[str]) -> dict[str, list[TopicPartitionInfo]]:
    """The partitions of topics; none for a topic that does not exist."""
    # By name: to be told of all topics, those of other tests too, takes the broker and this client
    # many times as long.
    answers = (
        admin_client(bootstrap).describe_topics(
            TopicCollection(list(topics)), request_timeout=DEADLINE_SECONDS
        )
        if topics
        else {}
    )
    described: dict[str, list[TopicPartitionInfo]] = {}
    for topic, answer in answers.items():
        try:
            described[topic] = in_time(answer.result, what=f"the partitions of {topic}").partitions
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            described[topic] = []
    return described


def read_all(
    bootstrap: str,
    topics: Sequence[str],
    *,
    at_least: int = 0,
    group: str = "reader",
    security: Mapping[str, Any] | None = None,
) -> list[Message]:
    """Committed records of topics: up to their current ends, and further until there are
    ``at_least`` records.

    If no record comes for a minute, it returns the records so far: the test judges the rest.
    ``security``: librdkafka's settings.

    The end that a reader gets lags for a moment behind commits, so state the number of expected
    records.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,  # so long it takes to hear that there is no more
            **(security or {}),
        }
    )
    places = [
        TopicPartition(topic, number)
        for topic in topics
        for number in in_time(
            lambda seconds, topic=topic: consumer.list_topics(topic, timeout=seconds),  # type: ignore[misc]
            what=topic,
        )
        .topics[topic]
        .partitions
    ]
    for place in places:
        place.offset = 0
    consumer.assign(places)
    messages: list[Message] = []
    finished: set[tuple[str, int]] = set()
    latest = time.monotonic()
    try:
        while len(finished) < len(places) or len(messages) < at_least:
            if time.monotonic() - latest > DEADLINE_SECONDS:
                wait_until(
                    lambda: len(finished) == len(places), 0, what=f"the ends of {', '.join(topics)}"
                )
                break
            for message in consumer.consume(5000, 0.1):
                where, error = (
                    (cast(str, message.topic()), cast(int, message.partition())),
                    message.error(),
                )
                if error is None:
                    messages.append(message)
                    finished.discard(where)
                    latest = time.monotonic()
                elif error.code() == KafkaError._PARTITION_EOF:
                    finished.add(where)
                elif not error.retriable() and error.code() not in PASSING_FOR_READERS:
                    raise KafkaException(error)
    finally:
        consumer.close()
    return messages


def committed(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """Committed offsets of a group, by partition; partitions without one are left out."""
    found: list[TopicPartition] = []

    def is_told() -> bool:
        try:
            found[:] = committed_places(bootstrap, group, partitions_of(bootstrap, [topic]))
        except KafkaException as error:
            if error.args[0].code() not in PASSING:
                raise
            return False
        return True

    wait_until(is_told, what=f"the offsets of {group}")
    return {place.partition: place.offset for place in found if place.offset >= 0}


def committed_places(
    bootstrap: str, group: str, places: list[TopicPartition], isolation: str = "read_committed"
) -> list[TopicPartition]:
    """Committed offsets of a group; a negative offset: none yet. A reader of committed records
    waits for offsets in open transactions.

    Raises:
        KafkaException: the coordinator does not answer, or answers with an error.
    """
    # Not by the admin client: while a fresh broker makes the topic of its groups' offsets, its
    # answer to that crashes librdkafka's Python binding.
    return in_time(
        lambda seconds: _group_reader(bootstrap, group, isolation).committed(
            places, timeout=seconds
        ),
        what=f"the offsets of {group}",
    )


@lru_cache(maxsize=4)
def _group_reader(bootstrap: str, group: str, isolation: str) -> Consumer:
    """Cached consumer for repeated requests: connecting takes ten times as long as an answer."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "isolation.level": isolation,
            "log_level": 2,
        }
    )


def headers(message: Message) -> dict[str, bytes]:
    """Headers of a message; each name must be unique."""
    pairs = cast(list[tuple[str, bytes]], message.headers() or [])
    assert len(dict(pairs)) == len(pairs), f"a header is there twice: {pairs}"
    return dict(pairs)
