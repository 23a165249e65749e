"""``rollcall`` with a consumer that loses its group coordinator at the first heartbeat, and never
finds it again.
"""

from __future__ import annotations

import asyncio

from aiokafka.consumer.group_coordinator import GroupCoordinator

from rollcall.__main__ import main
from rollcall.streaming import survey

survey.COORDINATOR_LOST_SECONDS = 6.0
_lost: set[GroupCoordinator] = set()
_find = GroupCoordinator.ensure_coordinator_known


async def _find_or_wait(self: GroupCoordinator) -> None:
    if self in _lost:
        await asyncio.Event().wait()
    await _find(self)


async def _lose(self: GroupCoordinator) -> bool:
    _lost.add(self)
    self.coordinator_dead()
    return False


GroupCoordinator.ensure_coordinator_known = _find_or_wait
GroupCoordinator._do_heartbeat = _lose

if __name__ == "__main__":
    main()
