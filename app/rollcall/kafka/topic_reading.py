"""What commands that read topics share: what they say when Kafka does not let them, and how many
partitions there are.
"""

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
"""Without any progress for so long, the brokers are taken to be gone."""

REQUEST_MS = 20_000


@contextmanager
def kafka_errors_explained(what: str, bootstrap: str) -> Iterator[None]:
    """Turn what goes wrong with Kafka into errors for people.

    Args:
        what: is being read, as the subject of a sentence: ``the rosters``.

    Raises:
        BrokerUnavailableError: the cluster does not answer.
        TopicsError: the cluster answers, and does not let this user read a topic.
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
    """How many partitions each of the topics has that are there. What the cluster says counts, not
    the settings: whoever only reads need not be told.
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
