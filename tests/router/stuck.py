"""``rollcall`` with lanes whose commits never end and raise no error."""

from __future__ import annotations

import asyncio

from rollcall.__main__ import main
from rollcall.streaming.lane import Lane


async def _never(*_: object) -> None:
    await asyncio.Event().wait()


Lane._commit = _never  # type: ignore[method-assign,assignment]

if __name__ == "__main__":
    main()
