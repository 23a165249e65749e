"""Known brokers of this process: those in ``ROLLCALL_KAFKA``, and those that any client has
discovered last.

A new client connects to any of them. The configured ones alone would not be enough: they may be
down while most of the cluster is up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import overload


class KnownBrokers(Sequence[str]):
    """Addresses for ``bootstrap_servers`` of clients, which read them at each first connection.
    Safe in any thread.

    Addresses are host names if the brokers advertise host names, so each connection resolves them
    again.
    """

    def __init__(self, configured: str) -> None:
        self.configured = tuple(
            address for part in configured.split(",") if (address := part.strip())
        )
        self.discovered: tuple[str, ...] = ()

    def update(self, brokers: Iterable[tuple[str, int]]) -> None:
        """Replace the discovered brokers, given as host and port.

        Earlier ones are dropped: another host may have the address of a removed broker.
        """
        discovered = {
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in brokers
        }
        self.discovered = tuple(sorted(discovered.difference(self.configured)))

    @property
    def _all(self) -> tuple[str, ...]:
        return self.configured + self.discovered

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._all[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __str__(self) -> str:
        return ",".join(self.configured)


_lock = threading.Lock()
_known: dict[str, KnownBrokers] = {}


def known_brokers(configured: str) -> KnownBrokers:
    """The shared object of this process for a value of ``ROLLCALL_KAFKA``."""
    with _lock:
        return _known.setdefault(configured, KnownBrokers(configured))
