"""Records that were set aside, as they stand on their topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.events.outcomes import Header


class Stored(NamedTuple):
    """Implements :class:`app.dead_letters.letter.StoredRecord`."""

    value: bytes | None
    headers: Sequence[Header] = ()
    key: bytes | None = None
    partition: int = 0
    offset: int = 0
    timestamp: int | None = 0
    topic: str = "canvas.dead-letter"
