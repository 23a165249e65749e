"""The signals that end a process, and what they do until the process handles them itself. Imports
next to nothing: it comes before all other modules.

Python's modules take a second to load, on a busy machine several. Without a handler a signal would
kill the process meanwhile, and the first process of a container (process id 1) would not even
notice: Linux keeps signals from it that it has no handler for.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

RUN_UNTIL_STOPPED = ("router", "rosters", "serve", "up")
"""Commands whose good end a signal is."""


def ending_signals() -> list[signal.Signals]:
    """The signals that end a process in good order. A terminal that is closed is one, unless
    ``nohup`` has it ignored.
    """
    return [
        signal.SIGTERM,
        signal.SIGINT,
        *([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []),
    ]


def end_on_signals() -> None:
    """Have each of these signals end the process, from now on until there is another handler. One
    that was held back for this moment ends it now.

    Asyncio's handlers take over without a gap: Python lets a handler run for what came before it is
    replaced.
    """
    numbers = ending_signals()
    for number in numbers:
        signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def interrupt_on_ctrl_c() -> None:
    """Have Ctrl-C raise KeyboardInterrupt, as Python does, in commands that may have something to
    clear up then.
    """
    if not _runs_until_stopped():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run_to_the_end(command: Callable[[], object]) -> None:
    """Run a command that ends by raising SystemExit, as those of the command line do; what runs
    until it is stopped does not return from here.

    Its process ends without taking the interpreter apart. Threads of clients may still run, because
    nothing waits for them for ever, and the code of an event loop that goes on in one would crash
    when it finds the interpreter gone.
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
        with contextlib.suppress(OSError):  # whoever read it is gone
            stream.flush()
    os._exit(code)


def _runs_until_stopped() -> bool:
    return sys.argv[1:2] != [] and sys.argv[1] in RUN_UNTIL_STOPPED


def _end(number: int, _frame: object) -> None:
    """Nothing is open yet that would have to be closed. An exception might be swallowed by a module
    that is just being loaded.
    """
    if _runs_until_stopped():
        os._exit(0)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # process id 1 lives on
