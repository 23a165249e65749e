"""``rollcall dead-letters``, as a user starts it."""

from __future__ import annotations

import os
import subprocess

from tests.processes import PROGRAM
from tests.waiting import run_bytes


def environment(bootstrap: str, prefix: str) -> dict[str, str]:
    """Of a command for the topics with a prefix, and no other settings."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ROLLCALL_")}
    return clean | {"ROLLCALL_KAFKA": bootstrap, "ROLLCALL_TOPIC_PREFIX": prefix, "COLUMNS": "200"}


def dead_letters(
    bootstrap: str, prefix: str, *arguments: str, events: str = "all"
) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end, without a terminal."""
    command = [*PROGRAM, "dead-letters", *arguments]
    return run_bytes(command, env=environment(bootstrap, prefix) | {"ROLLCALL_EVENTS": events})
