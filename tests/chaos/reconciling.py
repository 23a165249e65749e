"""Runs of ``rollcall reconcile`` during faults, and the one at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from rollcall.sandbox.canvas.rest import ADMIN_TOKEN
from tests.chaos.system import System
from tests.chaos.traffic import Traffic
from tests.rosters.cluster import PARTITIONS, SHARD

ROOT = f"{SHARD}0000000000001"

RUN_SECONDS = 600.0
"""Time limit of a run."""

TRIES = 20
"""Runs until one is complete: what is recent in one is old in the next."""


class ReconcileRuns:
    """Runs of the whole account, through the network with its faults."""

    def __init__(self, folder: Path, prefix: str, system: System, traffic: Traffic) -> None:
        self._folder = folder
        self._prefix = prefix
        self._system = system
        self._traffic = traffic
        self._running: list[subprocess.Popen[bytes]] = []
        self._token = folder / "canvas-token"
        self._token.write_text(ADMIN_TOKEN)
        self.log = folder / "reconcile.log"

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a run."""
        assert self._traffic.canvas is not None
        settings = {
            "kafka": self._system.cluster.network_bootstrap,
            "topic_prefix": self._prefix,
            "group_prefix": self._prefix,
            "partitions": PARTITIONS,
            "shard": SHARD,
            "replication_factor": len(self._system.cluster.brokers),
            "data": self._folder / f"reconcile-{len(self._running)}",
            "canvas_url": self._traffic.canvas.url,
            "canvas_token_file": self._token,
            "reconcile_margin_seconds": 10,
            "reconcile_confirm_seconds": 1,
        }
        self._running = [each for each in self._running if each.poll() is None]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rollcall", "reconcile", "--account", ROOT, *options],
                env={f"ROLLCALL_{name.upper()}": str(value) for name, value in settings.items()},
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process

    def kill(self) -> None:
        """SIGKILL, to all runs."""
        for process in self._running:
            process.kill()
            process.wait()
        self._running.clear()

    def finish(self) -> int:
        """Run until the rosters are as in Canvas. Returns the number of runs."""
        self.kill()
        for number in range(1, TRIES + 1):
            self._traffic.later(3_600)
            begun = self.log.stat().st_size if self.log.exists() else 0
            process = self.start("--allow-shrink", "all", "--json")
            if process.wait(RUN_SECONDS) == 0:
                rows = json.loads(self.log.read_bytes()[begun:].splitlines()[-1])["rows"]
                if not any(kinds.get("recent") for kinds in rows.values()):
                    return number
        raise AssertionError(f"no run was complete: {self.log.read_text()[-2_000:]}")
