"""Start position of a lane: the committed offsets of its inputs, compared with the bounds of the
partitions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from faust.types import TP

from rollcall.streaming.barrier import Barrier
from rollcall.streaming.offsets import Bounds, Committed

log = logging.getLogger(__name__)

_NOTE_PREFIX = "changelog"


class OffsetReader(Protocol):
    """See :class:`rollcall.streaming.offsets.Offsets`."""

    async def proven(self, partitions: Collection[TP], barrier: Barrier) -> dict[TP, Committed]: ...
    async def bounds(self, partitions: Collection[TP]) -> dict[TP, Bounds]: ...
    async def proven_ends(self, partitions: Collection[TP]) -> dict[TP, int]: ...


class Start(NamedTuple):
    """Start position of a lane."""

    positions: dict[TP, int]
    notes: tuple[str, ...]
    """Notes beside the committed offsets."""

    @property
    def changelog_end(self) -> int:
        """Lower bound of the changelog's end, from the notes."""
        return max(map(_changelog_end_in, self.notes), default=0)


class Positions:
    """Finds the start position of one lane, each time it opens.

    Args:
        expired: called with the number of offsets that were deleted before they were read, once per
            loss.
    """

    def __init__(
        self, inputs: Collection[TP], offsets: OffsetReader, expired: Callable[[int], None]
    ) -> None:
        self._inputs = inputs
        self._offsets = offsets
        self._expired = expired
        self._reported: dict[TP, int] = {}

    async def find(self, barrier: Barrier) -> Start:
        """The start position, from offsets that are not older than a barrier.

        Raises:
            UnprovenError: no such offsets for now.
            aiokafka.errors.KafkaError: the cluster does not answer.
        """
        committed = await self._offsets.proven(self._inputs, barrier)
        bounds = await self._offsets.bounds(self._inputs)
        if short := [tp for tp in self._inputs if (committed[tp].offset or 0) > bounds[tp].end]:
            for tp, end in (await self._offsets.proven_ends(short)).items():
                bounds[tp] = bounds[tp]._replace(end=end)
        positions = {
            tp: self._position(tp, committed[tp].offset, bounds[tp]) for tp in self._inputs
        }
        return Start(positions, tuple(committed[tp].note for tp in self._inputs))

    def _position(self, tp: TP, offset: int | None, bounds: Bounds) -> int:
        if offset is None:
            return bounds.beginning
        if offset > bounds.end:
            log.error(
                "the committed offset %d is past the end %d: the topic was made anew; reading it "
                "from its beginning; if that was not intended, the cluster has lost "
                "records: send them again",
                offset,
                bounds.end,
                extra=tp._asdict(),
            )
            return bounds.beginning
        if offset < bounds.beginning and self._reported.get(tp) != offset:
            self._reported[tp] = offset
            log.error(
                "%d records were deleted by the topic's retention before they were read; raise "
                "its retention.ms, or start more processes, and send them again",
                bounds.beginning - offset,
                extra=tp._asdict(),
            )
            self._expired(bounds.beginning - offset)
        return max(offset, bounds.beginning)


def changelog_note(changelog_end: int) -> str:
    """Note to store beside the committed offset: it reveals a changelog that was truncated or
    created again. Empty without a changelog.
    """
    return f"{_NOTE_PREFIX} {changelog_end}" if changelog_end else ""


def _changelog_end_in(note: str) -> int:
    prefix, _, end = note.partition(" ")
    return int(end) if prefix == _NOTE_PREFIX and end.isdigit() else 0
