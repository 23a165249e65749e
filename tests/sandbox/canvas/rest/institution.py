"""A simulated institution with a server, for the tests of the API."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import canvasapi
import requests

from rollcall.sandbox.canvas.rest import ADMIN_TOKEN, CanvasServer
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.world import Course, Enrollment, World, local_id
from tests.waiting import DEADLINE_SECONDS

ALL_STATES = [
    "active",
    "invited",
    "creation_pending",
    "deleted",
    "rejected",
    "completed",
    "inactive",
]


@dataclass
class Institution:
    """A simulation whose history has ended, and its running server."""

    simulation: Simulation
    server: CanvasServer

    @property
    def world(self) -> World:
        """The rows."""
        return self.simulation.canvas.world

    def client(self, token: str = ADMIN_TOKEN) -> canvasapi.Canvas:
        """Canvas's client library."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is not https
            return canvasapi.Canvas(self.server.url, token)

    def get(
        self,
        path: str,
        token: str | None = ADMIN_TOKEN,
        timeout: float = DEADLINE_SECONDS,
        **parameters: Any,
    ) -> requests.Response:
        """A response. A path without a host is below ``/api/v1``; ``state=[…]`` is ``state[]``."""
        return requests.get(
            path if path.startswith("http") else f"{self.server.url}/api/v1{path}",
            {
                f"{name}[]" if isinstance(value, list) else name: value
                for name, value in parameters.items()
            },
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
            timeout=timeout,
        )

    def pages(self, path: str, token: str = ADMIN_TOKEN, **parameters: Any) -> Iterator[Any]:
        """The pages of a list."""
        response = self.get(path, token, **parameters)
        while True:
            assert response.status_code == 200, response.text
            yield response.json()
            if "next" not in response.links:
                return
            response = self.get(response.links["next"]["url"], token)

    def rows(self, path: str, token: str = ADMIN_TOKEN, **parameters: Any) -> list[Any]:
        """The rows of all pages of a list."""
        return [row for page in self.pages(path, token, **parameters) for row in page]

    def largest_course(self) -> Course:
        """The course with the most enrollments that are not deleted, all in active sections."""
        courses = [course for course in self.world.courses if course.state == "available"]
        return max(courses, key=lambda course: len(living(course)))


def living(course: Course) -> list[Enrollment]:
    """Enrollments of active sections that are not deleted."""
    return [
        row
        for section in course.sections
        if section.state == "active"
        for row in section.enrollments
        if row.workflow_state != "deleted"
    ]


def ids(rows: list[Any]) -> list[int]:
    """Ids of objects, or local ids of rows."""
    return [row["id"] if isinstance(row, dict) else local_id(row.gid) for row in rows]


@contextmanager
def serving(plan: SimulationPlan) -> Iterator[Institution]:
    """Serve an institution after its history. Canvas's clock is that of the simulation."""
    simulation = Simulation(plan)
    for _ in simulation.events():
        pass
    canvas = simulation.canvas
    with CanvasServer(lambda: canvas.world, clock=lambda: canvas.now_ms) as server:
        yield Institution(simulation, server)
