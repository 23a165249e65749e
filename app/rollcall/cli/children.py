"""Runs several processes of Rollcall as children of one command, and ends them together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence

from rollcall.cli.run import ATTACHED
from rollcall.errors import RollcallError
from rollcall.process.ending import ending_signals

log = logging.getLogger(__name__)

KILL_AFTER_SECONDS = 30.0
"""With the default settings, a process ends within 10 s of SIGTERM, and ingest within 15 s."""


class ChildEndedError(RollcallError):
    """A child process ended by itself; the others were ended, too."""


async def run_children(
    commands: Mapping[str, Sequence[str]], environments: Mapping[str, Mapping[str, str]]
) -> None:
    """Run ``rollcall`` commands as processes until SIGTERM or SIGINT, or until one ends; then end
    all and wait for them.

    The children share this process's standard output and error. A pipe on their standard input ends
    them if this process is killed.

    Args:
        commands: arguments of ``rollcall``, by name.
        environments: environment variables, by name.

    Raises:
        ChildEndedError: a child ended by itself.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, stop.set)
    children: dict[str, asyncio.subprocess.Process] = {}
    try:
        for name, arguments in commands.items():
            # -P: do not import from the current directory.
            command = [sys.executable, "-P", "-m", "rollcall", *arguments, ATTACHED]
            children[name] = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                env={**environments[name]},
                start_new_session=True,
            )
        stopped = asyncio.ensure_future(stop.wait())
        ends = {asyncio.ensure_future(child.wait()): name for name, child in children.items()}
        await asyncio.wait({stopped, *ends}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not stop.is_set():
            name, code = next((name, end.result()) for end, name in ends.items() if end.done())
            raise ChildEndedError(f"{name} ended with code {code}; its last lines say why")
    finally:
        await asyncio.gather(*(_end(name, child) for name, child in children.items()))


async def _end(name: str, child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(child.wait(), KILL_AFTER_SECONDS)
    except TimeoutError:
        log.warning("%s did not end in time and is killed; its uncommitted work is repeated", name)
        child.kill()
        await child.wait()


def end_with_stdin() -> None:
    """Send SIGTERM to this process at the end of its standard input."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="attached", daemon=True).start()
