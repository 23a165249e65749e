"""Reads lists of Canvas into facts, and tells whether they are complete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from rollcall.reconcile.canvas_client import Answer, CanvasClient, CanvasError
from rollcall.reconcile.facts import FACT_OF, MICROSECONDS, Entity, Fact, UnusableObjectError
from rollcall.reconcile.summary import Kind, Summary

ENROLLMENT_STATES = (
    *("active", "invited", "creation_pending", "inactive", "completed", "rejected", "deleted"),
)
"""All of them: by default, Canvas lists active and invited ones."""


class Page(NamedTuple):
    """The facts of a page, and its objects."""

    facts: list[Fact]
    objects: list[dict[str, Any]]


class CanvasReader:
    """Reads facts.

    Args:
        shard: of the root account, for local ids.
        margin: T is so many microseconds before the request.
    """

    def __init__(self, client: CanvasClient, *, shard: int, margin: int, summary: Summary) -> None:
        self.client = client
        self.shard = shard
        self.margin = margin
        self.summary = summary

    def time_of(self, answer: Answer) -> int:
        """The time of the facts of an answer."""
        return self.time(answer.asked_at)

    def time(self, asked_at: float) -> int:
        """The time of facts, from the time of the request."""
        return round(asked_at * MICROSECONDS) - self.margin

    async def one(self, entity: Entity, path: str) -> Fact:
        """A fact from a single object.

        Raises:
            CanvasError: as one of its subclasses.
            UnusableObjectError: the object lacks what it must have.
        """
        answer = await self.client.one(path)
        return FACT_OF[entity](answer.content, self.shard, self.time_of(answer))


class ListReading:
    """Reads one list, once. Repeated rows are left out.

    Args:
        place: name of the list, for the reasons.
    """

    def __init__(
        self, reader: CanvasReader, entity: Entity, path: str, parameters: Mapping[str, Any]
    ) -> None:
        self._reader = reader
        self._entity = entity
        self._path = path
        self._parameters = parameters
        self.seen: set[str] = set()
        """Ids of all rows."""
        self.problem: str | None = "it was not read"
        """Why the list is not complete; None: it is."""

    async def pages(self) -> AsyncIterator[Page]:
        """The pages of the list, as far as Canvas gives them.

        Raises:
            CanvasError: the first page is missing.
        """
        self.problem, count = None, 0
        try:
            async for answer in self._reader.client.pages(self._path, self._parameters):
                count += 1
                yield self._page(answer)
        except CanvasError as error:
            if not count:
                raise
            self.problem = f"page {count + 1} of {error}"

    def _page(self, answer: Answer) -> Page:
        page, time = Page([], []), self._reader.time_of(answer)
        summary, entity = self._reader.summary, self._entity
        for found in answer.content:
            try:
                if not isinstance(found, dict):
                    raise UnusableObjectError("it is no object")
                fact = FACT_OF[entity](found, self._reader.shard, time)
            except UnusableObjectError as error:
                summary.count(entity, Kind.UNUSABLE)
                self.problem = f"{self._path}: an object cannot be used: {error}"
                continue
            if fact.id not in self.seen:
                self.seen.add(fact.id)
                summary.count(entity, Kind.READ)
                page.facts.append(fact)
                page.objects.append(found)
        return page
