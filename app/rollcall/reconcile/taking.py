"""Takes rows from the rosters that are proved to be gone, as far as the guards allow it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from rollcall.reconcile.absences import AbsenceProofs, Proven
from rollcall.reconcile.checkpoint import Checkpoint
from rollcall.reconcile.comparing import Comparer
from rollcall.reconcile.facts import Entity, absence
from rollcall.reconcile.guards import (
    ALL,
    COURSE_FEW,
    COURSE_SHARE,
    CourseLosses,
    set_aside_reason,
    stop_reason,
)
from rollcall.reconcile.summary import Kind

BATCH = 100
"""Rows that are taken before the token's rights are examined again."""

_WHOLES = {
    Entity.ENROLLMENT: (Entity.SECTION, "course_section_id"),
    Entity.MEMBERSHIP: (Entity.GROUP, "group_id"),
}


class Taking:
    """Judges what is proved, and writes it.

    Args:
        courses: all courses in scope, and accounts as ``account:<id>``.
        permitted: courses whose rosters may shrink, or :data:`rollcall.reconcile.guards.ALL`.
        doubt: why the token's view is not proved any more; None: it is.
    """

    def __init__(
        self,
        *,
        comparer: Comparer,
        checkpoint: Checkpoint,
        courses: Collection[str],
        permitted: Collection[str],
        doubt: Callable[[], Awaitable[str | None]],
    ) -> None:
        self._comparer = comparer
        self._rows = comparer.rows
        self._summary = comparer.summary
        self._checkpoint = checkpoint
        self._courses = courses
        self._permitted = permitted
        self._doubt = doubt

    def limit(self, course: str) -> float:
        """More rows of a course are never taken."""
        if ALL in self._permitted or course in self._permitted:
            return math.inf
        return sum(
            max(COURSE_FEW, COURSE_SHARE * len(self._rows.current_of(entity, course)))
            for entity in _WHOLES
        )

    async def take(self, proofs: AbsenceProofs, proven: Sequence[Proven]) -> None:
        """Judge what is proved, and write what the guards let pass."""
        summary = self._summary
        losses: dict[str, CourseLosses] = {}
        by_course: dict[str, list[Proven]] = {
            course: [] for course in (*self._courses, *proofs.overfull)
        }
        for each in proven:
            by_course.setdefault(each.candidate.course, []).append(each)
        for course, of_course in by_course.items():
            losses[course] = self._judge(proofs, course, of_course)
        stop = stop_reason(losses, summary.set_aside, self._permitted)
        if stop is not None:
            summary.stopped = stop
            return
        left = [each for each in proven if each.candidate.course not in summary.set_aside]
        for start in range(0, len(left), BATCH):
            batch = left[start : start + BATCH]
            if (reason := await self._doubt()) is not None:
                summary.add_reason("", f"absence is not judged: {reason}")
                for each in left[start:]:
                    summary.count(each.candidate.entity, Kind.UNJUDGED)
                return
            self._write(proofs, batch)
            await self._comparer.writer.flush()

    def _judge(self, proofs: AbsenceProofs, course: str, proven: Sequence[Proven]) -> CourseLosses:
        """What a course loses now. A course that would lose too much is set aside."""
        total = CourseLosses(course, 0, 0, False)
        reasons: list[str] = []
        for entity in _WHOLES:
            current = self._rows.current_of(entity, course)
            lost = self._lost(proofs, entity, proven) & current
            is_empty = entity is Entity.ENROLLMENT and self._checkpoint.is_empty(course)
            losses = CourseLosses(course, len(current), len(lost), is_empty)
            if (reason := set_aside_reason(losses, self._permitted)) is not None:
                reasons.append(reason)
            total = total._replace(
                current=total.current + losses.current, absent=total.absent + losses.absent
            )
        if course in proofs.overfull:
            reasons.append(
                f"at least {proofs.overfull[course]} of {total.current} current rows are absent "
                "in Canvas"
            )
        if reasons:
            self._summary.set_aside[course] = reasons[0]
            return total._replace(absent=0)
        return total

    def _lost(self, proofs: AbsenceProofs, entity: Entity, proven: Iterable[Proven]) -> set[str]:
        """Ids of rows that end with what is proved, also those of a section or a group."""
        whole, column = _WHOLES[entity]
        lost: set[str] = set()
        for candidate, fact, _ in proven:
            if fact.is_present or proofs.row(candidate) is None:
                continue
            if candidate.entity is entity:
                lost.add(candidate.id)
            elif candidate.entity is whole:
                lost |= self._rows.current(entity, column, candidate.id)
        return lost

    def _write(self, proofs: AbsenceProofs, batch: Iterable[Proven]) -> None:
        for candidate, fact, _ in batch:
            row = proofs.row(candidate)
            if row is None:
                continue
            if not fact.is_present:
                fact = absence(candidate.entity, row, fact.time)
            self._comparer.judge(candidate.course, fact, row)
