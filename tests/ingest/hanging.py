"""A broker that hangs: it acknowledges nothing, and its connections stay open."""

from __future__ import annotations

import os
import signal

from rollcall.sandbox.broker import EmbeddedBroker


class HangingBroker:
    """A running broker that a test may let hang."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        assert broker.pid is not None
        self._pid = broker.pid
        self.bootstrap = broker.bootstrap

    def hang(self) -> None:
        """Acknowledge nothing from now on."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        os.kill(self._pid, signal.SIGCONT)
