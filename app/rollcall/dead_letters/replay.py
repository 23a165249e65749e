"""Decides whether to replay a stored record, and builds its raw record. Pure.

The router's own pipeline judges, with this installation's schemas and settings. For records that
the rosters could not use, the stage that reads them judges, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rollcall.dead_letters.selection import CODE_HEADER
from rollcall.dead_letters.view import header_text, is_withheld
from rollcall.events.outcomes import ErrorCode, Routed, Unknown, UnknownReason
from rollcall.events.pipeline import Pipeline
from rollcall.events.publishing import OUTCOME_PREFIXES, OWN_HEADERS
from rollcall.process.dead_letter_records import ATTEMPT_HEADER, attempts_of
from rollcall.record import Header, Record
from rollcall.rosters.registry import stages
from rollcall.streaming.stages.stage import Change, UnusableError


class ReplayOutcome(StrEnum):
    """The expected outcome of a replay."""

    VALID = "is valid now"
    STILL_DEAD = "would fail again"
    STILL_UNKNOWN = "has no schema"
    STILL_NOT_SELECTED = "is left out by ROLLCALL_EVENTS"
    STILL_NOT_APPLICABLE = "is valid, and still of no use to the rosters"
    EXHAUSTED = "has failed too often"
    NOT_WHOLE = "is incomplete: too large and cut, or withheld"


class Decision(NamedTuple):
    """Whether to replay one record, and why."""

    send: bool
    outcome: ReplayOutcome
    code: str
    """Error code of the expected failure, or empty."""


class RawRecord(NamedTuple):
    """A record for the raw topic."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]


class _TypedRecord(NamedTuple):
    """The typed record that the router would write. Implements :class:`rollcall.record.Record`."""

    offset: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: list[Header]


def raw_record(record: Record) -> RawRecord:
    """The original raw record: key and value, and the headers without ``rollcall.error.*``
    and ``rollcall.unknown.reason``.

    The attempts header stays; the router raises it if the record fails again. A dead letter of the
    rosters is a typed record and also loses the router's headers.
    """
    typed = header_text(record.headers, CODE_HEADER) == ErrorCode.NOT_APPLICABLE
    headers = [
        header
        for header in record.headers
        if not header[0].startswith(OUTCOME_PREFIXES) and not (typed and header[0] in OWN_HEADERS)
    ]
    if attempts := attempts_of(record.headers):
        headers.append((ATTEMPT_HEADER, str(attempts).encode()))
    return RawRecord(record.key, record.value, headers)


@dataclass(frozen=True, slots=True)
class ReplayPolicy:
    """Limits of a replay."""

    most_attempts: int
    """Skip records that failed this many times."""
    also_invalid: bool = False
    """Replay records that fail by the local schemas, too."""


class Judge:
    """Makes the :class:`Decision` for each record.

    Args:
        pipeline: the same as in the routers.
        shard: the shard of local ids in events without one, the same as in the rosters.
    """

    def __init__(self, pipeline: Pipeline, policy: ReplayPolicy, *, shard: int | None) -> None:
        self._pipeline = pipeline
        self._policy = policy
        self._readers: Mapping[str, Callable[[Record], Change]] = {
            topic.removeprefix("events."): stage_input.read
            for stage in stages(shard)
            for topic, stage_input in stage.inputs.items()
            if topic.startswith("events.")
        }

    def __call__(self, record: Record) -> Decision:
        """The decision for a record. Never raises."""
        code = header_text(record.headers, CODE_HEADER)
        if code == ErrorCode.TOO_LARGE or is_withheld(record.headers):
            return Decision(False, ReplayOutcome.NOT_WHOLE, code or "")
        if attempts_of(record.headers) >= self._policy.most_attempts:
            return Decision(False, ReplayOutcome.EXHAUSTED, code or "")
        raw = raw_record(record)
        outcome = self._pipeline(raw.value, raw.headers)
        if isinstance(outcome, Unknown):
            # An unknown event would return to the same topic. A dead letter would at least move to
            # the topic of unknown events.
            still = (
                ReplayOutcome.STILL_NOT_SELECTED
                if outcome.reason is UnknownReason.NOT_SELECTED
                else ReplayOutcome.STILL_UNKNOWN
            )
            return Decision(self._policy.also_invalid and code is not None, still, "")
        if not isinstance(outcome, Routed):
            return Decision(self._policy.also_invalid, ReplayOutcome.STILL_DEAD, outcome.code.value)
        if code == ErrorCode.NOT_APPLICABLE and not self._is_usable(record, outcome):
            return Decision(self._policy.also_invalid, ReplayOutcome.STILL_NOT_APPLICABLE, code)
        return Decision(True, ReplayOutcome.VALID, "")

    def _is_usable(self, record: Record, routed: Routed) -> bool:
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
