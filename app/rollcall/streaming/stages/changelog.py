"""Loads a table's partition from its changelog: committed records, from the beginning to a known
end.
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
    """Load a changelog partition without a writer. Returns the number of records.

    The previous owner is fenced, so no transaction before the end stays open.

    Args:
        beginning, end: range of offsets. A leader reports the end only if it has everything before
            it, so the reader waits for a deposed leader, or leaves it once the new one is known.
        load: called with key and value (None: the row is removed), in the order of writing.
        on_remaining: called with the maximum number of offsets left to read.

    Raises:
        aiokafka.errors.KafkaError, TimeoutError: the cluster does not answer.
    """
    on_remaining(end - beginning)
    if beginning >= end:
        return 0
    count = 0
    partition = TopicPartition(*tp)
    reader = new_reader(client_options)
    try:
        await promptly(reader.start())
        reader.assign([partition])
        batches = read_to(
            reader,
            {partition: beginning},
            {partition: end},
            lambda _tp, position: on_remaining(max(end - position, 0)),
        )
        async for _tp, records in batches:
            for record in records:
                load(record.key, record.value)
            count += len(records)
        return count
    finally:
        await stop_reader(reader)
