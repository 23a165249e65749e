"""The command itself."""

from __future__ import annotations

import subprocess
import sys

from app.version import package_version

HEAVY = ("faust", "fastapi", "uvicorn")
"""What takes a fifth of a second or more to load, and only processes need."""


def test_it_tells_its_version() -> None:
    told = subprocess.run([sys.executable, "-m", "app", "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == f"rollcall {package_version()}\n"


def test_commands_load_no_framework() -> None:
    look = f"import sys, app.cli.main; print([name for name in {HEAVY} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == "[]\n"
