"""Sending records that were set aside to the raw topic again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, TopicAuthorizationFailedError

from rollcall.dead_letters.letter import StoredRecord
from rollcall.dead_letters.reading import existing_partitions, read_selected
from rollcall.dead_letters.replay import Decision, Prospect, replayed
from rollcall.dead_letters.selection import Selection
from rollcall.dead_letters.tally import OTHERS, count_one, event_name_to_show
from rollcall.errors import BrokerUnavailableError
from rollcall.kafka.batches import BatchedOutputs
from rollcall.kafka.client import client_options
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.sender import open_sender
from rollcall.kafka.topic_reading import STALL_SECONDS, kafka_errors_explained
from rollcall.kafka.topics import TopicsError
from rollcall.process.topics import TopicNames
from rollcall.settings import Settings


class Sort(NamedTuple):
    """What is counted together."""

    send: bool
    prospect: Prospect | str
    code: str
    event_name: str


_OTHERS = Sort(False, OTHERS, "", "")


@dataclass(slots=True)
class Replay:
    """One replay: how it decides, and how far it has come, also when it is broken off.

    ``decide`` is pure (:class:`rollcall.dead_letters.replay.Judge`); ``words``: texts that are
    shown as they are.
    """

    decide: Callable[[StoredRecord], Decision]
    words: frozenset[str]
    counts: Counter[Sort] = field(default_factory=Counter)
    to_send: int = 0
    sent: int = 0
    """Acknowledged by all replicas."""

    def chosen(self, records: Sequence[StoredRecord]) -> list[StoredRecord]:
        """Those to send. All are counted."""
        chosen = []
        for record in records:
            send, prospect, code = self.decide(record)
            count_one(
                self.counts,
                Sort(send, prospect, code, event_name_to_show(record, self.words)),
                _OTHERS,
            )
            if send:
                chosen.append(record)
        self.to_send += len(chosen)
        return chosen


async def rehearse(
    settings: Settings, bootstrap: str, topic: str, selection: Selection, replay: Replay
) -> None:
    """Decide about all records that are meant, and send none. Raises as
    :func:`rollcall.dead_letters.reading.read_selected`.
    """
    async for batch in read_selected(settings, bootstrap, topic, selection):
        replay.chosen(batch.records)


async def send_again(
    settings: Settings, bootstrap: str, topic: str, selection: Selection, replay: Replay
) -> None:
    """Send those records that are meant and chosen to the raw topic, with the time of sending as
    their timestamp.

    Each is there, once at least, when this returns. Nothing is remembered: broken off and run
    again, it begins anew.

    Raises:
        BrokerUnavailableError: the cluster does not answer.
        ConfigurationError: the topic has no such partition.
        TopicsError: a topic is not there, or this user may not read or write it, or the raw topic
            does not take a record.
    """
    raw = TopicNames(settings.topic_prefix).raw
    with kafka_errors_explained(raw, bootstrap):
        count = await existing_partitions(settings, bootstrap, raw)
    partition_of = partitioner(count)
    with _sending_explained(raw, bootstrap):
        async with (
            open_sender(client_options(settings, bootstrap)) as producer,
            aclosing(read_selected(settings, bootstrap, topic, selection)) as batches,
        ):
            async for batch in batches:
                outputs = BatchedOutputs(producer)
                chosen = replay.chosen(batch.records)
                for record in chosen:
                    key, value, headers = replayed(record)
                    # As the router does it the other way round. None: the time of sending. With an
                    # old timestamp, the typed topic would delete the record soon.
                    outputs.append(
                        raw,
                        record.partition % count if key is None else partition_of(key),
                        key,
                        value,
                        None,
                        headers,
                    )
                # a producer that writes nothing twice would try for ever
                async with asyncio.timeout(STALL_SECONDS):
                    await outputs.send()
                replay.sent += len(chosen)


@contextmanager
def _sending_explained(raw: str, bootstrap: str) -> Iterator[None]:
    try:
        yield
    except TopicAuthorizationFailedError:
        raise TopicsError(f"this user may not write to {raw} at {bootstrap}; allow it to") from None
    except MessageSizeTooLargeError:
        raise TopicsError(
            f"{raw} does not take a record of this size: raise its max.message.bytes, or leave "
            "the record out by its offset"
        ) from None
    except (KafkaError, OSError) as error:  # TimeoutError is one
        raise BrokerUnavailableError(
            f"records cannot be sent to {raw} at {bootstrap} ({type(error).__name__}); check the "
            "brokers, or ROLLCALL_KAFKA"
        ) from None
