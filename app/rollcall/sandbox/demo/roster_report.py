"""How rosters look in the demo, and what an event does to them. Pure."""

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
from rollcall.sandbox.demo.asking import RosterRequest
from rollcall.sandbox.demo.institution import Cast
from rollcall.sandbox.demo.rosters import Scene, of_courses

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
_ORDER = {kind: place for place, kind in enumerate(_ROLES)}
_TABLES = ("enrollments", "groups", "memberships")
"""What is deleted with a course."""


def course(course_id: str, rosters: Rosters) -> Iterator[RenderableType]:
    """One course: its people and its groups."""
    rows = _rows(rosters, course_id)
    yield _line(_title(rosters, course_id), f"course {course_id}")
    people = sorted(
        rows["enrollments"],
        key=lambda row: (
            _ORDER.get(_said(row, "type"), len(_ORDER)),
            *_by(row, "user_name", "enrollment_id"),
        ),
    )
    sections = {_said(row, "course_section_id"): _said(row, "name") for row in rows["sections"]}
    table = _table("name", "role", "state", "why", "section")
    for row in people[:SHOWN_PEOPLE]:
        role, section = _said(row, "type"), _said(row, "course_section_id")
        name, state, why = (_said(row, field) for field in ("user_name", "state", "state_reason"))
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
        _said(row, "group_id")
        for row in rows["memberships"]
        if _said(row, "state") not in ("deleted", "rejected")
    )
    groups = ", ".join(
        _group(row, members[_said(row, "group_id")])
        for row in sorted(rows["groups"], key=lambda row: _by(row, "group_name", "group_id"))
    )
    yield Group("", _indented(Text.assemble(("groups  ", "dim"), groups)), "")


def move(cast: Cast, scene: Scene, names: TopicNames) -> Iterator[RenderableType]:
    """What a cross-listing does: the enrollments of a section are in another course, and no event
    told of them.
    """
    here, there = cast.course.gid, cast.other.gid
    before, after = (
        _rows(scene.before, here)["enrollments"],
        _rows(scene.after, there)["enrollments"],
    )
    ours = {_said(row, "enrollment_id") for row in before}
    moved = sorted(
        (row for row in after if _said(row, "enrollment_id") in ours),
        key=lambda row: _by(row, "user_name", "enrollment_id"),
    )
    yield _line(scene.event_name, f"section {cast.section.gid}, {cast.section.name}")
    yield _indented(
        Text(
            f"1 event moved {_number(moved, 'enrollment')}, {scene.seconds:.1f} s after it was "
            "sent."
        )
    )
    table = _table("course", "", "before", "after")
    for identity in (here, there):
        counts = (
            len(_rows(rosters, identity)["enrollments"]) for rosters in (scene.before, scene.after)
        )
        table.add_row(
            Text(_title(scene.before, identity)),
            Text(identity, style="dim"),
            *(f"{count:,}" for count in counts),
        )
    yield table
    yield _indented(Text(f"on {names.prefix}.rosters.enrollments", style="dim"))
    grid = Table.grid(padding=(0, 2))
    for row in moved[:SHOWN_MOVES]:
        for identity in (here, there):
            key = f"{identity}/{_said(row, 'enrollment_id')}"
            states = (rosters["enrollments"].get(key) for rosters in (scene.before, scene.after))
            was, is_ = ("nothing" if found is None else _said(found, "state") for found in states)
            grid.add_row(
                Text(key), Text(f"{was} → {is_}"), Text(_said(row, "user_name"), style="dim")
            )
    yield Group(_indented(grid), "")


def deletion(cast: Cast, scene: Scene) -> Iterator[RenderableType]:
    """What the deletion of a course does: everything in it is deleted, and no event told of it."""
    before, after = _rows(scene.before, cast.course.gid), _rows(scene.after, cast.course.gid)
    changed = {
        relation: [row for row in after[relation] if row not in before[relation]]
        for relation in _TABLES
    }
    told = ", ".join(
        _number(rows, relation.removesuffix("s")) for relation, rows in changed.items()
    )
    yield _line(scene.event_name, f"course {cast.course.gid}, {cast.course.name}")
    yield _indented(Text(f"1 event changed {told}, {scene.seconds:.1f} s after it was sent."))
    table = _table("", "before", "after", "why", numbers=False)
    for relation in _TABLES:
        table.add_row(
            relation,
            _states(before[relation]),
            _states(after[relation]),
            _counted(_said(row, "state_reason") for row in after[relation]),
        )
    yield table
    left = len(_rows(scene.after, cast.other.gid)["enrollments"])
    yield Group(
        _indented(
            Text(
                f"The section that had moved is not concerned: {cast.other.name} still has "
                f"{left:,} enrollments."
            )
        ),
        "",
    )


def answer(asking: RosterRequest) -> Iterator[RenderableType]:
    """What serve answers."""
    yield _indented(Text.assemble(("curl ", "dim"), f"'{asking.url}'"))
    shown = json.loads(asking.answer.text)
    for enrollment in shown if isinstance(shown, list) else [shown]:
        yield _indented(
            Text(
                json.dumps(
                    {name: value for name, value in enrollment.items() if value is not None},
                    ensure_ascii=False,
                )
            )
        )
    yield _indented(Text.assemble(("Link: ", "dim"), asking.answer.link.replace(",<", ", <")))
    verdict = f"{len(asking.wrong):,} of them wrong" if asking.wrong else "all as they must be"
    style = "bold red" if asking.wrong else ""
    yield Group(
        "",
        _indented(
            Text(
                f"Page by page, in all states: {asking.enrollments:,} enrollments, {verdict}.",
                style=style,
            )
        ),
        "",
    )


def comparison(
    names: TopicNames, truth: Rosters, found: Rosters, mistakes: Mapping[str, Sequence[str]]
) -> RenderableType:
    """Each roster topic with the rows that there must be and those that there are."""
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
        relation: list(rows.values()) for relation, rows in of_courses(rosters, {course_id}).items()
    }


def _title(rosters: Rosters, course_id: str) -> str:
    return _said(rosters["courses"].get(course_id, {}), "name")


def _said(row: Row, field: str) -> str:
    """What a row says; whatever is on the topics, it can be shown."""
    return str(row.get(field, "?"))


def _by(row: Row, *fields: str) -> tuple[str, ...]:
    return tuple(_said(row, field) for field in fields)


def _states(rows: Collection[Row]) -> str:
    return _counted(_said(row, "state") for row in rows)


def _counted(words: Iterator[str]) -> str:
    return ", ".join(
        f"{count:,} {word}"
        for word, count in sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))
    )


def _number(rows: Collection[Row], what: str) -> str:
    return f"{len(rows):,} {what}{'' if len(rows) == 1 else 's'}"


def _group(row: Row, members: int) -> str:
    return (
        f"{_said(row, 'group_name')} ({'deleted' if _said(row, 'state') == 'deleted' else members})"
    )


def _line(title: str, rest: str) -> Text:
    return Text("  ").append(title, style="bold cyan").append(f"  {rest}", style="dim")


def _indented(what: RenderableType) -> RenderableType:
    return Padding(what, (0, 0, 0, 2))


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
