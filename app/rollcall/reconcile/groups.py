"""Reads the groups of a course or an account, and their memberships."""

from __future__ import annotations

from rollcall.reconcile.canvas_client import CanvasError
from rollcall.reconcile.checkpoint import Candidate, CourseResult
from rollcall.reconcile.comparing import Comparer
from rollcall.reconcile.facts import Entity
from rollcall.reconcile.lists import CanvasReader, ListReading
from rollcall.rosters.relation import ACCOUNT_PREFIX
from rollcall.rosters.states import FINAL


class GroupsReading:
    """Reads the groups of one context, once.

    Args:
        context: a course, or ``account:<id>``.
    """

    def __init__(self, context: str, *, reader: CanvasReader, comparer: Comparer) -> None:
        self._context = context
        self._is_account = context.startswith(ACCOUNT_PREFIX)
        self._id = context.removeprefix(ACCOUNT_PREFIX)
        self._reader = reader
        self._comparer = comparer
        self._rows = comparer.rows
        self.candidates: list[Candidate] = []
        """Groups and memberships that complete lists do not show."""
        self.new_groups: list[str] = []
        """Groups that had no row."""
        self.problems: list[str] = []
        """Why the reading is not complete."""

    @property
    def result(self) -> CourseResult:
        """For an account, which has nothing else."""
        return CourseResult(candidates=self.candidates, new_groups=self.new_groups)

    async def read(self) -> None:
        """Read the groups and their memberships."""
        place = f"{'accounts' if self._is_account else 'courses'}/{self._id}/groups"
        found = ListReading(self._reader, Entity.GROUP, place, {"collaboration_state": "all"})
        try:
            async for page in found.pages():
                rows = await self._comparer.take(self._context, page.facts)
                self.new_groups += [fact.id for fact in page.facts if fact.id not in rows]
        except CanvasError as error:
            found.problem = str(error)
        if found.problem is None:
            kind = "Account" if self._is_account else "Course"
            for row in self._rows.groups(kind, self._id):
                identity = str(row["group_id"])
                if identity not in found.seen and row["workflow_state"] not in FINAL:
                    self.candidates.append(Candidate(Entity.GROUP, identity, self._context))
        else:
            self.problems.append(found.problem)
        for group in sorted(found.seen, key=int):
            await self.read_memberships(group)

    async def read_memberships(self, group: str) -> None:
        """Read the memberships of a group."""
        found = ListReading(self._reader, Entity.MEMBERSHIP, f"groups/{group}/memberships", {})
        try:
            async for page in found.pages():
                await self._comparer.take(self._context, page.facts, group)
        except CanvasError as error:
            found.problem = str(error)
        if found.problem is not None:
            self.problems.append(found.problem)
            return
        for row in self._rows.memberships(group):
            identity = str(row["group_membership_id"])
            # Canvas does not list rejected ones
            if identity not in found.seen and row["workflow_state"] not in FINAL:
                self.candidates.append(Candidate(Entity.MEMBERSHIP, identity, self._context, group))
