"""Names of query parameters, in the forms that Rails accepts; unsupported filters. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from rollcall.printable import printable
from rollcall.serve.api.errors import ApiError
from rollcall.serve.api.parameters import QUERIES

_MOST_QUOTED = 100
"""Limit of characters of a request that an error message quotes."""

_UNSUPPORTED = {
    "sis_account_id[]": "events do not tell the SIS ids of accounts",
    "sis_course_id[]": "events do not tell the SIS ids of courses",
    "grading_period_id": "rosters have no grades",
    "created_for_sis_id[]": "events do not tell for which SIS id an enrollment was made",
    "enrollment_role_id": "events do not tell the ids of roles",
    "only_own_groups": "a token is nobody's in Canvas",
}
"""Filters of Canvas that Rollcall cannot apply, with the reason. Ignoring one would give wrong
results.
"""

_SWITCHES = ("created_for_sis_id[]", "only_own_groups")
"""Unsupported filters that may be there if they are off."""

KNOWN = frozenset(
    field.alias or name for query in QUERIES for name, field in query.model_fields.items()
) | frozenset(_UNSUPPORTED)
"""Names of all parameters."""

LISTS = frozenset(name for name in KNOWN if name.endswith("[]"))
"""Parameters that are lists. Canvas accepts a single value without the brackets, too."""

_BY_BASE = {name.removesuffix("[]"): name for name in KNOWN}

_base = re.compile(r"[\[\]\s]*([^\[\]]+)").match
"""The part before brackets. Matches all that Rack accepts
(``Rack::QueryParser#normalize_params``), and more.
"""


def known_name(written: str) -> str | None:
    """The parameter that a written name stands for; None: no parameter.

    The name may have text in its brackets, or lack them.
    """
    found = _base(written)
    return None if found is None else _BY_BASE.get(found[1].strip())


def normalised(query: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A query in which lists have the names that the routes know.

    Raises:
        ApiError: a filter is unsupported, or a parameter has another form than its own. Canvas
            accepts some other forms and fails at others; ignoring them would give wrong results.
    """
    single = set[str]()
    found = []
    for written, value in query:
        name = known_name(written)
        if name is None:
            for part in value.split(";")[1:]:  # a separator for older versions of Rack
                _check_separator(part)
            found.append((written, value))
            continue
        if (
            name in _UNSUPPORTED
            and value
            and not (
                written in (name, name.removesuffix("[]"))
                and name in _SWITCHES
                and value.lower() in ("0", "false")
            )
        ):
            raise ApiError(400, f"{name} cannot be applied: {_UNSUPPORTED[name]}", field=name)
        if written not in (name, name.removesuffix("[]")):
            raise ApiError(
                400,
                f"{name}: write it as {name}=…, not as {printable(written)[:_MOST_QUOTED]}=…",
                field=name,
            )
        if name in LISTS and written != name:
            single.add(name)
        found.append((name, value))
    for name in single:
        if sum(name == other for other, _ in found) > 1:
            raise ApiError(
                400, f"{name}: several values need the brackets: {name}=…&{name}=…", field=name
            )
    return found


def _check_separator(part: str) -> None:
    written, equals, _ = part.partition("=")
    name = known_name(written) if equals else None
    if name is not None:
        raise ApiError(
            400, f"{name}: parameters are separated by &, not by a semicolon", field=name
        )


def only_once(query: Sequence[tuple[str, str]], names: Collection[str]) -> str | None:
    """The first of some names that the query has more than once, or in another form; None: none."""
    for name in names:
        forms = [
            written
            for written, _ in query
            if (found := _base(written)) is not None and found[1].strip() == name
        ]
        if len(forms) > 1 or any(written != name for written in forms):
            return name
    return None
