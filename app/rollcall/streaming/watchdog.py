"""Ends a process that is stuck: with something to do, and without progress for too long. Its
supervisor starts it again, and nothing is lost.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h: distinguishes the watchdog's end from others."""


class Watchdog:
    """A thread of its own, so that it also sees an event loop that does not turn any more.

    Args:
        limit: seconds; 0 switches it off.
        end: what to do when the process is stuck; takes the exit code.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        limit: float,
        *,
        end: Callable[[int], object] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self._end = end
        self._clock = clock
        self._beat = clock()
        self._still: dict[str, tuple[object, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        if self.limit > 0:
            self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()

    def beat(self, behind: Mapping[str, object]) -> None:
        """The event loop turns.

        ``behind``: by a sentence for each thing that should move, such as a partition with lag, how
        far it is. Time counts while that stays the same.
        """
        self._beat = now = self._clock()
        self._still = {
            key: self._still[key]
            if key in self._still and self._still[key][0] == place
            else (place, now)
            for key, place in behind.items()
        }

    @property
    def longest_standstill(self) -> float:
        """For how many seconds something has not moved that should; 0: all that should moves."""
        return max((self._clock() - since for _, since in self._still.values()), default=0.0)

    @property
    def verdict(self) -> str | None:
        """Why the process counts as stuck, or None."""
        if self.limit <= 0:
            return None
        now = self._clock()
        if now - self._beat > self.limit:
            return f"the event loop has not turned for {now - self._beat:.0f} s"
        for sentence, (_, since) in self._still.items():
            if now - since > self.limit:
                return f"{sentence} for {now - since:.0f} s"
        return None

    def _watch(self) -> None:
        while not self._stop.wait(min(self.limit / 10, 5)):
            if (verdict := self.verdict) is not None:
                log.critical(
                    "stuck: %s; the process ends with code %d (ROLLCALL_WATCHDOG_SECONDS); start "
                    "it again, and keep the log",
                    verdict,
                    EXIT_CODE,
                )
                logging.shutdown()
                self._end(EXIT_CODE)
                return
