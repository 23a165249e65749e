"""RosterRequest serve for a roster, as a program that knows Canvas's API would, and holding the
answer against the truth.
"""

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
"""So long may it take until an answer is what it must be: the replica follows the rosters."""

_next = re.compile(r'<https?://[^/]+([^>]*)>; rel="next"').search


@dataclass(frozen=True, slots=True)
class RosterRequest:
    """What was asked, and what came."""

    url: str
    answer: Answer
    enrollments: int
    """Of the course, all pages and states taken together."""
    wrong: tuple[str, ...]
    """Ids of enrollments that are missing, superfluous, or in another state."""


async def ask(serve: ManagedProcess, course: str, truth: Rosters) -> RosterRequest:
    """Ask for the enrollments of a course.

    Raises:
        ProcessEndedError: it does not answer.
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
    """The states of all enrollments, page by page."""
    states = "&".join(f"state[]={state}" for state in STATES)
    path: str | None = f"/api/v1/courses/{course}/enrollments?per_page=100&{states}"
    found: dict[str, str] = {}
    while path is not None:
        answer = await serve.get(path)
        if answer.status != 200:
            return {}
        enrollments: list[dict[str, Any]] = json.loads(answer.text)
        found |= {str(enrollment["id"]): enrollment["rollcall_state"] for enrollment in enrollments}
        following = _next(answer.link)
        path = None if following is None else following[1]
    return found
