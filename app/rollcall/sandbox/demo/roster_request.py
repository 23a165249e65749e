"""Requests a roster from serve by Canvas's API, and compares it with the expected one."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

from rollcall.sandbox.canvas.simulation.truth import Rosters
from rollcall.sandbox.managed import Answer, ManagedProcess

STATES = ("active", "invited", "creation_pending", "deleted", "rejected", "completed", "inactive")
SHOWN_PER_PAGE = 2
PATIENCE_SECONDS = 15.0
"""Deadline for the expected response: the replica follows the rosters."""

_next = re.compile(r'<https?://[^/]+([^>]*)>; rel="next"').search


@dataclass(frozen=True, slots=True)
class RosterRequest:
    """A request, with its response and the check of it."""

    url: str
    answer: Answer
    enrollments: int
    """Number of enrollments on all pages, in all states."""
    wrong: tuple[str, ...]
    """Ids of missing and unexpected enrollments, and of those with a wrong state."""


async def request_roster(serve: ManagedProcess, course: str, truth: Rosters) -> RosterRequest:
    """Request the enrollments of a course until they are as expected, or the deadline has passed.

    Raises:
        ProcessEndedError: serve does not answer.
    """
    wanted = {
        row["enrollment_id"]: row["state"]
        for key, row in truth["enrollments"].items()
        if key.partition("/")[0] == course
    }
    clock = asyncio.get_running_loop().time
    deadline = clock() + PATIENCE_SECONDS
    while True:
        found = await _all(serve, course)
        wrong = tuple(
            sorted(
                identity
                for identity in wanted.keys() | found.keys()
                if wanted.get(identity) != found.get(identity)
            )
        )
        if not wrong or clock() > deadline:
            break
        await asyncio.sleep(0.2)
    path = f"/api/v1/courses/{course}/enrollments?per_page={SHOWN_PER_PAGE}"
    return RosterRequest(f"{serve.url}{path}", await serve.get(path), len(found), wrong)


async def _all(serve: ManagedProcess, course: str) -> dict[str, str]:
    """The states of all enrollments by id, read page by page."""
    states = "&".join(f"state[]={state}" for state in STATES)
    path: str | None = f"/api/v1/courses/{course}/enrollments?per_page=100&{states}"
    found: dict[str, str] = {}
    while path is not None:
        answer = await serve.get(path)
        if answer.status != 200:
            return {}
        enrollments: list[dict[str, Any]] = json.loads(answer.text)
        found |= {str(enrollment["id"]): enrollment["rollcall_state"] for enrollment in enrollments}
        next_page = _next(answer.link)
        path = None if next_page is None else next_page[1]
    return found
