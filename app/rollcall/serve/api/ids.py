"""Ids as clients write them and as answers show them. Pure.

The replica has global ids (:mod:`rollcall.events.ids`). Canvas shows an id of its home shard as a
local one and any other as a global one, and takes both, and ``shard~local``, in URLs.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollcall.events import ids
from rollcall.events.ids import SHARD_SIZE, whole_number

STRING_IDS = "application/json+canvas-string-ids"
"""In ``Accept``: ids as strings, since not every language has whole numbers that large."""


@dataclass(frozen=True, slots=True)
class ShownIds:
    """How an answer shows ids.

    Args:
        home: the home shard; None: unknown, and all ids are shown as they are.
        as_text: as strings.
    """

    home: int | None
    as_text: bool

    def __call__(self, identity: int | None) -> int | str | None:
        """One id."""
        if identity is None:
            return None
        if self.home is not None and identity // SHARD_SIZE == self.home:
            identity %= SHARD_SIZE
        return str(identity) if self.as_text else identity


def parse_id(text: str, home: int | None) -> int | None:
    """The id that a client means: global, local to the home shard, or ``shard~local``. As it stands
    where the home shard is unknown. None: it is no id.
    """
    return whole_number(ids.parse_id(text, home))
