"""Watchdog: ends a process that has work and makes no progress for too long. Its supervisor
restarts it, and nothing is lost.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h: marks an exit by the watchdog."""


class Watchdog:
    """A separate thread, so that it also notices a blocked event loop.

    Args:
        limit: seconds; 0 disables it.
        end: called with the exit code if the process is stuck.
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
        self._positions: dict[str, tuple[object, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start to watch."""
        if self.limit > 0:
            self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()

    def beat(self, progress: Mapping[str, object]) -> None:
        """Report that the event loop runs.

        ``progress``: a position for each thing that should move, such as a partition with lag, by a
        sentence that describes it. Time counts while the position stays the same.
        """
        self._beat = now = self._clock()
        self._positions = {
            key: self._positions[key]
            if key in self._positions and self._positions[key][0] == position
            else (position, now)
            for key, position in progress.items()
        }

    @property
    def longest_standstill(self) -> float:
        """Seconds for which something that should move has not moved; 0: everything moves."""
        return max((self._clock() - since for _, since in self._positions.values()), default=0.0)

    @property
    def verdict(self) -> str | None:
        """Why the process counts as stuck, or None."""
        if self.limit <= 0:
            return None
        now = self._clock()
        if now - self._beat > self.limit:
            return f"the event loop has not turned for {now - self._beat:.0f} s"
        for sentence, (_, since) in self._positions.items():
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
