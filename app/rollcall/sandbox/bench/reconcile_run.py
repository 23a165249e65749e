"""Runs reconcile once, like ``rollcall reconcile --account``, and prints its figures. Runs as a
process to measure its CPU time and memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import uvloop

from rollcall.reconcile.application import Reconcile, RunOptions
from rollcall.reconcile.summary import Kind
from rollcall.sandbox.bench.machine import default_settings, peak_bytes
from rollcall.sandbox.bench.reconcile import NAME, SHARD, TOKEN_FILE


async def run(bootstrap: str, folder: Path, url: str, account: str) -> dict[str, object]:
    """Run for the whole account."""
    settings = default_settings(
        topic_prefix=NAME,
        group_prefix=NAME,
        shard=SHARD,
        data=folder,
        canvas_url=url,
        canvas_token_file=folder / TOKEN_FILE,
    )
    options = RunOptions(
        account=account, terms=(), courses=(), permitted=(), is_dry=False, is_resumed=False
    )
    work = Reconcile(settings, bootstrap, options, lambda _difference: None)
    started, cpu_started = time.perf_counter(), time.process_time()
    await work.run()
    return {
        "outcome": work.summary.outcome,
        "events": work.summary.of_kind(Kind.READ),
        "written": work.summary.written,
        "calls": work.calls,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_bytes": peak_bytes(os.getpid()),
    }


def main() -> None:
    """Arguments: bootstrap servers, folder, URL of Canvas, account."""
    bootstrap, folder, url, account = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(bootstrap, Path(folder), url, account))))


if __name__ == "__main__":
    main()
