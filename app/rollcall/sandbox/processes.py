"""Starts, finds and ends processes of the sandbox."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rollcall.errors import RollcallError
from rollcall.sandbox import supervise

_EXEC_TRIES = 50


class LaunchError(RollcallError):
    """A process could not be started."""


def launch(
    name: str,
    command: Sequence[str],
    *,
    pid_file: Path,
    log_file: Path,
    owned: bool,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that appends its output to ``log_file``, with its id in ``pid_file``.

    Returns the supervisor (supervise.py), which has already ended unless ``owned``.

    Args:
        name: name of the process in messages.
        owned: the process ends with this one.
        environment: replaces this process's environment.

    Raises:
        LaunchError: the process could not be started.
    """
    supervisor = subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            supervise.__file__,
            "owned" if owned else "detached",
            str(pid_file),
            str(log_file),
            *command,
        ],
        stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )
    assert supervisor.stdout is not None
    assert supervisor.stderr is not None
    try:
        started = supervisor.stdout.readline()
        if not started:
            errors = supervisor.stderr.read().decode(errors="replace").strip().splitlines()
            raise LaunchError(
                f"the {name} could not be started: {errors[-1] if errors else 'no reason given'}"
            )
        if not owned:
            supervisor.wait()
        return supervisor
    except BaseException:
        release(supervisor)
        raise
    finally:
        supervisor.stdout.close()
        supervisor.stderr.close()


def release(supervisor: subprocess.Popen[bytes]) -> None:
    """Close the supervisor's pipe, which ends its process, and wait for both."""
    if supervisor.stdin is not None:
        with contextlib.suppress(OSError):
            supervisor.stdin.close()
    supervisor.wait()


def find_process(pid_file: Path, mark: str) -> int | None:
    """The id in ``pid_file``, if that process lives and has ``mark`` in its command line. After a
    crash, another program may have the id.
    """
    try:
        pid = int(pid_file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    for _ in range(_EXEC_TRIES):
        line = _command_line(pid)
        if line or not _lives(pid):
            return pid if mark in line else None
        # during exec, a process has no command line
        time.sleep(0.02)
    return None


def end_process(
    pid_file: Path, mark: str, signal_number: signal.Signals, *, timeout: float
) -> bool:
    """Signal the process of :func:`find_process` and wait for its end. False if it still lives
    after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    pid = find_process(pid_file, mark)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
    while find_process(pid_file, mark) is not None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _lives(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[
            0
        ] not in ("Z", "X")
    except OSError:
        return False


def _command_line(pid: int) -> str:
    """The arguments of a process, joined by spaces; empty if there is none, and for a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
            )
        except OSError:
            return ""
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
