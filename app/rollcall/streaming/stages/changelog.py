"""Loading a table's partition from its changelog: what is committed, from the beginning to the end
as of now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import TopicPartition
from faust.types import TP

from rollcall.kafka.bounded import promptly, stop_reader
from rollcall.kafka.reader import new_reader, read_to


async def load_changelog(
    client_options: Mapping[str, Any],
    tp: TP,
    beginning: int,
    end: int,
    load: Callable[[bytes | None, bytes | None], None],
    on_remaining: Callable[[int], None],
) -> int:
    """Load a changelog partition, to which nobody writes meanwhile, and return how many records
    there were.

    Whoever had the partition is fenced, so no transaction before the end stays open.

    Args:
        beginning, end: offsets: from where on, and up to where it is read. No leader shows the end
            before it has all that comes before, so one that was deposed is waited for, or left when
            a new one is known.
        load: takes key and value (None: the row is gone), in the order in which they were written.
        on_remaining: told how many offsets are left to be read, at most.

    Raises:
        aiokafka.errors.KafkaError, TimeoutError: the cluster does not answer.
    """
    on_remaining(end - beginning)
    if beginning >= end:
        return 0
    count = 0
    place = TopicPartition(*tp)
    reader = new_reader(client_options)
    try:
        await promptly(reader.start())
        reader.assign([place])
        batches = read_to(
            reader,
            {place: beginning},
            {place: end},
            lambda _place, position: on_remaining(max(end - position, 0)),
        )
        async for _place, records in batches:
            for record in records:
                load(record.key, record.value)
            count += len(records)
        return count
    finally:
        await stop_reader(reader)
