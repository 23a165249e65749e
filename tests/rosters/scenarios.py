"""Small histories with their expected rosters: changes without events, and late, repeated and
unordered events.

The order of a scenario's events is for the reader. Any other order must give the same rosters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from tests.rosters.reference import Rosters, Row, TypedEvent

SHARD = 2107


def global_id(local: int, shard: int = SHARD) -> str:
    """The global id of a local id."""
    return f"{shard}{local:013}"


ROOT_ACCOUNT = global_id(1)
COURSE, OTHER_COURSE, THIRD_COURSE = global_id(100), global_id(200), global_id(300)
SECTION, OTHER_SECTION = global_id(11), global_id(12)
ENROLLMENT, OTHER_ENROLLMENT = global_id(21), global_id(22)
GROUP, OTHER_GROUP = global_id(31), global_id(32)
MEMBERSHIP, OTHER_MEMBERSHIP = global_id(41), global_id(42)
USER = global_id(51)
ACCOUNT = global_id(100)
"""An account with the local id of :data:`COURSE`."""

At = int | str
"""A time: minutes after 19:00 of one day, or a text."""


def at(time: At) -> str:
    """A time in the format of Canvas and of rows."""
    return f"2019-11-01T19:{time:02}:00.000Z" if isinstance(time, int) else time


def event(name: str, time: At, body: Row, **metadata: Any) -> TypedEvent:
    """A typed event of the home shard. Fields with the value ``...`` are left out."""
    whole = {
        "metadata": {"event_name": name, "event_time": at(time), "root_account_id": ROOT_ACCOUNT}
        | metadata,
        "body": body,
    }
    return TypedEvent(
        name,
        orjson.dumps(
            {
                part: {field: value for field, value in fields.items() if value is not ...}
                for part, fields in whole.items()
            }
        ),
    )


def enrollment(time: At, state: str = "active", kind: str = "updated", **fields: Any) -> TypedEvent:
    """An event of one enrollment, by default in :data:`SECTION` of :data:`COURSE`."""
    body: Row = {
        "enrollment_id": ENROLLMENT,
        "course_id": COURSE,
        "course_section_id": SECTION,
        "user_id": USER,
        "user_name": "Isaac Newton",
    }
    body |= {
        "type": "StudentEnrollment",
        "workflow_state": state,
        "limit_privileges_to_course_section": False,
    }
    return event(
        f"enrollment_{kind}", time, body | {"created_at": at(0), "updated_at": at(time)} | fields
    )


def enrollment_state(
    time: At, state: str | None, kind: str = "updated", **fields: Any
) -> TypedEvent:
    """An enrollment_state_* event of one enrollment."""
    body: Row = {
        "enrollment_id": ENROLLMENT,
        "state": state,
        "state_is_current": True,
        "access_is_current": True,
        "restricted_access": False,
    }
    return event(f"enrollment_state_{kind}", time, body | fields)


def course(time: At, state: str = "available", kind: str = "updated", **fields: Any) -> TypedEvent:
    """An event of one course."""
    body = {
        "course_id": COURSE,
        "uuid": "c",
        "account_id": ROOT_ACCOUNT,
        "name": "Optics",
        "workflow_state": state,
    }
    return event(
        f"course_{kind}", time, body | {"created_at": at(0), "updated_at": at(time)} | fields
    )


def section(time: At, state: str = "active", kind: str = "updated", **fields: Any) -> TypedEvent:
    """An event of one section, by default in :data:`COURSE`. Its ids are local, like Canvas's."""
    body = {
        "course_section_id": local(SECTION),
        "course_id": local(COURSE),
        "root_account_id": "1",
        "name": "Monday",
        "workflow_state": state,
    }
    return event(f"course_section_{kind}", time, body | fields)


def group(time: At, state: str = "available", kind: str = "updated", **fields: Any) -> TypedEvent:
    """An event of one group, by default of :data:`COURSE`."""
    body = {
        "group_id": GROUP,
        "group_name": "Prisms",
        "uuid": "g",
        "context_type": "Course",
        "context_id": COURSE,
        "account_id": ROOT_ACCOUNT,
    }
    return event(f"group_{kind}", time, body | {"workflow_state": state} | fields)


def membership(
    time: At, state: str = "accepted", kind: str = "updated", **fields: Any
) -> TypedEvent:
    """An event of one membership, by default in :data:`GROUP`."""
    body = {
        "group_membership_id": MEMBERSHIP,
        "group_id": GROUP,
        "user_id": USER,
        "group_name": "Prisms",
        "workflow_state": state,
    }
    return event(f"group_membership_{kind}", time, body | fields)


def user(time: At, state: str = "registered", kind: str = "updated", **fields: Any) -> TypedEvent:
    """An event of one user."""
    body = {
        "user_id": USER,
        "uuid": "u",
        "name": "Isaac Newton",
        "short_name": "Isaac",
        "workflow_state": state,
    }
    return event(
        f"user_{kind}", time, body | {"created_at": at(0), "updated_at": at(time)} | fields
    )


def local(gid: str) -> str:
    """The local id of a global id, as a string."""
    return str(int(gid) % 10_000_000_000_000)


class Scenario(NamedTuple):
    """A history with its expected rosters."""

    name: str
    events: tuple[TypedEvent, ...]

    expected: Rosters
    """All rows of some relations, with some fields of each row. ``...``: the field is missing.
    Other relations are not compared.
    """

    shard: int | None = None
    """The configured shard, ``ROLLCALL_SHARD``."""

    def differences(self, actual: Rosters) -> list[str]:
        """Differences from the expected rosters, one line each."""
        lines = []
        for relation, rows in self.expected.items():
            for key in sorted(rows.keys() | actual[relation].keys()):
                if key not in actual[relation]:
                    lines.append(f"{relation} {key}: no row")
                elif key not in rows:
                    lines.append(f"{relation} {key}: unexpected row: {actual[relation][key]}")
                else:
                    for field, value in rows[key].items():
                        found = actual[relation][key].get(field, ...)
                        if found != value:
                            lines.append(
                                f"{relation} {key}: {field} is {found!r}, should be {value!r}"
                            )
        return lines


def expected_row(state: str, reason: str, time: At, **fields: Any) -> Row:
    """The compared fields of a row."""
    return {"state": state, "state_reason": reason, "as_of": at(time)} | fields


def expected_enrollment(state: str, reason: str, time: At, **fields: Any) -> Rosters:
    """Rosters with one enrollment, by default in :data:`COURSE`."""
    row = expected_row(
        state, reason, time, **{"enrollment_id": ENROLLMENT, "course_id": COURSE} | fields
    )
    return {"enrollments": {f"{row['course_id']}/{ENROLLMENT}": row}}


def expected_group(state: str, reason: str, time: At, member: Row) -> Rosters:
    """Rosters with one group of :data:`COURSE` and one membership in it."""
    return {
        "groups": {
            f"{COURSE}/{GROUP}": expected_row(
                state, reason, time, context_type="Course", context_id=COURSE
            )
        },
        "memberships": {
            f"{COURSE}/{MEMBERSHIP}": member
            | {"context_type": "Course", "context_id": COURSE, "group_id": GROUP}
        },
    }


def expected_user(state: str, time: At, **fields: Any) -> Rosters:
    """Rosters with one user."""
    return {
        "users": {
            USER: expected_row(state, "user", time, user_id=USER, workflow_state=state, **fields)
        }
    }


CROSS_LISTED: dict[str, Any] = {
    "course_id": local(OTHER_COURSE),
    "nonxlist_course_id": local(COURSE),
}
"""Fields of a cross-listed section."""

SCENARIOS = [
    # Nulls
    Scenario(
        "a merged user has lost the unique id",
        (user(1, kind="created"), user(2, "deleted", uuid=None)),
        expected_user("deleted", 2, uuid=..., name="Isaac Newton"),
    ),
    Scenario(
        "a user without names",
        (user(1, kind="created", name=None, short_name=None),),
        expected_user("registered", 1, name=..., short_name=...),
    ),
    Scenario(
        "the state by the dates is null: the enrollment's own state counts",
        (
            enrollment(1, kind="created"),
            enrollment_state(2, "completed"),
            enrollment_state(3, None, restricted_access=None),
        ),
        expected_enrollment("active", "enrollment", 1),
    ),
    # Groups
    Scenario(
        "a group is deleted",
        (group(1, kind="created"), membership(2, kind="created"), group(3, "deleted")),
        expected_group(
            "deleted",
            "group",
            3,
            expected_row("deleted", "group_deleted", 3, workflow_state="accepted"),
        ),
    ),
    Scenario(
        "a group is deleted and restored",
        (group(1, kind="created"), membership(2, kind="created"), group(3, "deleted"), group(4)),
        expected_group("available", "group", 4, expected_row("accepted", "membership", 2)),
    ),
    Scenario(
        "a membership that was deleted before its group stays deleted when the group is restored",
        (
            group(1, kind="created"),
            membership(2, kind="created"),
            membership(3, "deleted"),
            group(4, "deleted"),
            group(5),
        ),
        expected_group("available", "group", 5, expected_row("deleted", "membership", 3)),
    ),
    Scenario(
        "a group set is deleted, with an event of each group",
        (
            group(1, kind="created", group_category_id=global_id(61)),
            group(1, kind="created", group_category_id=global_id(61), group_id=OTHER_GROUP),
            membership(2, kind="created"),
            membership(
                2,
                "invited",
                kind="created",
                group_id=OTHER_GROUP,
                group_membership_id=OTHER_MEMBERSHIP,
            ),
            group(3, "deleted", group_category_id=global_id(61)),
            group(3, "deleted", group_category_id=global_id(61), group_id=OTHER_GROUP),
        ),
        {
            "groups": {
                f"{COURSE}/{GROUP}": expected_row("deleted", "group", 3),
                f"{COURSE}/{OTHER_GROUP}": expected_row("deleted", "group", 3),
            },
            "memberships": {
                f"{COURSE}/{MEMBERSHIP}": expected_row(
                    "deleted", "group_deleted", 3, workflow_state="accepted"
                ),
                f"{COURSE}/{OTHER_MEMBERSHIP}": expected_row(
                    "deleted", "group_deleted", 3, workflow_state="invited"
                ),
            },
        },
    ),
    Scenario(
        "a membership before its group",
        (membership(1, kind="created"), group(2)),
        expected_group("available", "group", 2, expected_row("accepted", "membership", 1)),
    ),
    Scenario(
        "a membership without a group",
        (membership(1, kind="created"), course(2)),
        {"groups": {}, "memberships": {}},
    ),
    Scenario(
        "moved between groups: the new membership is created first",
        (
            group(1, kind="created"),
            group(1, kind="created", group_id=OTHER_GROUP),
            membership(2, kind="created"),
            membership(
                3, kind="created", group_id=OTHER_GROUP, group_membership_id=OTHER_MEMBERSHIP
            ),
            membership(4, "deleted"),
        ),
        {
            "memberships": {
                f"{COURSE}/{MEMBERSHIP}": expected_row("deleted", "membership", 4, group_id=GROUP),
                f"{COURSE}/{OTHER_MEMBERSHIP}": expected_row(
                    "accepted", "membership", 3, group_id=OTHER_GROUP
                ),
            }
        },
    ),
    Scenario(
        "moved between groups: the old membership is deleted first",
        (
            group(1, kind="created"),
            group(1, kind="created", group_id=OTHER_GROUP),
            membership(2, kind="created"),
            membership(3, "deleted"),
            membership(
                4, kind="created", group_id=OTHER_GROUP, group_membership_id=OTHER_MEMBERSHIP
            ),
        ),
        {
            "memberships": {
                f"{COURSE}/{MEMBERSHIP}": expected_row("deleted", "membership", 3, group_id=GROUP),
                f"{COURSE}/{OTHER_MEMBERSHIP}": expected_row(
                    "accepted", "membership", 4, group_id=OTHER_GROUP
                ),
            }
        },
    ),
    Scenario(
        "a membership that names another group of the same course",
        (
            group(1),
            group(1, group_id=OTHER_GROUP),
            membership(2, kind="created"),
            membership(3, group_id=OTHER_GROUP),
        ),
        {
            "memberships": {
                f"{COURSE}/{MEMBERSHIP}": expected_row(
                    "accepted", "membership", 3, group_id=OTHER_GROUP
                )
            }
        },
    ),
    Scenario(
        "a membership that names another group of another course has a row in both",
        (
            group(1),
            group(1, group_id=OTHER_GROUP, context_id=OTHER_COURSE),
            membership(2, kind="created"),
            membership(3, group_id=OTHER_GROUP),
        ),
        {
            "memberships": {
                f"{COURSE}/{MEMBERSHIP}": expected_row(
                    "accepted", "membership", 2, group_id=GROUP, context_id=COURSE
                ),
                f"{OTHER_COURSE}/{MEMBERSHIP}": expected_row(
                    "accepted", "membership", 3, group_id=OTHER_GROUP, context_id=OTHER_COURSE
                ),
            }
        },
    ),
    Scenario(
        "a membership that names another group, which is unknown, stays with the known one",
        (group(1), membership(2, kind="created"), membership(3, group_id=OTHER_GROUP)),
        {
            "memberships": {
                f"{COURSE}/{MEMBERSHIP}": expected_row("accepted", "membership", 2, group_id=GROUP)
            }
        },
    ),
    Scenario(
        "a membership that names another group of the same course and goes back",
        (
            group(1),
            group(1, group_id=OTHER_GROUP),
            membership(2, kind="created"),
            membership(3, group_id=OTHER_GROUP),
            membership(4, "invited"),
            group(5, "deleted", group_id=OTHER_GROUP),
        ),
        {
            "memberships": {
                f"{COURSE}/{MEMBERSHIP}": expected_row("invited", "membership", 4, group_id=GROUP)
            }
        },
    ),
    Scenario(
        "a group moves to another course with its memberships",
        (
            group(1, kind="created"),
            membership(2),
            group(3, context_id=OTHER_COURSE),
            course(4, "deleted"),
        ),
        {
            "groups": {
                f"{OTHER_COURSE}/{GROUP}": expected_row(
                    "available", "group", 3, context_id=OTHER_COURSE
                )
            },
            "memberships": {
                f"{OTHER_COURSE}/{MEMBERSHIP}": expected_row(
                    "accepted", "membership", 2, context_id=OTHER_COURSE
                )
            },
        },
    ),
    Scenario(
        "a group of an account does not depend on the course with the same local id",
        (group(1, context_type="Account", context_id=ACCOUNT), membership(2), course(3, "deleted")),
        {
            "groups": {
                f"account:{ACCOUNT}/{GROUP}": expected_row(
                    "available", "group", 1, context_type="Account", context_id=ACCOUNT
                )
            },
            "memberships": {
                f"account:{ACCOUNT}/{MEMBERSHIP}": expected_row(
                    "accepted", "membership", 2, context_type="Account", context_id=ACCOUNT
                )
            },
        },
    ),
    Scenario(
        "a group of an account is deleted",
        (
            group(1, context_type="Account", context_id=ACCOUNT),
            membership(2),
            group(3, "deleted", context_type="Account", context_id=ACCOUNT),
        ),
        {
            "groups": {f"account:{ACCOUNT}/{GROUP}": expected_row("deleted", "group", 3)},
            "memberships": {
                f"account:{ACCOUNT}/{MEMBERSHIP}": expected_row("deleted", "group_deleted", 3)
            },
        },
    ),
    Scenario(
        "a group moves from its course to an account and back",
        (group(1), membership(2), group(3, context_type="Account", context_id=ACCOUNT), group(4)),
        expected_group("available", "group", 4, expected_row("accepted", "membership", 2)),
    ),
    Scenario(
        "an event of a group with another context is not used, even as the latest",
        (group(1), membership(2), group(3, "deleted", context_type="User", context_id=USER)),
        expected_group("available", "group", 1, expected_row("accepted", "membership", 2)),
    ),
    # Courses
    Scenario(
        "a course is deleted",
        (
            course(1, kind="created"),
            section(1),
            enrollment(2),
            group(2),
            membership(2),
            course(3, "deleted"),
        ),
        {
            "courses": {COURSE: expected_row("deleted", "course", 3)},
            "sections": {f"{COURSE}/{SECTION}": expected_row("active", "section", 1)},
            **expected_enrollment("deleted", "course_deleted", 3, workflow_state="active"),
            **expected_group(
                "deleted", "course_deleted", 3, expected_row("deleted", "course_deleted", 3)
            ),
        },
    ),
    Scenario(
        "a course is deleted and restored",
        (
            course(1, kind="created"),
            enrollment(2),
            group(2),
            membership(2),
            course(3, "deleted"),
            course(4, "claimed"),
        ),
        {
            "courses": {COURSE: expected_row("claimed", "course", 4)},
            **expected_enrollment("active", "enrollment", 2),
            **expected_group("available", "group", 2, expected_row("accepted", "membership", 2)),
        },
    ),
    Scenario(
        "a course is deleted after its group: the course is the reason",
        (group(1, "deleted"), membership(1), course(3, "deleted")),
        expected_group(
            "deleted", "course_deleted", 3, expected_row("deleted", "course_deleted", 3)
        ),
    ),
    Scenario(
        "a course is deleted after its enrollment, which keeps its own reason and time",
        (enrollment(2, "deleted"), course(3, "deleted")),
        expected_enrollment("deleted", "enrollment", 2),
    ),
    Scenario(
        "a course is deleted before its enrollment, group and membership arrive",
        (course(1, "deleted"), enrollment(2), group(3), membership(4)),
        {
            **expected_enrollment("deleted", "course_deleted", 2),
            **expected_group(
                "deleted", "course_deleted", 3, expected_row("deleted", "course_deleted", 4)
            ),
        },
    ),
    Scenario(
        "a course is concluded",
        (
            course(1, kind="created"),
            enrollment(2),
            enrollment(2, "inactive", enrollment_id=OTHER_ENROLLMENT),
            group(2),
            membership(2),
            course(3, "completed"),
        ),
        {
            "enrollments": {
                f"{COURSE}/{ENROLLMENT}": expected_row(
                    "completed", "course_completed", 3, workflow_state="active"
                ),
                f"{COURSE}/{OTHER_ENROLLMENT}": expected_row("inactive", "enrollment", 2),
            },
            **expected_group("available", "group", 2, expected_row("accepted", "membership", 2)),
        },
    ),
    Scenario(
        "a course is concluded with a user whose creation is pending",
        (enrollment(1, "creation_pending"), course(2, "completed")),
        expected_enrollment("completed", "course_completed", 2, workflow_state="creation_pending"),
    ),
    Scenario(
        "a course is concluded and reopened",
        (course(1, kind="created"), enrollment(2, "invited"), course(3, "completed"), course(4)),
        {
            "courses": {COURSE: expected_row("available", "course", 4)},
            **expected_enrollment("invited", "enrollment", 2),
        },
    ),
    Scenario(
        "a course is concluded while the enrollment is pending by dates",
        (enrollment(1), enrollment_state(2, "pending_active"), course(3, "completed")),
        expected_enrollment("completed", "course_completed", 3),
    ),
    Scenario(
        "a course is concluded after the enrollment was completed by dates",
        (enrollment(1), enrollment_state(2, "completed"), course(3, "completed")),
        expected_enrollment("completed", "dates", 2),
    ),
    Scenario(
        "a course is deleted before a change of state by dates",
        (enrollment(1), course(2, "deleted"), enrollment_state(3, "active")),
        expected_enrollment("deleted", "course_deleted", 2),
    ),
    # Sections
    Scenario(
        "a section is deleted",
        (section(1, kind="created"), enrollment(2), section(3, "deleted")),
        {
            "sections": {f"{COURSE}/{SECTION}": expected_row("deleted", "section", 3)},
            **expected_enrollment("deleted", "section_deleted", 3, workflow_state="active"),
        },
    ),
    Scenario(
        "a section is deleted and restored",
        (section(1, kind="created"), enrollment(2), section(3, "deleted"), section(4)),
        expected_enrollment("active", "enrollment", 2),
    ),
    Scenario(
        "a section is deleted, and an older event of an enrollment arrives later",
        (section(3, "deleted"), enrollment(2)),
        expected_enrollment("deleted", "section_deleted", 3),
    ),
    Scenario(
        "a deleted section in a deleted course: the section is the reason",
        (enrollment(1), section(2, "deleted"), course(3, "deleted")),
        expected_enrollment("deleted", "section_deleted", 2),
    ),
    Scenario(
        "a section is cross-listed",
        (section(1, kind="created"), enrollment(2), section(3, **CROSS_LISTED)),
        {
            "sections": {
                f"{OTHER_COURSE}/{SECTION}": expected_row(
                    "active", "section", 3, course_id=OTHER_COURSE, nonxlist_course_id=COURSE
                )
            },
            **expected_enrollment("active", "enrollment", 3, course_id=OTHER_COURSE),
        },
    ),
    Scenario(
        "a section is cross-listed and moved back",
        (
            section(1, kind="created"),
            enrollment(2),
            section(3, **CROSS_LISTED),
            section(4, nonxlist_course_id=None),
        ),
        {
            "sections": {
                f"{COURSE}/{SECTION}": expected_row("active", "section", 4, course_id=COURSE)
            },
            **expected_enrollment("active", "enrollment", 2),
        },
    ),
    Scenario(
        "a section is cross-listed, and then the enrollment is updated",
        (
            section(1, kind="created"),
            enrollment(2),
            section(3, **CROSS_LISTED),
            enrollment(4, "inactive", course_id=OTHER_COURSE),
        ),
        expected_enrollment("inactive", "enrollment", 4, course_id=OTHER_COURSE),
    ),
    Scenario(
        "a section is cross-listed, an enrollment is updated there, and the section is moved back",
        (
            enrollment(2),
            section(3, **CROSS_LISTED),
            enrollment(4, course_id=OTHER_COURSE),
            section(5),
        ),
        expected_enrollment("active", "enrollment", 5, course_id=COURSE),
    ),
    Scenario(
        "a section is cross-listed at the time of the enrollment's event",
        (enrollment(3), section(3, **CROSS_LISTED)),
        expected_enrollment("active", "enrollment", 3, course_id=OTHER_COURSE),
    ),
    Scenario(
        "a section with an older event than the enrollment does not move it",
        (section(1, **CROSS_LISTED), enrollment(2)),
        {
            "sections": {f"{OTHER_COURSE}/{SECTION}": {}},
            **expected_enrollment("active", "enrollment", 2, course_id=COURSE),
        },
    ),
    Scenario(
        "a section is cross-listed into a course that is deleted",
        (
            enrollment(2),
            section(3, **CROSS_LISTED),
            course(4, course_id=COURSE),
            course(5, "deleted", course_id=OTHER_COURSE),
        ),
        expected_enrollment("deleted", "course_deleted", 5, course_id=OTHER_COURSE),
    ),
    Scenario(
        "a section is cross-listed out of a course that is deleted",
        (enrollment(2), section(3, **CROSS_LISTED), course(4, "deleted")),
        expected_enrollment("active", "enrollment", 3, course_id=OTHER_COURSE),
    ),
    # Enrollments
    Scenario(
        "an enrollment without course, section or state",
        (enrollment(1, kind="created"),),
        {"courses": {}, "sections": {}, **expected_enrollment("active", "enrollment", 1)},
    ),
    Scenario(
        "an older event after a deletion does not revive",
        (enrollment(2, "deleted"), enrollment(1)),
        expected_enrollment("deleted", "enrollment", 2),
    ),
    Scenario(
        "a newer event after a deletion revives",
        (enrollment(1), enrollment(2, "deleted"), enrollment(3, "invited")),
        expected_enrollment("invited", "enrollment", 3),
    ),
    Scenario(
        "revived in another section",
        (
            section(1),
            section(1, course_section_id=local(OTHER_SECTION)),
            enrollment(2),
            enrollment(3, "deleted"),
            enrollment(4, course_section_id=OTHER_SECTION),
        ),
        expected_enrollment("active", "enrollment", 4, course_section_id=OTHER_SECTION),
    ),
    Scenario(
        "revived in another section: later events of the old one have no effect",
        (
            enrollment(2, "deleted"),
            enrollment(4, course_section_id=OTHER_SECTION),
            section(5, "deleted"),
            section(6, "deleted", **CROSS_LISTED),
        ),
        expected_enrollment("active", "enrollment", 4, course_section_id=OTHER_SECTION),
    ),
    Scenario(
        "revived in another course",
        (
            section(1),
            section(1, course_section_id=local(OTHER_SECTION), course_id=local(OTHER_COURSE)),
            enrollment(2),
            enrollment(3, "deleted"),
            enrollment(4, course_section_id=OTHER_SECTION, course_id=OTHER_COURSE),
            course(5, "deleted"),
        ),
        expected_enrollment(
            "active", "enrollment", 4, course_section_id=OTHER_SECTION, course_id=OTHER_COURSE
        ),
    ),
    Scenario(
        "a deleted enrollment still moves with its section",
        (enrollment(2, "deleted"), section(3, "deleted", **CROSS_LISTED)),
        expected_enrollment("deleted", "enrollment", 3, course_id=OTHER_COURSE),
    ),
    # States by dates
    Scenario(
        "a state before its enrollment",
        (enrollment_state(1, "completed", kind="created"), enrollment(1)),
        expected_enrollment("completed", "dates", 1),
    ),
    Scenario(
        "a state without an enrollment",
        (enrollment_state(1, "active"), course(2)),
        {"enrollments": {}},
    ),
    Scenario(
        "a deleted enrollment with a later state",
        (enrollment(1, "deleted"), enrollment_state(2, "active")),
        expected_enrollment("active", "dates", 2),
    ),
    Scenario(
        "a deleted enrollment with a state of the same time",
        (enrollment(1, "deleted"), enrollment_state(1, "active")),
        expected_enrollment("deleted", "enrollment", 1),
    ),
    Scenario(
        "an inactive enrollment with a state of the same time",
        (enrollment(1, "inactive"), enrollment_state(1, "active")),
        expected_enrollment("active", "dates", 1),
    ),
    Scenario(
        "a rejected enrollment with an older state",
        (enrollment(2, "rejected"), enrollment_state(1, "active")),
        expected_enrollment("rejected", "enrollment", 2),
    ),
    Scenario(
        "active, then completed by its dates",
        (enrollment(1), enrollment_state(2, "completed")),
        expected_enrollment("completed", "dates", 2, workflow_state="active"),
    ),
    Scenario(
        "completed by its dates, then updated while active",
        (enrollment_state(1, "completed"), enrollment(2)),
        expected_enrollment("completed", "dates", 2, workflow_state="active"),
    ),
    Scenario(
        "set inactive after a change by dates",
        (enrollment_state(1, "active"), enrollment(2, "inactive")),
        expected_enrollment("inactive", "enrollment", 2),
    ),
    Scenario(
        "completed by its dates, then the dates change",
        (enrollment(1), enrollment_state(2, "completed"), enrollment_state(3, "active")),
        expected_enrollment("active", "dates", 3),
    ),
    Scenario(
        "a test student is a row like any other",
        (enrollment(1, type="StudentViewEnrollment"),),
        expected_enrollment("active", "enrollment", 1, type="StudentViewEnrollment"),
    ),
    Scenario(
        "unknown states are kept",
        (
            enrollment(1, "hibernating"),
            section(1, "hibernating"),
            group(1, "hibernating"),
            membership(1, "hibernating"),
            course(2, "hibernating"),
        ),
        {
            "courses": {COURSE: expected_row("hibernating", "course", 2)},
            "sections": {f"{COURSE}/{SECTION}": expected_row("hibernating", "section", 1)},
            **expected_enrollment("hibernating", "enrollment", 1),
            **expected_group(
                "hibernating", "group", 1, expected_row("hibernating", "membership", 1)
            ),
        },
    ),
    Scenario(
        "an unknown state is kept in a concluded course",
        (enrollment(1, "hibernating"), course(2, "completed")),
        expected_enrollment("hibernating", "enrollment", 1),
    ),
    Scenario(
        "a row has only the fields of the latest event",
        (
            enrollment(1, associated_user_id="52", course_uuid="c"),
            enrollment(2, associated_user_id=None),
        ),
        expected_enrollment("active", "enrollment", 2, associated_user_id=..., course_uuid=...),
    ),
    # Order
    Scenario(
        "equal times: updated is later than created, regardless of updated_at",
        (
            enrollment(1, "inactive", kind="updated", updated_at=at(0)),
            enrollment(1, "invited", kind="created", updated_at=at(9)),
        ),
        expected_enrollment("inactive", "enrollment", 1),
    ),
    Scenario(
        "equal times: the later updated_at",
        (
            enrollment(1, "inactive", updated_at="2019-11-01T12:05:00-07:00"),
            enrollment(1, "invited", updated_at="2019-11-01 19:04:59 UTC"),
        ),
        expected_enrollment("inactive", "enrollment", 1),
    ),
    Scenario(
        # Isaac's is 3557b8..., Newton's 9804b7...
        "equal times: the greater ce_id",
        (enrollment(1, user_name="Isaac"), enrollment(1, user_name="Newton")),
        expected_enrollment("active", "enrollment", 1, user_name="Newton"),
    ),
    Scenario(
        "equal times in different formats, to the microsecond",
        (
            course("2019-11-01T19:11:00.000001999Z", "deleted", kind="created"),
            course("2019-11-01 12:11:00.000001 -0700", "completed"),
            course("2019-11-01T19:11:00Z", "claimed"),
        ),
        {"courses": {COURSE: {"state": "completed", "as_of": "2019-11-01T19:11:00.000Z"}}},
    ),
    Scenario(
        "different clocks: the update has an earlier time than the creation, and counts as older",
        (
            enrollment("2019-11-01T19:11:00.802Z", "invited", kind="created"),
            enrollment("2019-11-01T19:11:00.797Z", "active", updated_at=at(30)),
        ),
        expected_enrollment("invited", "enrollment", "2019-11-01T19:11:00.802Z"),
    ),
    Scenario(
        "different clocks: the state has an earlier time than its enrollment",
        (
            enrollment("2019-11-01T19:11:00.802Z", "invited", kind="created"),
            enrollment_state("2019-11-01T19:11:00.797Z", "pending_invited", kind="created"),
        ),
        expected_enrollment("pending_invited", "dates", "2019-11-01T19:11:00.802Z"),
    ),
    # Users
    Scenario(
        "a user is registered and renamed, and an older event is repeated",
        (user(1, "pre_registered", kind="created"), user(2), user(3, name="Sir Isaac"), user(2)),
        expected_user("registered", 3, name="Sir Isaac", short_name="Isaac"),
    ),
    Scenario(
        "a user who is older than the subscription",
        (user(2, user_login="isaac"),),
        expected_user("registered", 2, user_login="isaac"),
    ),
    Scenario(
        "a user is deleted, and an older event comes late",
        (user(1, kind="created"), user(3, "deleted"), user(2, name="Sir Isaac")),
        expected_user("deleted", 3, name="Isaac Newton"),
    ),
    Scenario(
        "a deleted user is revived",
        (user(1, kind="created"), user(2, "deleted"), user(3)),
        expected_user("registered", 3),
    ),
    Scenario(
        "a user loses SIS id and login: one is null, the other missing",
        (user(1, kind="created", user_sis_id="S-1", user_login="isaac"), user(2, user_sis_id=None)),
        expected_user("registered", 2, user_sis_id=..., user_login=...),
    ),
    Scenario(
        "a user is created and registered at the same time",
        (user(1, "pre_registered", kind="created", updated_at=at(30)), user(1)),
        expected_user("registered", 1),
    ),
    Scenario(
        "a user from another shard, and the same local id on the home shard",
        (
            user(1, name="Gottfried", user_id=global_id(51, 9)),
            user(2, user_id=51),
            event(
                "user_updated",
                3,
                orjson.loads(user(3, "deleted").value)["body"] | {"user_id": "51"},
                root_account_id=global_id(1, 9),
            ),
        ),
        {
            "users": {
                global_id(51, 9): expected_row("deleted", "user", 3, user_id=global_id(51, 9)),
                USER: expected_row("registered", "user", 2, user_id=USER),
            }
        },
    ),
    Scenario(
        "users are merged, without an event of the enrollment",
        (enrollment(1), user(2, "deleted", name="Sir Isaac")),
        expected_enrollment("active", "enrollment", 1, user_name="Isaac Newton")
        | expected_user("deleted", 2, name="Sir Isaac"),
    ),
    # Ids
    Scenario(
        "one entity, its ids local and global, strings and integers",
        (
            enrollment(1, enrollment_id=21, course_id=100, course_section_id="11", user_id=51),
            enrollment_state(2, "completed", enrollment_id="21"),
            enrollment_state(3, "active", enrollment_id=int(ENROLLMENT)),
            section(4, course_section_id=int(SECTION), **CROSS_LISTED),
            course(5, "completed", course_id=200),
        ),
        expected_enrollment(
            "completed",
            "course_completed",
            5,
            course_id=OTHER_COURSE,
            course_section_id=SECTION,
            user_id=USER,
        ),
    ),
    Scenario(
        "a user from another shard, and one local id on two shards",
        (
            enrollment(1, user_id=global_id(51, 9)),
            event(
                "course_section_updated",
                2,
                {
                    "course_section_id": "11",
                    "course_id": "200",
                    "root_account_id": "1",
                    "name": "",
                    "workflow_state": "deleted",
                },
                root_account_id=global_id(1, 9),
            ),
        ),
        {
            "sections": {f"{global_id(200, 9)}/{global_id(11, 9)}": {}},
            **expected_enrollment("active", "enrollment", 1, user_id=global_id(51, 9)),
        },
    ),
    Scenario(
        "an event with its shard, and another configured shard",
        (enrollment(1, enrollment_id="21", course_id=100), section(2, **CROSS_LISTED)),
        expected_enrollment("active", "enrollment", 2, course_id=OTHER_COURSE),
        shard=9,
    ),
    Scenario(
        "events without their shard, and a configured shard",
        (
            event(
                "group_membership_created",
                1,
                orjson.loads(membership(1).value)["body"]
                | {"group_id": 31, "group_membership_id": "41"},
                root_account_id=...,
            ),
            event(
                "group_updated",
                2,
                orjson.loads(group(2).value)["body"] | {"group_id": "31", "context_id": 100},
                root_account_id="1",
            ),
        ),
        expected_group("available", "group", 2, expected_row("accepted", "membership", 1)),
        shard=SHARD,
    ),
    Scenario(
        "events without their shard, and no configured shard: local ids",
        (
            event(
                "group_membership_created",
                1,
                orjson.loads(membership(1).value)["body"]
                | {"group_id": 31, "group_membership_id": "41"},
                root_account_id=...,
            ),
            event(
                "group_updated",
                2,
                orjson.loads(group(2).value)["body"] | {"group_id": "31", "context_id": 100},
                root_account_id="1",
            ),
        ),
        {
            "groups": {"100/31": expected_row("available", "group", 2)},
            "memberships": {"100/41": expected_row("accepted", "membership", 1, group_id="31")},
        },
    ),
]
"""Every implementation of the rosters must pass all scenarios, in any order of events."""
