"""Shared by commands that read topics: errors for users, and partition counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from rollcall.errors import BrokerUnavailableError
from rollcall.kafka.bounded import close
from rollcall.kafka.topic_ids import describe_topics
from rollcall.kafka.topics import TopicsError

STALL_SECONDS = 30.0
"""Time without progress after which the brokers count as gone."""

REQUEST_MS = 20_000


@contextmanager
def kafka_errors_explained(what: str, bootstrap: str) -> Iterator[None]:
    """Turn Kafka's errors into errors for users.

    Args:
        what: is read, as the subject of a sentence: ``the rosters``.

    Raises:
        BrokerUnavailableError: the cluster does not answer.
        TopicsError: the cluster answers, and this user may not read a topic.
    """
    try:
        yield
    except TimeoutError:
        raise BrokerUnavailableError(
            f"nothing came from Kafka at {bootstrap} for {STALL_SECONDS:.0f} s; look at the "
            "brokers, and try again"
        ) from None
    except TopicAuthorizationFailedError as error:
        raise TopicsError(
            f"{what} cannot be read from Kafka at {bootstrap}: this user may not read "
            f"{error.args[0]}; allow it to"
        ) from None
    except (KafkaError, OSError) as error:
        raise BrokerUnavailableError(
            f"{what} cannot be read from Kafka at {bootstrap} ({type(error).__name__}); check the "
            "brokers, or ROLLCALL_KAFKA"
        ) from None


async def partition_counts(options: Mapping[str, Any], topics: Collection[str]) -> dict[str, int]:
    """Number of partitions of each existing topic. From the cluster, not the settings: a reader
    needs no such setting.
    """
    admin = AIOKafkaAdminClient(**options, request_timeout_ms=REQUEST_MS)
    try:
        await admin.start()
        return {
            name: topic.partitions
            for name, topic in (await describe_topics(admin, topics)).topics.items()
        }
    finally:
        await close(admin.close())
