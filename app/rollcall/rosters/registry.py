"""The one list of stages. A new relation is one stage file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from rollcall.rosters import course, enrollment, group, section, user
from rollcall.streaming.stage import Stage

STAGES: tuple[Callable[[int | None], Stage], ...] = (
    enrollment.stage,
    section.stage,
    group.stage,
    course.stage,
    user.stage,
)
"""From ``ROLLCALL_SHARD`` to a stage."""


def stages(shard: int | None) -> tuple[Stage, ...]:
    """All stages. ``shard``: of local ids in events that do not tell theirs; None: unknown."""
    return tuple(make(shard) for make in STAGES)
