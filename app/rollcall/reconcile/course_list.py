"""The courses of a run, as Canvas lists them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from rollcall.errors import ConfigurationError
from rollcall.reconcile.canvas_client import (
    CanvasError,
    CanvasRefusesError,
    NotFoundError,
    TokenRefusedError,
)
from rollcall.reconcile.facts import Entity, Fact, UnusableObjectError
from rollcall.reconcile.lists import CanvasReader, ListReading
from rollcall.reconcile.preflight import examine
from rollcall.reconcile.summary import Kind, Summary


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The courses of a run. Ids are in normal form."""

    account: str | None = None
    terms: tuple[str, ...] = ()
    courses: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.account is None:
            return f"courses {', '.join(self.courses)}"
        terms = f", terms {', '.join(self.terms)}" if self.terms else ""
        return f"account {self.account}{terms}"


class CourseList:
    """Reads the courses in scope."""

    def __init__(self, reader: CanvasReader, scope: Scope, summary: Summary) -> None:
        self._reader = reader
        self._scope = scope
        self._summary = summary

    async def read(self, known: Collection[str] = ()) -> list[Fact]:
        """The facts of all courses in scope, also of deleted ones if Canvas lists them.

        Args:
            known: courses that the list of the account must have: what it lacks is asked for.

        Raises:
            CanvasRefusesError: Canvas does not let this token in.
        """
        if self._scope.account is None:
            return await self._named(self._scope.courses)
        facts = await self._listed(self._scope.account)
        return [*facts.values(), *await self._named(sorted(set(known) - facts.keys(), key=int))]

    async def _listed(self, account: str) -> dict[str, Fact]:
        path, facts = f"accounts/{account}/courses", dict[str, Fact]()
        for term in self._scope.terms or (None,):
            parameters = {"state[]": "all"} | ({"enrollment_term_id": term} if term else {})
            found = ListReading(self._reader, Entity.COURSE, path, parameters)
            try:
                async for page in found.pages():
                    facts |= {fact.id: fact for fact in page.facts}
            except CanvasError as error:
                raise CanvasRefusesError(
                    f"Canvas does not list the courses of account {account} to this token "
                    f"({error}); check --account and --term, and the token's rights"
                ) from None
            if found.problem is not None:
                self._summary.add_reason("", f"courses are missing: {found.problem}")
            elif not found.seen:
                of_term = f" in term {term}" if term else ""
                self._summary.add_reason(
                    "",
                    f"Canvas lists no course of account {account}{of_term}; check --account and "
                    "--term",
                )
        return facts

    async def _named(self, courses: Iterable[str]) -> list[Fact]:
        facts: list[Fact] = []
        for course in courses:
            try:
                facts.append(await self._reader.one(Entity.COURSE, f"courses/{course}"))
                self._summary.count(Entity.COURSE, Kind.READ)
            except (CanvasError, UnusableObjectError) as error:
                self._summary.skipped[course] = str(error)
                if isinstance(error, NotFoundError):
                    self._summary.not_found.add(course)
                if isinstance(error, TokenRefusedError):
                    await examine(self._reader.client)
        return facts


def check_uuids(facts: Collection[Fact], known: Mapping[str, str | None]) -> None:
    """Check that the rosters are of this Canvas.

    Args:
        known: uuids in the rosters, by course.

    Raises:
        ConfigurationError: most courses are others.
    """
    pairs = [(fact.stated.get("uuid"), known.get(fact.id)) for fact in facts]
    compared = [(one, other) for one, other in pairs if one and other]
    others = sum(one != other for one, other in compared)
    if others * 2 > len(compared):
        raise ConfigurationError(
            f"{others} of {len(compared)} courses have another uuid in the rosters: they are of "
            "another Canvas, or of another shard; check ROLLCALL_CANVAS_URL and ROLLCALL_SHARD"
        )
