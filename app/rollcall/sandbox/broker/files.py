"""Files that several processes share: locks, and atomic writes."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollcall.errors import BrokerUnavailableError


@contextmanager
def locked(path: Path, *, timeout: float, purpose: str) -> Iterator[None]:
    """Hold the lock of a file, which is created if it is missing. The kernel releases the lock of a
    process that ends.

    Raises:
        BrokerUnavailableError: another process held the lock for ``timeout`` seconds. The message
            names the ``purpose``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BrokerUnavailableError(
                        f"another process has been {purpose} for {timeout:.0f} s (it holds "
                        f"{path}): wait for it, or end it"
                    ) from None
                time.sleep(0.05)
        yield


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` atomically: readers, and a restart after a crash, see the old or the new
    file.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
