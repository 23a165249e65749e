"""Program ``rollcall`` whose consumer never gets an answer about committed offsets, as from brokers
that need minutes for many partitions.

    python unanswered.py router|rosters
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer

from rollcall.__main__ import main


async def unanswered(_consumer: AIOKafkaConsumer, *_partitions: Any) -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


if __name__ == "__main__":
    AIOKafkaConsumer.committed = unanswered
    main()
