"""The demo's simulated institution: its events, two changes of an example course, and changes that
have no events.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from rollcall.sandbox.canvas.simulation import SimulatedEvent, Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.courses import cross_list, delete_course
from rollcall.sandbox.canvas.simulation.enrollments import delete_by_import
from rollcall.sandbox.canvas.simulation.steps import run_step
from rollcall.sandbox.canvas.simulation.truth import Rosters
from rollcall.sandbox.canvas.simulation.world import Course, Section, World
from rollcall.sandbox.canvas.traffic import Destination, Expectation, TrafficRecord

SHARD = 4811
"""Another shard than that of the documented and the varied events, so that ids cannot collide."""

COURSES = 12
STEPS = 1_000
"""Gives some 2,000 events."""
SILENT_STEPS = 100
"""The rows at the beginning and these steps have no events: the institution is older than its
subscription.
"""
DUPLICATES = 0.03
DISORDER = 100

START_AGE_MS = 30 * 60_000
"""Age of the first event. The events span some 20 minutes."""

IMPORTED_SECTIONS = 2
IMPORTED_SHARE = 0.2
"""Share of a section's enrollments that an import deletes."""

MIN_PEOPLE = 5
"""Minimum number of people in an example section."""


class Example(NamedTuple):
    """The courses and the section that the demo shows."""

    course: Course
    """A course with groups and people in two sections; it is deleted at the end."""
    section: Section
    """A section of the course; it moves to the other course."""
    other: Course


class Institution:
    """A finished simulation with an :class:`Example`.

    Args:
        seed: seed of the random numbers.
    """

    def __init__(self, seed: int) -> None:
        start_ms = int(time.time() * 1000) - START_AGE_MS
        example, seeds = None, itertools.count(seed)
        while example is None:  # most seeds have one
            plan = SimulationPlan(
                courses=COURSES,
                steps=STEPS,
                seed=next(seeds),
                duplicates=DUPLICATES,
                disorder=DISORDER,
                shard=SHARD,
                start_ms=start_ms,
                silent_steps=SILENT_STEPS,
            )
            self._simulation = Simulation(plan)
            self._events = list(self._simulation.events())
            example = choose_example(self._simulation)
        self.example: Example = example

    def __len__(self) -> int:
        return len(self._events)

    @property
    def world(self) -> World:
        """What Canvas has, with and without events."""
        return self._simulation.canvas.world

    @property
    def account(self) -> str:
        """Global id of the root account."""
        return self._simulation.canvas.root.gid

    def records(self) -> Iterator[TrafficRecord]:
        """The events before the changes of the example."""
        return map(_record, self._events)

    def cross_list(self) -> TrafficRecord:
        """Move the section to the other course, and return the only event of this."""
        cross_list(self._simulation.canvas, self.example.section, self.example.other)
        return self._take_record()

    def delete_course(self) -> TrafficRecord:
        """Delete the course, and return the only event of this."""
        delete_course(self._simulation.canvas, self.example.course)
        return self._take_record()

    def import_silently(self) -> None:
        """Delete enrollments of the largest sections by a SIS import, which has no events."""
        sections = [
            section
            for section in self.world.sections
            if section.state == "active" and section.course.state == "available"
        ]
        sections.sort(key=lambda section: (-len(section.enrollments), section.id))
        for section in sections[:IMPORTED_SECTIONS]:
            delete_by_import(self._simulation.canvas, section, IMPORTED_SHARE)

    def further_records(self) -> Iterator[TrafficRecord]:
        """Endless further events. Each has the current time."""
        canvas = self._simulation.canvas
        while True:
            canvas.now_ms = max(canvas.now_ms, int(time.time() * 1000))
            run_step(canvas)
            yield from map(_record, self._simulation.take_events())

    def _take_record(self) -> TrafficRecord:
        (event,) = self._simulation.take_events()
        return _record(event)


def choose_example(simulation: Simulation) -> Example | None:
    """The largest course with groups and two large sections, the smaller section, and the smallest
    other course.

    Renamed courses come last, because their sections have the old name.
    """
    rosters = simulation.truth()
    section_people = Counter(row["course_section_id"] for row in rosters["enrollments"].values())
    course_people = Counter(row["course_id"] for row in rosters["enrollments"].values())
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
            and section_people[section.gid] >= MIN_PEOPLE
            and _known(section, rosters)
        ]

    courses = [
        course
        for course in available
        if members[course.gid] >= MIN_PEOPLE and len(sections(course)) >= 2
    ]

    def rank(course: Course) -> tuple[bool, int, int]:
        return (
            not all(section.name.startswith(course.name) for section in course.sections),
            -course_people[course.gid],
            course.id,
        )

    for course in sorted(courses, key=rank):
        section = min(
            sections(course), key=lambda section: (section_people[section.gid], section.id)
        )
        others = [
            other
            for other in available
            if other.name != course.name
            and other is not section.own_course
            and course_people[other.gid]
        ]
        if others:
            return Example(
                course, section, min(others, key=lambda other: (course_people[other.gid], other.id))
            )
    return None


def _known(section: Section, rosters: Rosters) -> bool:
    return f"{section.course.gid}/{section.gid}" in rosters["sections"]


def _record(event: SimulatedEvent) -> TrafficRecord:
    return TrafficRecord(
        None, event.value, (), event.time_ms, Expectation(Destination.ROUTED, event.name, None)
    )
