"""Replays stored records to the raw topic."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, TopicAuthorizationFailedError

from rollcall.dead_letters.reading import partition_count, read_selected
from rollcall.dead_letters.replay import Decision, ReplayOutcome, raw_record
from rollcall.dead_letters.selection import Selection
from rollcall.dead_letters.tally import OTHERS, count_bounded, event_name_label
from rollcall.dead_letters.view import StoredRecord
from rollcall.errors import BrokerUnavailableError
from rollcall.kafka.batches import BatchedOutputs
from rollcall.kafka.client import client_options
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.sender import open_sender
from rollcall.kafka.topic_reading import STALL_SECONDS, kafka_errors_explained
from rollcall.kafka.topics import TopicsError
from rollcall.process.topics import TopicNames
from rollcall.record import encode_headers
from rollcall.settings import Settings


class ReplayGroup(NamedTuple):
    """Records with one decision, outcome and event_name."""

    send: bool
    outcome: ReplayOutcome | str
    code: str
    event_name: str


_OTHERS = ReplayGroup(False, OTHERS, "", "")


@dataclass(slots=True)
class Replay:
    """Decision function and progress of one replay. The progress stays valid after an interruption.

    ``decide`` is a :class:`rollcall.dead_letters.replay.Judge`; ``words``: texts that may be shown.
    """

    decide: Callable[[StoredRecord], Decision]
    words: frozenset[str]
    counts: Counter[ReplayGroup] = field(default_factory=Counter)
    to_send: int = 0
    sent: int = 0
    """Acknowledged by all replicas."""

    def select(self, records: Sequence[StoredRecord]) -> list[StoredRecord]:
        """Count all records, and return those to send."""
        selected = []
        for record in records:
            send, outcome, code = self.decide(record)
            count_bounded(
                self.counts,
                ReplayGroup(send, outcome, code, event_name_label(record, self.words)),
                _OTHERS,
            )
            if send:
                selected.append(record)
        self.to_send += len(selected)
        return selected


async def dry_run(
    settings: Settings, bootstrap: str, topic: str, selection: Selection, replay: Replay
) -> None:
    """Decide on all selected records, and send none. Raises like
    :func:`rollcall.dead_letters.reading.read_selected`.
    """
    async for batch in read_selected(settings, bootstrap, topic, selection):
        replay.select(batch.records)


async def resend(
    settings: Settings, bootstrap: str, topic: str, selection: Selection, replay: Replay
) -> None:
    """Send the selected records to the raw topic, at least once each, with a new timestamp.

    No state is stored: another run starts from the beginning.

    Raises:
        BrokerUnavailableError: the cluster does not answer.
        ConfigurationError: the topic does not have the selected partition.
        TopicsError: a topic does not exist, this user may not read or write it, or the raw topic
            refuses a record.
    """
    raw = TopicNames(settings.topic_prefix).raw
    with kafka_errors_explained(raw, bootstrap):
        count = await partition_count(settings, bootstrap, raw)
    partition_of = partitioner(count)
    with _sending_explained(raw, bootstrap):
        async with (
            open_sender(client_options(settings, bootstrap)) as producer,
            aclosing(read_selected(settings, bootstrap, topic, selection)) as batches,
        ):
            async for batch in batches:
                outputs = BatchedOutputs(producer)
                selected = replay.select(batch.records)
                for record in selected:
                    key, value, headers = raw_record(record)
                    # Partition: the router's rule in reverse. Timestamp None means now: with an old
                    # timestamp, the typed topic would soon delete the record.
                    outputs.append(
                        raw,
                        record.partition % count if key is None else partition_of(key),
                        key,
                        value,
                        None,
                        encode_headers(headers),
                    )
                # an idempotent producer retries without end
                async with asyncio.timeout(STALL_SECONDS):
                    await outputs.send()
                replay.sent += len(selected)


@contextmanager
def _sending_explained(raw: str, bootstrap: str) -> Iterator[None]:
    try:
        yield
    except TopicAuthorizationFailedError:
        raise TopicsError(f"this user may not write to {raw} at {bootstrap}; allow it to") from None
    except MessageSizeTooLargeError:
        raise TopicsError(
            f"{raw} refuses a record of this size: raise its max.message.bytes, or leave the "
            "record out by its offset"
        ) from None
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise BrokerUnavailableError(
            f"records cannot be sent to {raw} at {bootstrap} ({type(error).__name__}); check the "
            "brokers, or ROLLCALL_KAFKA"
        ) from None
