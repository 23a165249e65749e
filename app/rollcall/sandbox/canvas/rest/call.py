"""A request to the API: its parameters, its rights, and the rows that its path names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from rollcall.events.ids import parse_id
from rollcall.sandbox.canvas.rest import paging
from rollcall.sandbox.canvas.rest.access import Access
from rollcall.sandbox.canvas.rest.errors import not_authorized, not_found
from rollcall.sandbox.canvas.rest.faults import Faults
from rollcall.sandbox.canvas.rest.replica import Replica
from rollcall.sandbox.canvas.simulation.world import Account, Course, World


class Identified(Protocol):
    """A row with a global id."""

    gid: str


Found = TypeVar("Found", bound=Identified)


@dataclass(frozen=True, slots=True)
class Call:
    """A request by the owner of a valid token."""

    world: World
    replica: Replica
    access: Access
    faults: Faults
    ids: Mapping[str, str]
    """Ids in the path, as they stand there."""
    query: Mapping[str, list[str]]

    def values(self, name: str) -> list[str]:
        """Values of a list parameter: ``name[]=…``."""
        return self.query.get(f"{name}[]", self.query.get(name, []))

    def value(self, name: str) -> str | None:
        """Value of a parameter."""
        return self.query.get(name, [None])[-1]

    def page(self, rows: Sequence[Any]) -> paging.Page:
        """A page of a list by number."""
        return paging.by_number(rows, self.query, most=self.faults.max_per_page)

    def need(self, allowed: bool) -> None:
        """Refuse what the token's owner may not.

        Raises:
            RefusedError: it is not allowed.
        """
        if not allowed:
            raise not_authorized(self.faults.unauthorized_status)

    def gid(self, name: str) -> str | None:
        """The global id in the path."""
        return parse_id(self.ids[name], self.world.shard)

    def row(self, name: str, rows: Iterable[Found]) -> Found:
        """The row that the path names.

        Raises:
            RefusedError: there is none.
        """
        gid = self.gid(name)
        for row in list(rows):
            if row.gid == gid:
                return row
        raise not_found()

    def account(self) -> Account:
        """The account of the path, which the token's owner may read.

        Raises:
            RefusedError: there is none, or the owner may not.
        """
        account = (
            self.world.accounts[0]
            if self.ids["account"] in ("self", "default")
            else self.row("account", self.world.accounts)
        )
        if account.state == "deleted":
            raise not_found()
        return account

    def administered(self) -> Account:
        """:meth:`account`, for an owner with rights on accounts."""
        account = self.account()
        self.need(self.access.account)
        return account

    def course(self) -> Course:
        """The course of the path, even a deleted one.

        Raises:
            RefusedError: there is none, or the token's owner may not read it.
        """
        course = self.row("course", self.world.courses)
        self.need(self.access.sees_course(course))
        return course


def is_below(account: Account | None, ancestor: Account) -> bool:
    """Whether it is the ancestor, or an account below it."""
    while account is not None and account is not ancestor:
        account = account.parent
    return account is ancestor
