"""What sending a record to the raw topic again would come to, whether to do it, and the record that
is then sent. Pure.

The router's own pipeline judges, with the schemas and settings of this installation. So does, for
what the rosters could not use, the stage that reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rollcall.dead_letters.letter import header_text, is_withheld
from rollcall.dead_letters.selection import CODE_HEADER
from rollcall.events.outcomes import ErrorCode, Routed, Unknown
from rollcall.events.pipeline import ERROR_PREFIX, OWN_HEADERS, Pipeline
from rollcall.process.dead_letter_records import ATTEMPT_HEADER, attempts_of
from rollcall.record import Header, Record
from rollcall.rosters.registry import stages
from rollcall.streaming.stages.stage import Change, UnusableError


class Prospect(StrEnum):
    """What would become of a record that is sent again."""

    VALID = "is valid now"
    STILL_DEAD = "would fail again"
    STILL_UNKNOWN = "has no schema"
    STILL_NOT_APPLICABLE = "is valid, and still of no use to the rosters"
    EXHAUSTED = "has failed too often"
    NOT_WHOLE = "is not whole: cut, being too large, or withheld"


class Decision(NamedTuple):
    """About one record."""

    send: bool
    prospect: Prospect
    code: str
    """With which it would fail; empty when it would not."""


class Replayed(NamedTuple):
    """The record for the raw topic."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]


class _TypedRecord(NamedTuple):
    """Implements :class:`rollcall.streaming.chunks.Record`: as the router would write it."""

    offset: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: list[Header]


def replayed(record: Record) -> Replayed:
    """The raw record as it was: without what was said of its failure, but for the number of
    attempts, which the router raises when it fails again.

    A record that the rosters set aside is a typed one. It also loses what the router had written
    into it.
    """
    typed = header_text(record.headers, CODE_HEADER) == ErrorCode.NOT_APPLICABLE
    headers = [
        header
        for header in record.headers
        if not header[0].startswith(ERROR_PREFIX) and not (typed and header[0] in OWN_HEADERS)
    ]
    if attempts := attempts_of(record.headers):
        headers.append((ATTEMPT_HEADER, str(attempts).encode()))
    return Replayed(record.key, record.value, headers)


@dataclass(frozen=True, slots=True)
class ReplayPolicy:
    """What to send."""

    most_attempts: int
    """What has failed so many times is left where it is."""
    also_invalid: bool = False
    """Send also what would become a dead letter again, by what is known here."""


class Judge:
    """Decides about records one by one.

    Args:
        pipeline: as the routers have it.
        shard: of local ids in events that do not tell theirs, as the rosters have it.
    """

    def __init__(self, pipeline: Pipeline, policy: ReplayPolicy, *, shard: int | None) -> None:
        self._pipeline = pipeline
        self._policy = policy
        self._readers: Mapping[str, Callable[[Record], Change]] = {
            topic.removeprefix("events."): given.read
            for stage in stages(shard)
            for topic, given in stage.inputs.items()
            if topic.startswith("events.")
        }

    def __call__(self, record: Record) -> Decision:
        """Decide. Never raises, whatever the record."""
        code = header_text(record.headers, CODE_HEADER)
        if code == ErrorCode.TOO_LARGE or is_withheld(record.headers):
            return Decision(False, Prospect.NOT_WHOLE, code or "")
        if attempts_of(record.headers) >= self._policy.most_attempts:
            return Decision(False, Prospect.EXHAUSTED, code or "")
        again = replayed(record)
        outcome = self._pipeline(again.value, again.headers)
        if isinstance(outcome, Unknown):
            # Unknown before and after: it would only come back. A dead letter would at least get to
            # where it belongs.
            return Decision(
                self._policy.also_invalid and code is not None, Prospect.STILL_UNKNOWN, ""
            )
        if not isinstance(outcome, Routed):
            return Decision(self._policy.also_invalid, Prospect.STILL_DEAD, outcome.code.value)
        if code == ErrorCode.NOT_APPLICABLE and not self._is_of_use(record, outcome):
            return Decision(self._policy.also_invalid, Prospect.STILL_NOT_APPLICABLE, code)
        return Decision(True, Prospect.VALID, "")

    def _is_of_use(self, record: Record, routed: Routed) -> bool:
        read = self._readers.get(routed.event_type.name)
        if read is None:
            return False
        try:
            read(
                _TypedRecord(
                    record.offset, record.timestamp, routed.key, routed.value, routed.headers
                )
            )
        except UnusableError:
            return False
        return True
