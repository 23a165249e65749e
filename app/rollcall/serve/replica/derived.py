"""Values that Canvas's API has and events lack, derived from other values of events. Pure."""

from __future__ import annotations

import re
from typing import Any

from rollcall.rosters.states import BY_DATES

_is_suffix = re.compile(
    r"(?i)sn?r\.?|senior|jn?r\.?|junior|ii|iii|iv|v|vi|esq\.?|esquire"
).fullmatch
"""Last words of names that are no surnames in Canvas."""


def canvas_state(workflow_state: str, state: str, reason: str) -> str:
    """Canvas's ``enrollment_state``: the enrollment's present ``workflow_state`` in Canvas.

    States by dates are in another table of Canvas's database (canvas-lms,
    ``EnrollmentApiController``: ``enrollment_state`` is ``workflow_state``). If an enrollment ended
    with its section or course, Canvas wrote the state into its row without an event.

    Args:
        workflow_state: of its last event.
        state: of the roster.
        reason: of ``state``.
    """
    if reason != "dates":
        return state
    if (workflow_state, state) in BY_DATES:  # Canvas leaves workflow_state alone then
        return workflow_state
    # The state event is newer than the last enrollment event: a later enrollment event was lost, or
    # has not arrived yet.
    return state.removeprefix("pending_")


def folded(value: Any) -> str | None:
    """Case-folded text, for comparisons in queries. SQLite's LIKE ignores case in ASCII only."""
    return None if value is None else str(value).casefold()


def sortable_name(name: Any) -> str | None:
    """A name with the surname first: Canvas's default (canvas-lms, ``User.name_parts``,
    ``User.last_name_first``).

    The surname is the part before a comma, or else the last word.
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
