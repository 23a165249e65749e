"""Formats of ids: in requests, and in responses. Pure.

The replica has global ids (:mod:`rollcall.events.ids`). Like Canvas, responses have ids of the home
shard in local form and all others in global form; URLs may have both, and ``shard~local``.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollcall.events import ids
from rollcall.events.ids import SHARD_SIZE, whole_number

STRING_IDS = "application/json+canvas-string-ids"
"""In ``Accept``: ids as strings. Some languages have no whole numbers that large."""


@dataclass(frozen=True, slots=True)
class IdFormat:
    """Format of the ids in a response.

    Args:
        home_shard: None: unknown, and all ids stay global.
        as_text: as strings.
    """

    home_shard: int | None
    as_text: bool

    def __call__(self, identity: int | None) -> int | str | None:
        """One id."""
        if identity is None:
            return None
        if self.home_shard is not None and identity // SHARD_SIZE == self.home_shard:
            identity %= SHARD_SIZE
        return str(identity) if self.as_text else identity


def parse_id(text: str, home_shard: int | None) -> int | None:
    """The global id for a global id, an id local to the home shard, or ``shard~local``.

    A local id stays as it is if the home shard is unknown. None: the text is no id.
    """
    return whole_number(ids.parse_id(text, home_shard))
