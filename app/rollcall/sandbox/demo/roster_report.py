"""The demo's rosters, and the effects of two events, as tables and texts. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rollcall.process.topics import TopicNames
from rollcall.sandbox.canvas.simulation.truth import Rosters, Row
from rollcall.sandbox.demo.institution import Example
from rollcall.sandbox.demo.roster_request import RosterRequest
from rollcall.sandbox.demo.rosters import Effect, rows_of_courses

SHOWN_PEOPLE = 12
SHOWN_MOVES = 2
SHOWN_MISTAKES = 5

_ROLES = {
    "TeacherEnrollment": "teacher",
    "TaEnrollment": "TA",
    "DesignerEnrollment": "designer",
    "ObserverEnrollment": "observer",
    "StudentEnrollment": "student",
    "StudentViewEnrollment": "test student",
}
_ORDER = {kind: number for number, kind in enumerate(_ROLES)}
_TABLES = ("enrollments", "groups", "memberships")
"""Relations whose rows are deleted with their course."""


def course(course_id: str, rosters: Rosters) -> Iterator[RenderableType]:
    """The people and groups of a course."""
    rows = _rows(rosters, course_id)
    yield _line(_title(rosters, course_id), f"course {course_id}")
    people = sorted(
        rows["enrollments"],
        key=lambda row: (
            _ORDER.get(_field(row, "type"), len(_ORDER)),
            *_by(row, "user_name", "enrollment_id"),
        ),
    )
    sections = {_field(row, "course_section_id"): _field(row, "name") for row in rows["sections"]}
    table = _table("name", "role", "state", "why", "section")
    for row in people[:SHOWN_PEOPLE]:
        role, section = _field(row, "type"), _field(row, "course_section_id")
        name, state, why = (_field(row, field) for field in ("user_name", "state", "state_reason"))
        table.add_row(
            *map(Text, (name, _ROLES.get(role, role), state, why, sections.get(section, section)))
        )
    yield table
    if len(people) > SHOWN_PEOPLE:
        yield _indented(
            Text(
                f"… and {len(people) - SHOWN_PEOPLE:,} more; in all {_states(people)}", style="dim"
            )
        )
    members = Counter(
        _field(row, "group_id")
        for row in rows["memberships"]
        if _field(row, "state") not in ("deleted", "rejected")
    )
    groups = ", ".join(
        _group(row, members[_field(row, "group_id")])
        for row in sorted(rows["groups"], key=lambda row: _by(row, "group_name", "group_id"))
    )
    yield Group("", _indented(Text.assemble(("groups  ", "dim"), groups)), "")


def move(example: Example, effect: Effect, names: TopicNames) -> Iterator[RenderableType]:
    """The effect of a cross-listing: a section's enrollments move without events of their own."""
    here, there = example.course.gid, example.other.gid
    before, after = (
        _rows(effect.before, here)["enrollments"],
        _rows(effect.after, there)["enrollments"],
    )
    ours = {_field(row, "enrollment_id") for row in before}
    moved = sorted(
        (row for row in after if _field(row, "enrollment_id") in ours),
        key=lambda row: _by(row, "user_name", "enrollment_id"),
    )
    yield _line(effect.event_name, f"section {example.section.gid}, {example.section.name}")
    yield _indented(
        Text(
            f"1 event moved {_number(moved, 'enrollment')}, {effect.seconds:.1f} s after it was "
            "sent."
        )
    )
    table = _table("course", "", "before", "after")
    for identity in (here, there):
        counts = (
            len(_rows(rosters, identity)["enrollments"])
            for rosters in (effect.before, effect.after)
        )
        table.add_row(
            Text(_title(effect.before, identity)),
            Text(identity, style="dim"),
            *(f"{count:,}" for count in counts),
        )
    yield table
    yield _indented(Text(f"on {names.prefix}.rosters.enrollments", style="dim"))
    grid = Table.grid(padding=(0, 2))
    for row in moved[:SHOWN_MOVES]:
        for identity in (here, there):
            key = f"{identity}/{_field(row, 'enrollment_id')}"
            states = (rosters["enrollments"].get(key) for rosters in (effect.before, effect.after))
            was, is_ = ("nothing" if found is None else _field(found, "state") for found in states)
            grid.add_row(
                Text(key), Text(f"{was} → {is_}"), Text(_field(row, "user_name"), style="dim")
            )
    yield Group(_indented(grid), "")


def deletion(example: Example, effect: Effect) -> Iterator[RenderableType]:
    """The effect of a course's deletion: its rows are deleted without events of their own."""
    before, after = (
        _rows(effect.before, example.course.gid),
        _rows(effect.after, example.course.gid),
    )
    changed = {
        relation: [row for row in after[relation] if row not in before[relation]]
        for relation in _TABLES
    }
    counts = ", ".join(
        _number(rows, relation.removesuffix("s")) for relation, rows in changed.items()
    )
    yield _line(effect.event_name, f"course {example.course.gid}, {example.course.name}")
    yield _indented(Text(f"1 event changed {counts}, {effect.seconds:.1f} s after it was sent."))
    table = _table("", "before", "after", "why", numbers=False)
    for relation in _TABLES:
        table.add_row(
            relation,
            _states(before[relation]),
            _states(after[relation]),
            _count_words(_field(row, "state_reason") for row in after[relation]),
        )
    yield table
    left = len(_rows(effect.after, example.other.gid)["enrollments"])
    yield Group(
        _indented(
            Text(
                f"The moved section is not affected: {example.other.name} still has {left:,} "
                "enrollments."
            )
        ),
        "",
    )


def answer(request: RosterRequest) -> Iterator[RenderableType]:
    """The request to serve and its response."""
    yield _indented(Text.assemble(("curl ", "dim"), f"'{request.url}'"))
    content = json.loads(request.answer.text)
    for enrollment in content if isinstance(content, list) else [content]:
        yield _indented(
            Text(
                json.dumps(
                    {name: value for name, value in enrollment.items() if value is not None},
                    ensure_ascii=False,
                )
            )
        )
    yield _indented(Text.assemble(("Link: ", "dim"), request.answer.link.replace(",<", ", <")))
    verdict = f"{len(request.wrong):,} of them wrong" if request.wrong else "all correct"
    style = "bold red" if request.wrong else ""
    yield Group(
        "",
        _indented(
            Text(
                f"All pages, all states: {request.enrollments:,} enrollments, {verdict}.",
                style=style,
            )
        ),
        "",
    )


def comparison(
    names: TopicNames, truth: Rosters, found: Rosters, mistakes: Mapping[str, Sequence[str]]
) -> RenderableType:
    """Expected and found rows of each roster topic."""
    table = _table("topic", "rows", "found", "")
    for relation, rows in truth.items():
        wrong = len(mistakes[relation])
        verdict = (
            Text(f"{wrong:,} wrong", style="bold red") if wrong else Text("equal", style="green")
        )
        table.add_row(
            Text(f"{names.prefix}.rosters.{relation}"),
            f"{len(rows):,}",
            f"{len(found[relation]):,}",
            verdict,
        )
    lines = [
        Text(f"  {relation}: {each}", style="bold red")
        for relation, all_ in mistakes.items()
        for each in all_[:SHOWN_MISTAKES]
    ]
    return Group(table, *lines, *([""] if lines else []))


def _rows(rosters: Rosters, course_id: str) -> dict[str, list[Row]]:
    return {
        relation: list(rows.values())
        for relation, rows in rows_of_courses(rosters, {course_id}).items()
    }


def _title(rosters: Rosters, course_id: str) -> str:
    return _field(rosters["courses"].get(course_id, {}), "name")


def _field(row: Row, field: str) -> str:
    """A field as text; ``?`` if it is missing."""
    return str(row.get(field, "?"))


def _by(row: Row, *fields: str) -> tuple[str, ...]:
    return tuple(_field(row, field) for field in fields)


def _states(rows: Collection[Row]) -> str:
    return _count_words(_field(row, "state") for row in rows)


def _count_words(words: Iterator[str]) -> str:
    return ", ".join(
        f"{count:,} {word}"
        for word, count in sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))
    )


def _number(rows: Collection[Row], noun: str) -> str:
    return f"{len(rows):,} {noun}{'' if len(rows) == 1 else 's'}"


def _group(row: Row, members: int) -> str:
    count = "deleted" if _field(row, "state") == "deleted" else members
    return f"{_field(row, 'group_name')} ({count})"


def _line(title: str, rest: str) -> Text:
    return Text("  ").append(title, style="bold cyan").append(f"  {rest}", style="dim")


def _indented(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2))


def _table(*columns: str, numbers: bool = True) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", padding=(0, 1))
    for column in columns:
        table.add_column(
            column,
            justify="right"
            if column in ("before", "after", "rows", "found") and numbers
            else "left",
            overflow="fold",
        )
    return table
