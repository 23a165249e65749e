"""What Canvas's API shows and no event says, as far as it follows from what events say. Pure."""

from __future__ import annotations

import re
from typing import Any

from rollcall.rosters.states import BY_DATES

_is_suffix = re.compile(
    r"(?i)sn?r\.?|senior|jn?r\.?|junior|ii|iii|iv|v|vi|esq\.?|esquire"
).fullmatch
"""Ends of names that are no surnames, as Canvas sees it."""


def canvas_state(workflow_state: str, state: str, reason: str) -> str:
    """What Canvas's API shows as ``enrollment_state``: the enrollment's workflow_state as it is in
    Canvas now.

    Not the state that it comes to by dates: in Canvas's database that is another table (canvas-lms,
    ``EnrollmentApiController``: ``enrollment_state`` is ``workflow_state``). An enrollment that
    ended with its section or course has the state that Canvas wrote into its row without an event.

    Args:
        workflow_state: of its last event.
        state: of the roster.
        reason: of ``state``.
    """
    if reason != "dates":
        return state
    if (workflow_state, state) in BY_DATES:  # Canvas leaves workflow_state alone then
        return workflow_state
    # A state event tells more than the enrollment's own last event: that one was lost, or is still
    # to come.
    return state.removeprefix("pending_")


def folded(value: Any) -> str | None:
    """Text without the difference of case, as queries compare it: SQLite's LIKE knows no case but
    that of ASCII.
    """
    return None if value is None else str(value).casefold()


def sortable_name(name: Any) -> str | None:
    """A name with the surname first, as Canvas makes it for a user who was not given another one
    (canvas-lms, ``User.name_parts``, ``User.last_name_first``).

    The surname is what stands before a comma, or else the last word.
    """
    if not isinstance(name, str):
        return None
    surname, comma, rest = (part.strip() for part in name.partition(","))
    given, suffix = rest, ""
    if not comma:
        surname, given = "", surname
    elif "," in rest:  # Doe, John, Jr.
        given, _, suffix = (part.strip() for part in rest.partition(","))
        if not _is_suffix(suffix):
            given, suffix = f"{given} {suffix.replace(',', ' ')}", ""
    elif _is_suffix(rest) and " " in surname:  # John Doe, Sr.
        surname, given, suffix = "", surname, rest
    words = given.split()
    if not suffix and len(words) > 1 and _is_suffix(words[-1]):
        suffix = words.pop()
    if not surname and len(words) > 1:
        surname = words.pop()
    given = " ".join([*words, suffix] if suffix else words)
    return f"{surname}, {given}".strip() if surname else given
