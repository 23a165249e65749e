"""The lists of stages and of relations. A new relation is one stage file, and its lines here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rollcall.rosters import course, enrollment, group, section, user
from rollcall.rosters.relation import Relation
from rollcall.streaming.stages.stage import Stage

STAGES: tuple[Callable[[int | None], Stage], ...] = (
    enrollment.stage,
    section.stage,
    group.stage,
    course.stage,
    user.stage,
)
"""From ``ROLLCALL_SHARD`` to a stage."""

RELATIONS: tuple[Relation, ...] = (
    course.COURSES,
    section.SECTIONS,
    enrollment.ENROLLMENTS,
    group.GROUPS,
    group.MEMBERSHIPS,
    user.USERS,
)
"""In the order of the documents."""


def stages(shard: int | None) -> tuple[Stage, ...]:
    """All stages. ``shard``: of local ids in events that do not tell theirs; None: unknown."""
    return tuple(make(shard) for make in STAGES)


def stages_by_event() -> Mapping[str, str]:
    """The name of the stage that reads an event type, by event_name. Other event types are part of
    no roster.
    """
    read = {topic: stage.name for stage in stages(None) for topic in stage.inputs}
    return {
        topic.removeprefix("events."): name
        for topic, name in read.items()
        if topic.startswith("events.")
    }
