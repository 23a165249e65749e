"""Lists of all stages and relations. For a new relation, add a stage file and its lines here."""

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
"""Functions that make a stage for ``ROLLCALL_SHARD``."""

RELATIONS: tuple[Relation, ...] = (
    course.COURSES,
    section.SECTIONS,
    enrollment.ENROLLMENTS,
    group.GROUPS,
    group.MEMBERSHIPS,
    user.USERS,
)
"""All relations, in the order of the documents."""


def stages(shard: int | None) -> tuple[Stage, ...]:
    """All stages. ``shard``: shard of local ids in events without a root account; None: unknown."""
    return tuple(make(shard) for make in STAGES)


def stages_by_event() -> Mapping[str, str]:
    """Name of the stage that reads an event type, by event_name. Rosters do not use other types."""
    read = {topic: stage.name for stage in stages(None) for topic in stage.inputs}
    return {
        topic.removeprefix("events."): name
        for topic, name in read.items()
        if topic.startswith("events.")
    }
