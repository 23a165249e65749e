"""What a run found and did: counts, and the reasons why it is not complete. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from rollcall.reconcile.facts import Entity


class Kind(StrEnum):
    """What became of a row of Canvas or of the rosters."""

    READ = "read"
    EQUAL = "equal"
    NEW = "new"
    DIFFERENT = "different"
    ABSENT = "absent"
    RECENT = "recent"
    AHEAD = "ahead"
    """Its event is of a time that has not come yet. Nothing can count against it."""
    MISSED = "missed"
    """Canvas has it, and its list did not show it."""
    UNJUDGED = "unjudged"
    """Canvas's list did not show it, and that could not be proved."""
    UNUSABLE = "unusable"
    """An object without what it must have."""


WRITTEN = (Kind.NEW, Kind.DIFFERENT, Kind.ABSENT)
"""Kinds for which a snapshot is written."""

MOST_REASONS = 5
"""Reasons that are kept of a course."""


class Outcome(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    STOPPED = "stopped"
    """By a guard: nothing was taken from the rosters."""


class Summary:
    """Counts of a run, and its reasons. A reason belongs to a course, or to the run (empty)."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Entity, Kind]] = Counter()
        self.skipped: dict[str, str] = {}
        """Courses that were not read at all, with the reason."""
        self.not_found: set[str] = set()
        """Those of them that Canvas does not have."""
        self.incomplete: dict[str, list[str]] = {}
        """Courses that were read in part, or judged in part, with the reasons. Empty: the run."""
        self.set_aside: dict[str, str] = {}
        """Courses whose rosters a guard keeps as they are, with the reason."""
        self.stopped = ""
        """Why a guard stopped the run; empty: none did."""
        self.courses = 0
        """Courses that were read to the end."""

    def count(self, entity: Entity, kind: Kind, number: int = 1) -> None:
        """Count rows."""
        if number:
            self.counts[entity, kind] += number

    def add_reason(self, course: str, reason: str) -> None:
        """Note why a course, or with an empty id the run, is not complete."""
        reasons = self.incomplete.setdefault(course, [])
        if reason not in reasons and len(reasons) < MOST_REASONS:
            reasons.append(reason)

    @property
    def outcome(self) -> Outcome:
        """How the run ended."""
        if self.stopped:
            return Outcome.STOPPED
        is_partial = self.skipped or self.incomplete or self.set_aside
        return Outcome.PARTIAL if is_partial else Outcome.COMPLETE

    @property
    def is_settled(self) -> bool:
        """Whether another run of the same courses would not do more: it is complete, but for
        courses that Canvas does not have.
        """
        is_open = self.skipped.keys() - self.not_found or self.incomplete or self.set_aside
        return not (self.stopped or is_open)

    @property
    def written(self) -> int:
        """Number of snapshots."""
        return sum(number for (_, kind), number in self.counts.items() if kind in WRITTEN)

    def of_kind(self, kind: Kind) -> int:
        """Rows of a kind."""
        return sum(number for (_, each), number in self.counts.items() if each is kind)

    def reasons(self) -> list[str]:
        """Lines that say which courses are not complete, and why."""
        return [
            *_lines("not read", self.skipped.items()),
            *_lines(
                "incomplete", ((course, "; ".join(why)) for course, why in self.incomplete.items())
            ),
            *_lines("set aside", self.set_aside.items()),
            *([f"stopped: {self.stopped}"] if self.stopped else []),
        ]

    def as_json(self) -> dict[str, Any]:
        """The summary as JSON values; :meth:`load` takes it."""
        rows: dict[str, dict[str, int]] = {}
        for (entity, kind), number in sorted((+self.counts).items()):
            rows.setdefault(str(entity), {})[str(kind)] = number
        return {
            "outcome": str(self.outcome),
            "courses": self.courses,
            "rows": rows,
            "skipped": self.skipped,
            "incomplete": self.incomplete,
            "set_aside": self.set_aside,
            "stopped": self.stopped,
        }

    def load(self, values: Mapping[str, Any]) -> None:
        """Take what :meth:`as_json` gave, but courses: they are listed again."""
        for entity, kinds in values["rows"].items():
            for kind, number in kinds.items():
                if entity != Entity.COURSE:
                    self.counts[Entity(entity), Kind(kind)] = number
        self.courses = values["courses"]
        self.incomplete = values["incomplete"] | self.incomplete


def _lines(title: str, reasons: Iterable[tuple[str, str]]) -> list[str]:
    return [
        f"{course if ':' in course else f'course {course}'} {title}: {reason}" if course else reason
        for course, reason in reasons
    ]
