"""Proves that what lists do not show is gone: each row is asked for by its id, twice, with a pause.

An enrollment is gone also if Canvas shows it as deleted, in a section and a course that are there.
Enrollments come from a replica that lags, the others do not: the pause is then longer than the lag.
Otherwise, a course that was deleted and has just been restored would look like such a case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from rollcall.reconcile.canvas_client import CanvasError, NotFoundError
from rollcall.reconcile.checkpoint import Candidate, Checkpoint
from rollcall.reconcile.comparing import Comparer
from rollcall.reconcile.comparison import Row
from rollcall.reconcile.course import DELETED, has_ended
from rollcall.reconcile.facts import Entity, Fact, UnusableObjectError, absence
from rollcall.reconcile.guards import COURSE_FEW
from rollcall.reconcile.lists import CanvasReader
from rollcall.reconcile.summary import Kind
from rollcall.rosters.relation import ACCOUNT_PREFIX
from rollcall.rosters.states import FINAL


class Proven(NamedTuple):
    """A fact that takes a row from a roster."""

    candidate: Candidate
    fact: Fact
    is_current: bool
    """Whether the row is neither deleted nor rejected now."""


class AbsenceProofs:
    """Judges candidates.

    Args:
        root: account of :func:`rollcall.reconcile.preflight.examine`.
        pause: waits until the second question may be asked. True: longer than the replica lags.
        is_judging_sections: whether all lists of sections are complete.
        limit: number of rows that a course may lose at most. The rest is then not asked for.
    """

    def __init__(
        self,
        *,
        reader: CanvasReader,
        comparer: Comparer,
        checkpoint: Checkpoint,
        root: str,
        pause: Callable[[bool], Awaitable[None]],
        is_judging_sections: bool,
        limit: Callable[[str], float],
    ) -> None:
        self._reader = reader
        self._comparer = comparer
        self._rows = comparer.rows
        self._summary = comparer.summary
        self._checkpoint = checkpoint
        self._root = root
        self._pause = pause
        self._is_judging_sections = is_judging_sections
        self._limit = limit
        self._there: dict[tuple[Entity, str], bool] = {}
        """Courses, sections and groups that were asked for in this pass."""
        self._missed: Counter[str] = Counter()
        self.overfull: dict[str, int] = {}
        """Courses that would lose more than they may, with the number when that was found."""

    async def prove(self, candidates: Iterable[Candidate]) -> list[Proven]:
        """The candidates that are gone. What Canvas shows of the others is compared and written."""
        remaining = await self._pass(candidates)
        if not remaining:
            return []
        await self._pause(any(proven.fact.is_present for proven in remaining))
        return await self._pass([proven.candidate for proven in remaining])

    async def _pass(self, candidates: Iterable[Candidate]) -> list[Proven]:
        """Ask for each candidate once. Returns those that are gone."""
        self._there.clear()
        found: list[Proven] = []
        lost: Counter[str] = Counter()
        for candidate in candidates:
            course = candidate.course
            if course in self.overfull:
                self._summary.count(candidate.entity, Kind.UNJUDGED)
                continue
            if (proven := await self._look(candidate)) is None:
                continue
            found.append(proven)
            lost[course] += proven.is_current and not proven.fact.is_present
            if lost[course] > self._limit(course):
                self.overfull[course] = lost[course]
        await self._comparer.writer.make_room()
        return [each for each in found if each.candidate.course not in self.overfull]

    async def _look(self, candidate: Candidate) -> Proven | None:
        """The fact that takes the row from the roster; None: there is none."""
        row = self.row(candidate)
        if row is None:
            return None
        has_moved = _context(row) != candidate.course
        candidate = candidate._replace(course=_context(row))
        try:
            if candidate.entity is Entity.SECTION and not self._can_judge(candidate):
                return None
            fact = await self._ask(candidate, row, has_moved=has_moved)
        except (CanvasError, UnusableObjectError) as error:
            self._summary.count(candidate.entity, Kind.UNJUDGED)
            self._summary.add_reason(candidate.course, str(error))
            return None
        return None if fact is None else Proven(candidate, fact, row["state"] not in FINAL)

    def row(self, candidate: Candidate) -> Row | None:
        """The row as it is now; None: it has ended meanwhile. For a section that only
        enrollments name, it is what they say.
        """
        rows = self._rows.by_id(candidate.entity, [candidate.id], candidate.group or None)
        row = rows.get(candidate.id)
        if row is None and candidate.entity is Entity.SECTION:
            if not self._rows.names_section(candidate.id):
                return None
            return {
                "course_section_id": candidate.id,
                "course_id": candidate.course,
                "workflow_state": "active",
                "state": "active",
                "state_reason": "section",
                "as_of": None,
                "snapshot_at": None,
            }
        return None if row is None or has_ended(row) else row

    def _can_judge(self, candidate: Candidate) -> bool:
        if self._checkpoint.lists_section(candidate.id):
            return False  # in another course, whose list has written it
        if not self._is_judging_sections:
            self._summary.count(candidate.entity, Kind.UNJUDGED)
            self._summary.add_reason(
                candidate.course, "its sections are not judged, as courses are incomplete"
            )
        return self._is_judging_sections

    async def _ask(self, candidate: Candidate, row: Row, *, has_moved: bool) -> Fact | None:
        entity = candidate.entity
        try:
            fact = await self._reader.one(entity, self._path(candidate))
        except NotFoundError as error:
            if entity is Entity.MEMBERSHIP and not await self._is_there(
                Entity.GROUP, candidate.group
            ):
                return None  # the group is gone, and with it all its memberships
            return absence(entity, row, self._reader.time(error.asked_at))
        is_deleted = fact.stated["workflow_state"] == DELETED
        is_elsewhere = entity is Entity.ENROLLMENT and fact.stated["course_id"] != str(
            row["course_id"]
        )
        if is_deleted and (is_elsewhere or entity is not Entity.ENROLLMENT):
            return fact  # it has left, if Canvas says so again when its replica cannot lag any more
        if is_deleted:
            section = fact.stated["course_section_id"]
            # In another section than the row: deleted, or moved to a deleted one. It has left.
            has_left = section != str(row["course_section_id"])
            is_own = has_left or await self._is_there(Entity.SECTION, section)
            return (
                fact if is_own and await self._is_there(Entity.COURSE, candidate.course) else None
            )
        is_equal = self._comparer.judge(candidate.course, fact, row) is Kind.EQUAL
        if is_equal and not has_moved:
            self._miss(candidate)
        return None

    def _miss(self, candidate: Candidate) -> None:
        """Note a row that Canvas has where its list did not show it."""
        self._summary.count(candidate.entity, Kind.MISSED)
        self._missed[candidate.course] += 1
        if self._missed[candidate.course] > COURSE_FEW:
            self._summary.add_reason(
                candidate.course, "Canvas has rows that its lists do not show to this token"
            )

    async def _is_there(self, entity: Entity, identity: str) -> bool:
        """Whether Canvas has a course, a section or a group, and it is not deleted. It is asked
        after what depends on it, and once in a pass.
        """
        place = (entity, identity)
        if place not in self._there:
            try:
                await self._reader.client.one(f"{entity}s/{identity}")
                self._there[place] = True
            except NotFoundError:
                self._there[place] = False
        return self._there[place]

    def _path(self, candidate: Candidate) -> str:
        match candidate.entity:
            case Entity.ENROLLMENT:
                return f"accounts/{self._root}/enrollments/{candidate.id}"
            case Entity.MEMBERSHIP:
                return f"groups/{candidate.group}/memberships/{candidate.id}"
            case _:
                return f"{candidate.entity}s/{candidate.id}"


def _context(row: Row) -> str:
    """The course of a row, or ``account:<id>``."""
    if row.get("context_type") == "Account":
        return f"{ACCOUNT_PREFIX}{row['context_id']}"
    return str(row["context_id"] if "context_id" in row else row["course_id"])
