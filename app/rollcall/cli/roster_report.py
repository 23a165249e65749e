"""A roster as tables for a terminal. Values are never shortened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from rollcall.cli.roster_reading import Roster, Row
from rollcall.printable import printable

_ENDED = frozenset({"completed", "deleted", "inactive", "rejected"})
"""States of rows that are no longer current."""

_WIDEST = 1_000_000
"""A width above that of any table."""


def report(roster: Roster, states: Collection[str] = ()) -> Iterator[RenderableType]:
    """The parts to print of a roster.

    Args:
        states: states of the enrollments to print; empty: all. Groups and members are always
            printed.
    """
    yield _head(roster)
    if not roster.context.prefix:
        rows, total = roster.enrollments_in(states), len(roster.enrollments)
        yield ""
        if rows:
            yield _enrollments(rows, roster)
            of = "" if len(rows) == total else f" of {total:,}"
            yield Text(f"{_number(rows, 'enrollment')}{of}: {_counts(rows)}", style="dim")
        else:
            yield Text(no_enrollments(roster, states))
    yield ""
    if roster.groups or roster.memberships:
        yield _groups(roster)
        counts = [
            f"{_number(rows, noun)}: {_counts(rows)}"
            for rows, noun in ((roster.groups, "group"), (roster.memberships, "member"))
            if rows
        ]
        yield Text("; ".join(counts), style="dim")
    else:
        yield Text("no groups")


def no_enrollments(roster: Roster, states: Collection[str]) -> str:
    """The reason why no enrollment is printed."""
    if not roster.enrollments:
        return "no enrollments"
    return (
        f"no enrollment is {' or '.join(printable(state) for state in states)}; there are "
        f"{_counts(roster.enrollments)}"
    )


def _head(roster: Roster) -> Table:
    head = Table.grid(padding=(0, 2))
    head.add_column(style="dim", no_wrap=True)
    head.add_column(overflow="fold")
    if roster.context.prefix:
        head.add_row("account", Text(roster.context.identity))
        return head
    course = roster.course
    name = (
        Text("(unknown: no event of the course itself)")
        if course is None
        else Text(_text(course, "name") or "(no name)", style="bold")
    )
    head.add_row("course", name)
    head.add_row("id", Text(roster.context.identity))
    if course is not None:
        head.add_row("state", Text(f"{_text(course, 'state')} ({_text(course, 'state_reason')})"))
        head.add_row("as of", Text(_text(course, "as_of")))
    return head


def _enrollments(rows: Sequence[Row], roster: Roster) -> _Table:
    sections = {_text(row, "course_section_id"): _text(row, "name") for row in roster.sections}

    def section(row: Row) -> str:
        identity = _text(row, "course_section_id")
        return sections.get(identity) or f"section {identity}"

    def order(row: Row) -> tuple[str, str, str, str]:
        name = _text(row, "user_name")
        return _type(row), name.casefold(), name, _text(row, "enrollment_id")

    table = _Table(
        ("name", "type", "state", "why", "section", "user id", "since (UTC)"),
        stacks=((0, 5), (1, 4), (2, 3), (6,)),
    )
    for row in sorted(rows, key=order):
        table.add(
            row,
            _text(row, "user_name") or "(no name)",
            _type(row),
            *_state(row),
            section(row),
            _text(row, "user_id"),
            _since(row),
        )
    return table


def _groups(roster: Roster) -> _Table:
    # Enrollments carry the user's name. The latest one counts.
    names = {
        _text(row, "user_id"): _text(row, "user_name")
        for row in sorted(roster.enrollments, key=lambda row: _text(row, "as_of"))
    }
    members: dict[str, list[Row]] = {_text(row, "group_id"): [] for row in roster.groups}
    for row in roster.memberships:
        members.setdefault(_text(row, "group_id"), []).append(row)
    groups = {_text(row, "group_id"): row for row in roster.groups}

    def group_order(identity: str) -> tuple[str, str, str]:
        row = groups.get(identity, {})
        return (
            _text(row, "group_category_name").casefold(),
            _text(row, "group_name").casefold(),
            identity,
        )

    def member_order(row: Row) -> tuple[bool, str, str]:
        name = names.get(_text(row, "user_id"), "")
        return not name, name.casefold(), _text(row, "user_id")

    table = _Table(
        ("group, member", "category", "state", "why", "group or user id", "since (UTC)"),
        stacks=((0, 4), (1,), (2, 3), (5,)),
    )
    for identity in sorted(members, key=group_order):
        group = groups.get(identity, {})
        table.add(
            group,
            _text(group, "group_name") or "(no name)",
            _text(group, "group_category_name"),
            *_state(group),
            identity,
            _since(group),
        )
        for row in sorted(members[identity], key=member_order):
            user = _text(row, "user_id")
            table.add(
                row, f"  {names.get(user) or f'user {user}'}", "", *_state(row), user, _since(row)
            )
    return table


class _Table:
    """A table that stacks several values in one cell on a narrow terminal."""

    def __init__(self, columns: Sequence[str], *, stacks: Sequence[Sequence[int]]) -> None:
        """``stacks``: groups of column numbers; each group is one column on a narrow terminal."""
        self._columns = columns
        self._stacks = stacks
        self._rows: list[tuple[Row, Sequence[str]]] = []

    def add(self, row: Row, *cells: str) -> None:
        """Add a row with its cells."""
        self._rows.append((row, cells))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = self._table([(number,) for number in range(len(self._columns))])
        fits = (
            Measurement.get(console, options.update(width=_WIDEST), wide).maximum
            <= options.max_width
        )
        yield wide if fits else self._table(self._stacks)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(
            console, options, self._table([(number,) for number in range(len(self._columns))])
        )

    def _table(self, stacks: Sequence[Sequence[int]]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for stack in stacks:
            table.add_column(
                Text("\n".join(self._columns[number] for number in stack)), overflow="fold"
            )
        for row, cells in self._rows:
            table.add_row(
                *(Text("\n".join(cells[number] for number in stack)) for stack in stacks),
                style="dim" if row.get("state") in _ENDED else "",
            )
        return table


def _state(row: Row) -> tuple[str, str]:
    return _text(row, "state"), _text(row, "state_reason")


def _type(row: Row) -> str:
    return _text(row, "type").removesuffix("Enrollment")


def _since(row: Row) -> str:
    """``as_of`` to the second; the row has milliseconds."""
    return _text(row, "as_of")[:19].replace("T", " ")


def _counts(rows: Sequence[Row]) -> str:
    """Number of rows in each state, the most frequent first."""
    counts = Counter(_text(row, "state") for row in rows)
    return ", ".join(
        f"{count:,} {state}"
        for state, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def _number(rows: Sequence[Row], noun: str) -> str:
    return f"{len(rows):,} {noun}{'' if len(rows) == 1 else 's'}"


def _text(row: Row, field: str) -> str:
    """A field as printable text; empty if the row does not have it."""
    value = row.get(field, "")
    return printable(value if isinstance(value, str) else json.dumps(value))
