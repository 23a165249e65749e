"""Loads the changelog of a table like a lane, and prints rows, seconds and memory. Runs as a
process to measure its memory.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

import uvloop
from faust.types import TP

from rollcall.streaming.offsets import Offsets
from rollcall.streaming.rows import Rows
from rollcall.streaming.stages.changelog import load_changelog


def resident_bytes() -> int:
    """Resident memory of this process (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return (
        next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        * 1024
    )


async def load(bootstrap: str, topic: str, partitions: int) -> dict[str, float]:
    """Load all partitions, one after the other."""
    options = {"bootstrap_servers": bootstrap}
    tables = []
    seconds, records = 0.0, 0
    async with Offsets("bench", options) as offsets:
        before = resident_bytes()
        for partition in range(partitions):
            tp, rows = TP(topic, partition), Rows()
            bounds = (await offsets.bounds([tp]))[tp]
            started = time.perf_counter()
            records += await load_changelog(
                options, tp, bounds.beginning, bounds.end, rows.load, lambda remaining: None
            )
            seconds += time.perf_counter() - started
            tables.append(rows)
        gc.collect()
        return {
            "rows": sum(map(len, tables)),
            "records": records,
            "seconds": seconds,
            "bytes": resident_bytes() - before,
        }


def main() -> None:
    """Arguments: bootstrap servers, changelog topic, partitions."""
    bootstrap, topic, partitions = sys.argv[1:]
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    print(json.dumps(asyncio.run(load(bootstrap, topic, int(partitions)))))


if __name__ == "__main__":
    main()
