"""Requests pages from serve at a steady rate, without waiting for earlier responses; prints the
response times. Runs as a process.
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
"""Maximum number of concurrent connections."""


async def send_requests(url: str, pages: int, rate: float, seconds: float) -> list[float]:
    """Response times in seconds, each from the due time of the request to the whole response."""
    random_page = random.Random(1)  # noqa: S311
    times: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:

        async def request(due: float) -> None:
            async with session.get(f"{url}&page={random_page.randint(1, pages)}") as response:
                body = await response.read()
                if response.status != 200 or len(body) < 1_000:
                    raise RuntimeError(f"{response.status}: {body[:200]!r}")
            times.append(time.perf_counter() - due)

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due = started + number / rate
                await asyncio.sleep(max(due - time.perf_counter(), 0))
                group.create_task(request(due))
    return times


def main() -> None:
    """Arguments: a URL that ends with a query, its number of pages, requests per second,
    seconds.
    """
    url, pages, rate, seconds = sys.argv[1:]
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    times = asyncio.run(send_requests(url, int(pages), float(rate), float(seconds)))
    print(json.dumps(times))


if __name__ == "__main__":
    main()
