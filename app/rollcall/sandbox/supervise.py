"""Starts a process, and in the mode ``owned`` sees to it that the process ends with its owner,
however the owner ends.

Run by app/rollcall/sandbox/processes.py as a script, in a session of its own, so that Ctrl-C in the
terminal reaches the owner only:

    python -I -S supervise.py owned|detached PID_FILE LOG_FILE COMMAND...

It prints ``started`` once the process runs and its id is in PID_FILE. ``detached``: it is done
then, and the process lives on. ``owned``: standard input is a pipe that only the owner holds open;
when that closes, because the owner closed it or is gone (SIGKILL included), the process is told to
end, and made to end when it does not. Standard library only, and nothing of ``rollcall``: it has to
be small and quick.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

GRACE_SECONDS = 10.0
"""How long the process may take to end by itself once its owner is gone. It takes less than one
second.
"""

POLL_SECONDS = 0.5


def _end_with_this_process() -> None:
    """In the child, before it becomes the command: when the supervisor itself is killed, so is the
    command (Linux only).
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
    """See the module."""
    owned = mode == "owned"
    with Path(log_file).open("ab") as log:
        # preexec_fn is unsafe in a process with threads; this one has none.
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
        process.returncode = 0  # nobody waits for it here: it is no longer ours
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


if __name__ == "__main__":
    main(*sys.argv[1:])
