"""One run of ``rollcall reconcile``: courses, new groups, absences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from rollcall.events.ids import normal_id
from rollcall.reconcile.absences import AbsenceProofs
from rollcall.reconcile.canvas_client import (
    NotFoundError,
    RefusedError,
    TokenRefusedError,
)
from rollcall.reconcile.checkpoint import Candidate, Checkpoint
from rollcall.reconcile.comparing import Comparer
from rollcall.reconcile.course import DELETED, CourseReading
from rollcall.reconcile.course_list import CourseList, Scope, check_uuids
from rollcall.reconcile.facts import MICROSECONDS, Entity
from rollcall.reconcile.groups import GroupsReading
from rollcall.reconcile.lists import CanvasReader
from rollcall.reconcile.preflight import View, doubt, examine
from rollcall.reconcile.summary import Kind
from rollcall.reconcile.taking import Taking
from rollcall.rosters.relation import ACCOUNT_PREFIX

CANARIES = 3
"""Known deleted enrollments of each source that are tried."""

GROUPS_SECONDS = 60
"""Time for the rosters to take new groups in."""

_COUNTED = (Kind.READ, Kind.EQUAL)
"""Not counted again when memberships of new groups are read once more."""


@dataclass(kw_only=True)
class Progress:
    """How far a run is, for the screen."""

    courses: int = 0
    """Courses that were read."""
    total: int | None = None
    """Courses to read; None: not known yet."""
    step: str = ""
    """What the run does."""


@dataclass(kw_only=True)
class ReconcileRun:
    """A run. It may be killed at any time, and be resumed with the same checkpoint.

    Args:
        permitted: courses whose rosters may shrink, or ``all``.
        confirm_seconds: pause between the two questions for a row that seems to be gone.
        is_dry: nothing is written, and nothing waited for.
        catch_up: returns when the replica has all rows of this moment.
        pause: waits for some seconds.
        is_mine: raises an error if another run has begun.
    """

    reader: CanvasReader
    comparer: Comparer
    checkpoint: Checkpoint
    view: View
    scope: Scope
    permitted: Collection[str] = ()
    confirm_seconds: float
    is_dry: bool = False
    catch_up: Callable[[], Awaitable[None]]
    pause: Callable[[float], Awaitable[None]]
    is_mine: Callable[[], Awaitable[None]]
    progress: Progress = field(default_factory=Progress)

    async def run(self) -> None:
        """Read, compare and write. The result is in the summary.

        Raises:
            CanvasRefusesError: Canvas does not let this token in, or not any more, or does not
                answer any more.
            ConfigurationError: the rosters are of another Canvas.
        """
        summary = self.comparer.summary
        self.checkpoint.load(summary)
        if self.view.limits:
            summary.add_reason("", f"absence is not judged: {self.view.limits}")
        courses = await self._read_courses()
        self.progress.total = len(courses)
        for course in courses:
            self.progress.courses += 1
            if not self.checkpoint.is_read(course):
                await self._read_course(course)
        accounts = self._accounts()
        for account in accounts:
            if not self.checkpoint.is_read(account):
                await self._read_account(account)
        candidates = self.checkpoint.candidates() + await self._read_new_groups()
        if candidates:
            await self._judge(candidates, courses + accounts)
        await self.comparer.writer.flush()
        self.checkpoint.finish()

    # --- what Canvas shows

    async def _read_courses(self) -> list[str]:
        """Compare the courses. Returns those to read, which are not deleted."""
        self.progress.step = "list of courses"
        known = self.comparer.rows.courses(self.reader.shard) if self._is_of_all else ()
        facts = await CourseList(self.reader, self.scope, self.comparer.summary).read(known)
        rows = self.comparer.rows.by_id(Entity.COURSE, [fact.id for fact in facts])
        check_uuids(facts, {course: row["uuid"] for course, row in rows.items()})
        await self.comparer.take("", facts)
        await self.comparer.writer.flush()
        return [fact.id for fact in facts if fact.stated["workflow_state"] != DELETED]

    async def _read_course(self, course: str) -> None:
        await self.is_mine()
        summary = self.comparer.summary
        self.progress.step = f"course {course}"
        reading = CourseReading(
            course, reader=self.reader, comparer=self.comparer, checkpoint=self.checkpoint
        )
        try:
            result = await reading.read()
        except (RefusedError, NotFoundError) as error:
            summary.skipped[course] = str(error)
            if isinstance(error, TokenRefusedError):
                await examine(self.reader.client)
            return
        for problem in reading.problems:
            summary.add_reason(course, problem)
        await self.comparer.writer.flush()
        summary.courses += 1
        self.checkpoint.note(course, result, reading.users, summary)

    @property
    def _is_of_all(self) -> bool:
        """Whether all courses of the root account are in scope."""
        root = self.view.root and normal_id(self.view.root, self.reader.shard)
        return self.scope.account is not None and self.scope == Scope(account=root)

    def _accounts(self) -> list[str]:
        """Accounts whose groups are read: the one in scope, and if it is the root account, all of
        its shard of which the rosters have groups. Other shards are other institutions.
        """
        account = self.scope.account
        if account is None or self.scope.terms:
            return []
        known = self.comparer.rows.accounts(self.reader.shard) if self._is_of_all else set()
        return [f"{ACCOUNT_PREFIX}{each}" for each in sorted(known | {account}, key=int)]

    async def _read_account(self, account: str) -> None:
        await self.is_mine()
        self.progress.step = account
        reading = GroupsReading(account, reader=self.reader, comparer=self.comparer)
        await reading.read()
        for problem in reading.problems:
            self.comparer.summary.add_reason(account, problem)
        await self.comparer.writer.flush()
        self.checkpoint.note(account, reading.result, (), self.comparer.summary)

    async def _read_new_groups(self) -> list[Candidate]:
        """Read the memberships of groups that had no row: the rosters have kept back what events
        told of them, also memberships that have ended.
        """
        groups = dict(self.checkpoint.new_groups())
        if not groups or self.is_dry:
            return []
        self.progress.step = "new groups"
        missing = await self._missing_groups(groups)
        if missing:
            self.comparer.summary.add_reason(
                "",
                f"the rosters have not taken in {len(missing)} new groups: look at 'rollcall "
                "rosters', and run again",
            )
        candidates: list[Candidate] = []
        summary = self.comparer.summary
        counted = {kind: summary.counts[Entity.MEMBERSHIP, kind] for kind in _COUNTED}
        for group, course in groups.items():
            if group not in missing:
                reading = GroupsReading(course, reader=self.reader, comparer=self.comparer)
                await reading.read_memberships(group)
                candidates += reading.candidates
                for problem in reading.problems:
                    self.comparer.summary.add_reason(course, problem)
        for kind, number in counted.items():
            summary.counts[Entity.MEMBERSHIP, kind] = number
        return candidates

    async def _missing_groups(self, groups: Collection[str]) -> set[str]:
        """Wait for the rows of groups. Returns those that did not come."""
        missing = set(groups)
        for _ in range(GROUPS_SECONDS):
            await self.catch_up()
            missing -= self.comparer.rows.by_id(Entity.GROUP, missing).keys()
            if not missing:
                break
            await self.pause(1)
        return missing

    # --- what Canvas does not show

    async def _judge(self, candidates: list[Candidate], courses: list[str]) -> None:
        summary = self.comparer.summary
        self.progress.step = "rows that Canvas does not list"
        root = self.view.root
        reason = self.view.limits or await self._doubt()
        if root is None or reason:
            summary.add_reason("", f"absence is not judged: {reason}")
            for entity, number in Counter(each.entity for each in candidates).items():
                summary.count(entity, Kind.UNJUDGED, number)
            return
        taking = Taking(
            comparer=self.comparer,
            checkpoint=self.checkpoint,
            courses=courses,
            permitted=self.permitted,
            doubt=self._doubt,
        )
        proofs = AbsenceProofs(
            reader=self.reader,
            comparer=self.comparer,
            checkpoint=self.checkpoint,
            root=root,
            pause=self._confirm,
            is_judging_sections=not (summary.skipped or summary.incomplete),
            limit=taking.limit,
        )
        proven = await proofs.prove(candidates)
        await self.comparer.writer.flush()
        await self.catch_up()
        await self.is_mine()
        await taking.take(proofs, proven)

    async def _confirm(self, is_past_lag: bool) -> None:
        if not self.is_dry:
            lag = self.reader.margin / MICROSECONDS if is_past_lag else 0
            await self.pause(max(self.confirm_seconds, lag))
            await self.catch_up()

    async def _doubt(self) -> str | None:
        if self.view.root is None:
            return self.view.limits
        canaries = [
            *self.comparer.rows.deleted_enrollments(CANARIES),
            *self.checkpoint.canaries(CANARIES),
        ]
        return await doubt(self.reader.client, self.view.root, canaries)
