"""The brokers that this process knows: those that ``ROLLCALL_KAFKA`` names, and those of the
cluster that any of its clients has seen last.

A client that is made anew connects to any of them. The named ones alone would not do: most of a
cluster may live while they are away.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import overload


class KnownBrokers(Sequence[str]):
    """Addresses for ``bootstrap_servers`` of a client, which reads them each time that it connects
    for the first time. Safe in any thread.

    Addresses are names where the brokers advertise names, so that each connection looks them up
    anew.
    """

    def __init__(self, named: str) -> None:
        self.named = tuple(address for part in named.split(",") if (address := part.strip()))
        self.seen: tuple[str, ...] = ()

    def saw(self, brokers: Iterable[tuple[str, int]]) -> None:
        """Take note of all brokers of the cluster, as host and port.

        They replace those that were seen before: somebody else may have the address of a broker
        that is gone.
        """
        seen = {f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in brokers}
        self.seen = tuple(sorted(seen.difference(self.named)))

    @property
    def _all(self) -> tuple[str, ...]:
        return self.named + self.seen

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
        return ",".join(self.named)


_lock = threading.Lock()
_known: dict[str, KnownBrokers] = {}


def known_brokers(named: str) -> KnownBrokers:
    """The one object of this process for a value of ``ROLLCALL_KAFKA``."""
    with _lock:
        return _known.setdefault(named, KnownBrokers(named))
