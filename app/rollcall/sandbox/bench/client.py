"""Asks serve for pages at a steady rate, whether or not it has answered the ones before; prints how
long each took. A process of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

import aiohttp
import uvloop

CONNECTIONS = 50
"""Of programs that ask at the same time."""


async def ask(url: str, pages: int, rate: float, seconds: float) -> list[float]:
    """Seconds from the moment at which each request was due until its answer was there, whole."""
    chance = random.Random(1)  # noqa: S311
    took: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:

        async def one(due: float) -> None:
            async with session.get(f"{url}&page={chance.randint(1, pages)}") as answer:
                body = await answer.read()
                if answer.status != 200 or len(body) < 1_000:
                    raise RuntimeError(f"{answer.status}: {body[:200]!r}")
            took.append(time.perf_counter() - due)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(max(due - time.perf_counter(), 0))
                group.create_task(one(due))
    return took


def main() -> None:
    """Arguments: an address that ends with a query, how many pages it has, requests per second,
    seconds.
    """
    url, pages, rate, seconds = sys.argv[1:]
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    print(json.dumps(asyncio.run(ask(url, int(pages), float(rate), float(seconds)))))


if __name__ == "__main__":
    main()
