"""Program ``rollcall`` whose consumer never gets an answer about committed offsets, as from brokers
that need minutes for many partitions.

    python unanswered.py router|rosters
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator

from rollcall.__main__ import main


async def unanswered(_coordinator: GroupCoordinator, _partitions: Any) -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


if __name__ == "__main__":
    GroupCoordinator._do_fetch_commit_offsets = unanswered
    main()
