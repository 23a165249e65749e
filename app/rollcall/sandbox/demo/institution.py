"""The simulated institution of the demo: what it sends, and the two acts of the story that is told
in the end.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from rollcall.sandbox.canvas.simulation import SimulatedEvent, Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.courses import cross_list, delete_course
from rollcall.sandbox.canvas.simulation.truth import Rosters
from rollcall.sandbox.canvas.simulation.verbs import step
from rollcall.sandbox.canvas.simulation.world import Course, Section
from rollcall.sandbox.canvas.traffic import Expectation, Kind, TrafficRecord

SHARD = 4811
"""Not that of the documented and the varied events, so that no two entities have the same id by
chance.
"""

COURSES = 12
STEPS = 1_000
"""Some 3,500 events come of it."""
DUPLICATES = 0.03
DISORDER = 100

LASTS_MS = 30 * 60_000
"""It begins so long ago. Of its own time, some 20 minutes pass."""

LEAST_PEOPLE = 5
"""In a section that is worth showing."""


class Cast(NamedTuple):
    """Of whom the story tells."""

    course: Course
    """Has people in two sections, and groups; is deleted in the end."""
    section: Section
    """One of its sections; moves to the other course."""
    other: Course


class Institution:
    """A life, played to its end, in which there is a course to tell of.

    Args:
        seed: the same one gives the same life.
    """

    def __init__(self, seed: int) -> None:
        start_ms = int(time.time() * 1000) - LASTS_MS
        cast, seeds = None, itertools.count(seed)
        while cast is None:  # most lives have such a course
            plan = SimulationPlan(
                courses=COURSES,
                steps=STEPS,
                seed=next(seeds),
                duplicates=DUPLICATES,
                disorder=DISORDER,
                shard=SHARD,
                start_ms=start_ms,
            )
            self._simulation = Simulation(plan)
            self._events = list(self._simulation.events())
            cast = choose_cast(self._simulation)
        self.cast: Cast = cast

    def __len__(self) -> int:
        return len(self._events)

    def records(self) -> Iterator[TrafficRecord]:
        """What it sends before the story begins."""
        return map(_record, self._events)

    def cross_list(self) -> TrafficRecord:
        """Move the section, and give the one event that tells of it."""
        cross_list(self._simulation.canvas, self.cast.section, self.cast.other)
        return self._told()

    def delete_course(self) -> TrafficRecord:
        """Delete the course, and give the one event that tells of it."""
        delete_course(self._simulation.canvas, self.cast.course)
        return self._told()

    def further_life(self) -> Iterator[TrafficRecord]:
        """What happens after the story, without an end. Each event is of the moment in which it is
        asked for.
        """
        canvas = self._simulation.canvas
        while True:
            canvas.now_ms = max(canvas.now_ms, int(time.time() * 1000))
            step(canvas)
            yield from map(_record, self._simulation.happened())

    def _told(self) -> TrafficRecord:
        (event,) = self._simulation.happened()
        return _record(event)


def choose_cast(simulation: Simulation) -> Cast | None:
    """The course with most people among those with groups and two sections worth showing, its
    smallest such section, and the smallest other course.

    Courses that were renamed come last: their sections still bear the old name.
    """
    rosters = simulation.truth()
    people = Counter(row["course_section_id"] for row in rosters["enrollments"].values())
    everybody = Counter(row["course_id"] for row in rosters["enrollments"].values())
    members = Counter(row["context_id"] for row in rosters["memberships"].values())
    available = [
        course
        for course in simulation.canvas.world.courses
        if course.state == "available" and course.gid in rosters["courses"]
    ]

    def sections(course: Course) -> list[Section]:
        return [
            section
            for section in course.sections
            if section.state == "active"
            and people[section.gid] >= LEAST_PEOPLE
            and _known(section, rosters)
        ]

    courses = [
        course
        for course in available
        if members[course.gid] >= LEAST_PEOPLE and len(sections(course)) >= 2
    ]

    def rank(course: Course) -> tuple[bool, int, int]:
        return (
            not all(section.name.startswith(course.name) for section in course.sections),
            -everybody[course.gid],
            course.id,
        )

    for course in sorted(courses, key=rank):
        section = min(sections(course), key=lambda section: (people[section.gid], section.id))
        others = [
            other
            for other in available
            if other.name != course.name
            and other is not section.own_course
            and everybody[other.gid]
        ]
        if others:
            return Cast(
                course, section, min(others, key=lambda other: (everybody[other.gid], other.id))
            )
    return None


def _known(section: Section, rosters: Rosters) -> bool:
    return f"{section.course.gid}/{section.gid}" in rosters["sections"]


def _record(event: SimulatedEvent) -> TrafficRecord:
    return TrafficRecord(
        None, event.value, (), event.time_ms, Expectation(Kind.ROUTED, event.name, None)
    )
