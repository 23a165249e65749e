"""Reads a course: its sections, enrollments, groups and memberships, and their users.

What Canvas shows is compared and written at once. Rows that it does not show are candidates for
absence: :mod:`rollcall.reconcile.absences` judges them when all courses are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from rollcall.reconcile.canvas_client import CanvasError, NotFoundError, RefusedError
from rollcall.reconcile.checkpoint import Candidate, Checkpoint, CourseResult
from rollcall.reconcile.comparing import Comparer
from rollcall.reconcile.comparison import Row, is_revived
from rollcall.reconcile.facts import Entity, Fact, UnusableObjectError, user_fact
from rollcall.reconcile.groups import GroupsReading
from rollcall.reconcile.lists import ENROLLMENT_STATES, CanvasReader, ListReading, Page
from rollcall.reconcile.summary import Kind
from rollcall.rosters.states import FINAL

CANARIES = 3
"""Deleted enrollments that are kept of a course."""

DELETED = "deleted"
WITH_SECTION = "section_deleted"
"""state_reason of rows that are deleted with their section. Rows of a deleted course count: Canvas
has just shown that the course is there.
"""


class CourseReading:
    """Reads one course, once.

    Args:
        course: id in normal form.
        checkpoint: of the run; only read.
    """

    def __init__(
        self, course: str, *, reader: CanvasReader, comparer: Comparer, checkpoint: Checkpoint
    ) -> None:
        self.course = course
        self._reader = reader
        self._comparer = comparer
        self._rows = comparer.rows
        self._checkpoint = checkpoint
        self._sections: set[str] = set()
        self._candidates: list[Candidate] = []
        self._deleted: list[str] = []
        self._is_empty = False
        self.users: set[str] = set()
        """Users who were compared."""
        self.problems: list[str] = []
        """Why the reading is not complete."""

    async def read(self) -> CourseResult:
        """Read the course. Raises an error only if there is nothing to read.

        Raises:
            RefusedError, NotFoundError: the course is hidden from the token, or does not exist.
        """
        await self._read_sections()
        await self._read_enrollments()
        groups = GroupsReading(self.course, reader=self._reader, comparer=self._comparer)
        await groups.read()
        self.problems += groups.problems
        return CourseResult(
            self._is_empty,
            self._sections,
            self._candidates + groups.candidates,
            groups.new_groups,
            self._deleted,
        )

    async def _read_sections(self) -> None:
        found = self._list(Entity.SECTION, "sections")
        try:
            async for page in found.pages():
                await self._comparer.take(self.course, page.facts)
        except (RefusedError, NotFoundError):
            raise
        except CanvasError as error:
            found.problem = str(error)
        self._sections = found.seen
        if self._is_complete(found):
            for section in self._known_sections() - found.seen:
                self._candidates.append(Candidate(Entity.SECTION, section, self.course))

    def _known_sections(self) -> set[str]:
        """Sections that the rosters have in the course, also if only enrollments name them."""
        rows = {
            str(row["course_section_id"]): row
            for row in self._rows.of_course(Entity.SECTION, self.course)
        }
        named = {
            str(row["course_section_id"])
            for row in self._rows.of_course(Entity.ENROLLMENT, self.course)
            if row["workflow_state"] != DELETED and row["state_reason"] != WITH_SECTION
        }
        living = {section for section, row in rows.items() if row["workflow_state"] != DELETED}
        return living | (named - rows.keys())

    async def _read_enrollments(self) -> None:
        found = self._list(Entity.ENROLLMENT, "enrollments", {"state[]": list(ENROLLMENT_STATES)})
        try:
            async for page in found.pages():
                await self._take_enrollments(page)
        except CanvasError as error:
            found.problem = str(error)
        if not self._is_complete(found):
            return
        self._is_empty = not found.seen
        for row in self._rows.of_course(Entity.ENROLLMENT, self.course):
            identity = str(row["enrollment_id"])
            if identity not in found.seen and not has_ended(row):
                self._candidates.append(Candidate(Entity.ENROLLMENT, identity, self.course))

    async def _take_enrollments(self, page: Page) -> None:
        rows = self._rows.by_id(Entity.ENROLLMENT, [fact.id for fact in page.facts])
        living = {
            str(fact.stated["course_section_id"])
            for fact in page.facts
            if fact.stated["workflow_state"] != DELETED
        }
        await self._comparer.take(
            self.course,
            [fact for fact in page.facts if self._is_believed(fact, rows.get(fact.id), living)],
        )
        await self._comparer.take(self.course, list(self._user_facts(page)))

    def _is_believed(self, fact: Fact, row: Row | None, living: Collection[str]) -> bool:
        """Whether the state of an enrollment counts as it is displayed. ``deleted`` is displayed
        also if the section or the course is deleted, and then the enrollment has another state.

        Args:
            living: sections of which the same page displays another state. Canvas's replica had
                them, and the course, when it answered.
        """
        if fact.stated["workflow_state"] != DELETED:
            return True
        is_own = fact.stated["course_section_id"] in self._sections
        if is_own and len(self._deleted) < CANARIES:
            self._deleted.append(fact.id)
        if row is None:
            return is_own and fact.stated["course_section_id"] in living
        if has_ended(row):
            return is_own
        is_of_section = row["state_reason"] == WITH_SECTION
        if not is_of_section or is_own or str(row["course_section_id"]) in self._sections:
            self._candidates.append(Candidate(Entity.ENROLLMENT, fact.id, self.course))
        return False

    def _user_facts(self, page: Page) -> Iterator[Fact]:
        """Users of enrollments. Canvas shows a deleted user, too, in deleted enrollments."""
        for fact, found in zip(page.facts, page.objects, strict=True):
            user = found.get("user")
            if not isinstance(user, dict) or fact.stated["workflow_state"] in FINAL:
                continue
            try:
                of_user = user_fact(user, self._reader.shard, fact.time)
            except UnusableObjectError as error:
                self._comparer.summary.count(Entity.USER, Kind.UNUSABLE)
                self.problems.append(f"a user cannot be used: {error}")
                continue
            if of_user.id not in self.users and not self._checkpoint.knows_user(of_user.id):
                self.users.add(of_user.id)
                self._comparer.summary.count(Entity.USER, Kind.READ)
                yield of_user

    def _list(
        self, entity: Entity, name: str, parameters: dict[str, Any] | None = None
    ) -> ListReading:
        return ListReading(self._reader, entity, f"courses/{self.course}/{name}", parameters or {})

    def _is_complete(self, found: ListReading) -> bool:
        if found.problem is not None:
            self.problems.append(found.problem)
        return found.problem is None


def has_ended(row: Row) -> bool:
    """Whether a row is deleted by itself, and nothing has revived it."""
    return bool(row["workflow_state"] == DELETED and not is_revived(row))
