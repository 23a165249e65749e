"""Starts a process, and in the mode ``owned`` ends it at any end of its owner.

app/rollcall/sandbox/processes.py runs this script in its own session, so that Ctrl-C in the
terminal reaches only the owner:

    python -I -S supervise.py owned|detached PID_FILE LOG_FILE COMMAND...

It prints ``started`` when the process runs and PID_FILE holds its id. ``detached``: the script then
ends, and the process stays. ``owned``: standard input is a pipe from the owner. When it closes (the
owner closed it, or ended, even by SIGKILL), the script sends SIGTERM to the process, and later
SIGKILL. Only the standard library and nothing of ``rollcall``, to be small and quick.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

GRACE_SECONDS = 10.0
"""Time from SIGTERM to SIGKILL. A process needs less than one second."""

POLL_SECONDS = 0.5


def _end_with_this_process() -> None:
    """Have the kernel send SIGTERM to the command when the supervisor is killed (Linux only). Runs
    in the child before exec.
    """
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        with contextlib.suppress(OSError):
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _owner_is_gone(timeout: float) -> bool:
    readable, _, _ = select.select([0], [], [], timeout)
    return bool(readable) and os.read(0, 1) == b""


def main(mode: str, pid_file: str, log_file: str, *command: str) -> None:
    """Run the command under supervision (see the module). ``owned``: end with its exit code."""
    owned = mode == "owned"
    with Path(log_file).open("ab") as log:
        # preexec_fn is unsafe with threads; there are none here.
        process = subprocess.Popen(
            command,
            cwd=Path(log_file).parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_this_process if owned else None,
        )
    partial = Path(pid_file + ".partial")
    partial.write_text(f"{process.pid}\n")
    partial.replace(pid_file)
    print("started", flush=True)
    if not owned:
        process.returncode = 0  # suppresses the warning about a child that still runs
        return
    while process.poll() is None:
        if _owner_is_gone(POLL_SECONDS):
            break
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    sys.exit(process.returncode if process.returncode >= 0 else 128 - process.returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
