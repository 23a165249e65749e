"""Signals that end a process, until the process handles them itself. Imports almost nothing: it
runs before all other modules.

Python's modules take a second to load, several on a busy machine. Without a handler, a signal would
kill the process meanwhile. The first process of a container (process id 1) would ignore it: Linux
does not deliver it signals without a handler.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

RUN_UNTIL_STOPPED = ("router", "rosters", "serve", "up")
"""Commands that a signal ends with success."""

INGEST_UNTIL_STOPPED = ("sqs", "https")
"""The same, for commands of ``rollcall ingest``."""


def ending_signals() -> list[signal.Signals]:
    """Signals that end a process in good order. A closed terminal sends one of them, unless
    ``nohup`` ignores it.
    """
    return [
        signal.SIGTERM,
        signal.SIGINT,
        *([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []),
    ]


def end_on_signals() -> None:
    """Make each of these signals end the process, until another handler is set. A signal that was
    blocked until now ends it at once.

    asyncio's handlers take over without a gap: Python runs the handler of an earlier signal before
    it is replaced.
    """
    numbers = ending_signals()
    for number in numbers:
        signal.signal(number, _exit_on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def interrupt_on_ctrl_c() -> None:
    """Make Ctrl-C raise KeyboardInterrupt, as usual in Python, in commands that may have to clean
    up.
    """
    if not _runs_until_stopped():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run_command(command: Callable[[], object]) -> None:
    """Run a command that ends with SystemExit. For a command that runs until it is stopped, this
    does not return.

    Such a process exits without finalizing the interpreter. Client threads may still run, because
    nothing waits for them for ever, and their event loops would crash in a finalized interpreter.
    """
    if not _runs_until_stopped():
        command()
        return
    import contextlib

    code = 1
    try:
        command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    if (logging := sys.modules.get("logging")) is not None:
        logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # its reader is gone
            stream.flush()
    os._exit(code)


def _runs_until_stopped() -> bool:
    command, *arguments = sys.argv[1:] or [""]
    return command in RUN_UNTIL_STOPPED or (
        command == "ingest" and arguments[:1] != [] and arguments[0] in INGEST_UNTIL_STOPPED
    )


def _exit_on_signal(number: int, _frame: object) -> None:
    """Nothing is open yet that must be closed. An exception might be swallowed by a module that is
    loading.
    """
    if _runs_until_stopped():
        os._exit(0)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # process id 1 survives the signal
