"""Guards against absences that are none: a token with a limited view, an empty list, a fault of
Canvas. Pure.

They judge what is left when the absences are about to be written: rows that events have ended
meanwhile do not count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

COURSE_SHARE, COURSE_FEW = 0.10, 5
"""A course may lose this share of its current rows in a run, or this many if that is more."""

RUN_SHARE = 0.01
"""Courses without permission may together lose this share of all current rows in scope."""

MOST_SET_ASIDE = 20
"""Number of courses that may be set aside in a run before it is stopped."""

ALL = "all"
"""Instead of a course: permits all."""


class CourseLosses(NamedTuple):
    """What a run is about to take from the roster of a course."""

    course: str
    current: int
    """Current rows before."""
    absent: int
    """Current rows that are to go."""
    is_list_empty: bool
    """Whether Canvas's list of its enrollments is empty."""


def set_aside_reason(losses: CourseLosses, permitted: Collection[str]) -> str | None:
    """Why a course is set aside: nothing is taken from its roster; None: its absences may be
    written.

    Args:
        permitted: courses whose rosters may shrink, or :data:`ALL`.
    """
    if losses.absent == 0 or ALL in permitted or losses.course in permitted:
        return None
    if losses.is_list_empty and losses.current > COURSE_FEW:
        return f"Canvas lists no enrollment, and the roster has {losses.current} current rows"
    allowed = max(COURSE_FEW, COURSE_SHARE * losses.current)
    if losses.absent > allowed:
        return f"{losses.absent} of {losses.current} current rows are absent in Canvas"
    return None


def stop_reason(
    losses: Mapping[str, CourseLosses], set_aside: Collection[str], permitted: Collection[str]
) -> str | None:
    """Why a run is stopped before it writes absences; None: it goes on.

    Args:
        losses: of all courses in scope, by course.
        set_aside: the courses that were set aside.
        permitted: courses whose rosters may shrink, or :data:`ALL`.
    """
    if ALL in permitted:
        return None
    if len(set_aside) > MOST_SET_ASIDE:
        return f"{len(set_aside)} courses are set aside, more than {MOST_SET_ASIDE}"
    current = sum(each.current for each in losses.values())
    absent = sum(each.absent for course, each in losses.items() if course not in permitted)
    if absent > RUN_SHARE * current and absent > COURSE_FEW:
        return f"{absent} of {current} current rows of all courses are absent in Canvas"
    return None
