"""``rollcall`` with a consumer that never finds its group coordinator."""

from __future__ import annotations

import asyncio

from aiokafka.consumer.group_coordinator import GroupCoordinator

from rollcall.__main__ import main


async def _wait(_coordinator: GroupCoordinator) -> None:
    await asyncio.Event().wait()


GroupCoordinator.ensure_coordinator_known = _wait

if __name__ == "__main__":
    main()
