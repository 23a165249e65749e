"""What Canvas changes without saying so, and what comes late, twice or in the wrong order: small
histories with the rosters that must follow.

The order of a scenario's events is that in which a reader understands them. Any other order has to
come to the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from tests.rosters.reference import Rosters, Row, TypedEvent

SHARD = 2107


def global_id(local: int, shard: int = SHARD) -> str:
    """The global id of a local one."""
    return f"{shard}{local:013}"


ROOT_ACCOUNT = global_id(1)
COURSE, OTHER_COURSE, THIRD_COURSE = global_id(100), global_id(200), global_id(300)
SECTION, OTHER_SECTION = global_id(11), global_id(12)
ENROLLMENT, OTHER_ENROLLMENT = global_id(21), global_id(22)
GROUP, OTHER_GROUP = global_id(31), global_id(32)
MEMBERSHIP, OTHER_MEMBERSHIP = global_id(41), global_id(42)
USER = global_id(51)
ACCOUNT = global_id(100)
"""The same number as that of :data:`COURSE`: accounts and courses count apart."""

At = int | str
"""A time: the minutes after 19 o'clock of one day, or as it is to be written."""


def at(time: At) -> str:
    """A time as Canvas writes it, and as rows have it."""
    return f"2019-11-01T19:{time:02}:00.000Z" if isinstance(time, int) else time


def event(name: str, time: At, body: Row, **metadata: Any) -> TypedEvent:
    """A typed event of the home shard. A field given as ``...`` is left out."""
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
    """An event of one enrollment, in :data:`SECTION` of :data:`COURSE` unless the fields say
    otherwise.
    """
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


def enrollment_state(time: At, state: str, kind: str = "updated", **fields: Any) -> TypedEvent:
    """An event of the state by the dates of one enrollment."""
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
    """An event of one section, in :data:`COURSE` unless the fields say otherwise. Its ids are
    local, as Canvas writes them.
    """
    body = {
        "course_section_id": local(SECTION),
        "course_id": local(COURSE),
        "root_account_id": "1",
        "name": "Monday",
        "workflow_state": state,
    }
    return event(f"course_section_{kind}", time, body | fields)


def group(time: At, state: str = "available", kind: str = "updated", **fields: Any) -> TypedEvent:
    """An event of one group, of :data:`COURSE` unless the fields say otherwise."""
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
    """An event of one membership, in :data:`GROUP` unless the fields say otherwise."""
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


def local(written: str) -> str:
    """The local id of a global one, as a string."""
    return str(int(written) % 10_000_000_000_000)


class Scenario(NamedTuple):
    """A history and what must come of it."""

    name: str
    events: tuple[TypedEvent, ...]

    expected: Rosters
    """By relation, all keys that have a row, and some fields of each; ``...`` is a field that is
    not there. A relation that is not named may hold anything.
    """

    shard: int | None = None
    """The configured shard, ``ROLLCALL_SHARD``."""

    def differences(self, actual: Rosters) -> list[str]:
        """What is otherwise than expected, one line each."""
        found = []
        for relation, rows in self.expected.items():
            for key in sorted(rows.keys() | actual[relation].keys()):
                if key not in actual[relation]:
                    found.append(f"{relation} {key}: no row")
                elif key not in rows:
                    found.append(
                        f"{relation} {key}: a row that should not be: {actual[relation][key]}"
                    )
                else:
                    for field, value in rows[key].items():
                        said = actual[relation][key].get(field, ...)
                        if said != value:
                            found.append(
                                f"{relation} {key}: {field} is {said!r}, should be {value!r}"
                            )
        return found


def says(state: str, reason: str, time: At, **fields: Any) -> Row:
    """The expected part of a row."""
    return {"state": state, "state_reason": reason, "as_of": at(time)} | fields


def enrolled(state: str, reason: str, time: At, **fields: Any) -> Rosters:
    """Expected: one enrollment, in :data:`COURSE` unless the fields say otherwise."""
    row = says(state, reason, time, **{"enrollment_id": ENROLLMENT, "course_id": COURSE} | fields)
    return {"enrollments": {f"{row['course_id']}/{ENROLLMENT}": row}}


def of_group(state: str, reason: str, time: At, member: Row) -> Rosters:
    """Expected: one group of :data:`COURSE` and one membership of it."""
    return {
        "groups": {
            f"{COURSE}/{GROUP}": says(state, reason, time, context_type="Course", context_id=COURSE)
        },
        "memberships": {
            f"{COURSE}/{MEMBERSHIP}": member
            | {"context_type": "Course", "context_id": COURSE, "group_id": GROUP}
        },
    }


def of_user(state: str, time: At, **fields: Any) -> Rosters:
    """Expected: one user."""
    return {
        "users": {USER: says(state, "user", time, user_id=USER, workflow_state=state, **fields)}
    }


MOVED: dict[str, Any] = {"course_id": local(OTHER_COURSE), "nonxlist_course_id": local(COURSE)}
"""What a section says while it is cross-listed."""

SCENARIOS = [
    # Groups
    Scenario(
        "a group is deleted",
        (group(1, kind="created"), membership(2, kind="created"), group(3, "deleted")),
        of_group(
            "deleted", "group", 3, says("deleted", "group_deleted", 3, workflow_state="accepted")
        ),
    ),
    Scenario(
        "a group is deleted and restored",
        (group(1, kind="created"), membership(2, kind="created"), group(3, "deleted"), group(4)),
        of_group("available", "group", 4, says("accepted", "membership", 2)),
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
        of_group("available", "group", 5, says("deleted", "membership", 3)),
    ),
    Scenario(
        "a group set is deleted: each group says so",
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
                f"{COURSE}/{GROUP}": says("deleted", "group", 3),
                f"{COURSE}/{OTHER_GROUP}": says("deleted", "group", 3),
            },
            "memberships": {
                f"{COURSE}/{MEMBERSHIP}": says(
                    "deleted", "group_deleted", 3, workflow_state="accepted"
                ),
                f"{COURSE}/{OTHER_MEMBERSHIP}": says(
                    "deleted", "group_deleted", 3, workflow_state="invited"
                ),
            },
        },
    ),
    Scenario(
        "a membership before its group",
        (membership(1, kind="created"), group(2)),
        of_group("available", "group", 2, says("accepted", "membership", 1)),
    ),
    Scenario(
        "a membership whose group never comes",
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
                f"{COURSE}/{MEMBERSHIP}": says("deleted", "membership", 4, group_id=GROUP),
                f"{COURSE}/{OTHER_MEMBERSHIP}": says(
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
                f"{COURSE}/{MEMBERSHIP}": says("deleted", "membership", 3, group_id=GROUP),
                f"{COURSE}/{OTHER_MEMBERSHIP}": says(
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
                f"{COURSE}/{MEMBERSHIP}": says("accepted", "membership", 3, group_id=OTHER_GROUP)
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
                f"{COURSE}/{MEMBERSHIP}": says(
                    "accepted", "membership", 2, group_id=GROUP, context_id=COURSE
                ),
                f"{OTHER_COURSE}/{MEMBERSHIP}": says(
                    "accepted", "membership", 3, group_id=OTHER_GROUP, context_id=OTHER_COURSE
                ),
            }
        },
    ),
    Scenario(
        "a membership that names another group, which is not known, stays with the one that is",
        (group(1), membership(2, kind="created"), membership(3, group_id=OTHER_GROUP)),
        {
            "memberships": {
                f"{COURSE}/{MEMBERSHIP}": says("accepted", "membership", 2, group_id=GROUP)
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
                f"{COURSE}/{MEMBERSHIP}": says("invited", "membership", 4, group_id=GROUP)
            }
        },
    ),
    Scenario(
        "a group that goes to another course takes its memberships along",
        (
            group(1, kind="created"),
            membership(2),
            group(3, context_id=OTHER_COURSE),
            course(4, "deleted"),
        ),
        {
            "groups": {
                f"{OTHER_COURSE}/{GROUP}": says("available", "group", 3, context_id=OTHER_COURSE)
            },
            "memberships": {
                f"{OTHER_COURSE}/{MEMBERSHIP}": says(
                    "accepted", "membership", 2, context_id=OTHER_COURSE
                )
            },
        },
    ),
    Scenario(
        "a group of an account: no course of the same number has anything to do with it",
        (group(1, context_type="Account", context_id=ACCOUNT), membership(2), course(3, "deleted")),
        {
            "groups": {
                f"account:{ACCOUNT}/{GROUP}": says(
                    "available", "group", 1, context_type="Account", context_id=ACCOUNT
                )
            },
            "memberships": {
                f"account:{ACCOUNT}/{MEMBERSHIP}": says(
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
            "groups": {f"account:{ACCOUNT}/{GROUP}": says("deleted", "group", 3)},
            "memberships": {f"account:{ACCOUNT}/{MEMBERSHIP}": says("deleted", "group_deleted", 3)},
        },
    ),
    Scenario(
        "a group that goes from its course to an account and back",
        (group(1), membership(2), group(3, context_type="Account", context_id=ACCOUNT), group(4)),
        of_group("available", "group", 4, says("accepted", "membership", 2)),
    ),
    Scenario(
        "a group of anything else cannot be used, however late it comes",
        (group(1), membership(2), group(3, "deleted", context_type="User", context_id=USER)),
        of_group("available", "group", 1, says("accepted", "membership", 2)),
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
            "courses": {COURSE: says("deleted", "course", 3)},
            "sections": {f"{COURSE}/{SECTION}": says("active", "section", 1)},
            **enrolled("deleted", "course_deleted", 3, workflow_state="active"),
            **of_group("deleted", "course_deleted", 3, says("deleted", "course_deleted", 3)),
        },
    ),
    Scenario(
        "a course is deleted and brought back",
        (
            course(1, kind="created"),
            enrollment(2),
            group(2),
            membership(2),
            course(3, "deleted"),
            course(4, "claimed"),
        ),
        {
            "courses": {COURSE: says("claimed", "course", 4)},
            **enrolled("active", "enrollment", 2),
            **of_group("available", "group", 2, says("accepted", "membership", 2)),
        },
    ),
    Scenario(
        "a course is deleted whose group was deleted before: the course is the reason",
        (group(1, "deleted"), membership(1), course(3, "deleted")),
        of_group("deleted", "course_deleted", 3, says("deleted", "course_deleted", 3)),
    ),
    Scenario(
        "a course is deleted: what was deleted before keeps its own reason and time",
        (enrollment(2, "deleted"), course(3, "deleted")),
        enrolled("deleted", "enrollment", 2),
    ),
    Scenario(
        "a course is deleted before what it holds arrives",
        (course(1, "deleted"), enrollment(2), group(3), membership(4)),
        {
            **enrolled("deleted", "course_deleted", 2),
            **of_group("deleted", "course_deleted", 3, says("deleted", "course_deleted", 4)),
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
                f"{COURSE}/{ENROLLMENT}": says(
                    "completed", "course_completed", 3, workflow_state="active"
                ),
                f"{COURSE}/{OTHER_ENROLLMENT}": says("inactive", "enrollment", 2),
            },
            **of_group("available", "group", 2, says("accepted", "membership", 2)),
        },
    ),
    Scenario(
        "a course is concluded while somebody has not been created yet",
        (enrollment(1, "creation_pending"), course(2, "completed")),
        enrolled("completed", "course_completed", 2, workflow_state="creation_pending"),
    ),
    Scenario(
        "a course is concluded and reopened",
        (course(1, kind="created"), enrollment(2, "invited"), course(3, "completed"), course(4)),
        {
            "courses": {COURSE: says("available", "course", 4)},
            **enrolled("invited", "enrollment", 2),
        },
    ),
    Scenario(
        "a course is concluded while the dates say pending",
        (enrollment(1), enrollment_state(2, "pending_active"), course(3, "completed")),
        enrolled("completed", "course_completed", 3),
    ),
    Scenario(
        "a course is concluded that the dates had ended",
        (enrollment(1), enrollment_state(2, "completed"), course(3, "completed")),
        enrolled("completed", "dates", 2),
    ),
    Scenario(
        "a course is deleted before the dates have their say",
        (enrollment(1), course(2, "deleted"), enrollment_state(3, "active")),
        enrolled("deleted", "course_deleted", 2),
    ),
    # Sections
    Scenario(
        "a section is deleted",
        (section(1, kind="created"), enrollment(2), section(3, "deleted")),
        {
            "sections": {f"{COURSE}/{SECTION}": says("deleted", "section", 3)},
            **enrolled("deleted", "section_deleted", 3, workflow_state="active"),
        },
    ),
    Scenario(
        "a section is deleted and brought back",
        (section(1, kind="created"), enrollment(2), section(3, "deleted"), section(4)),
        enrolled("active", "enrollment", 2),
    ),
    Scenario(
        "a section is deleted, and an enrollment that is older news arrives after that",
        (section(3, "deleted"), enrollment(2)),
        enrolled("deleted", "section_deleted", 3),
    ),
    Scenario(
        "a deleted section in a deleted course: the section is the reason",
        (enrollment(1), section(2, "deleted"), course(3, "deleted")),
        enrolled("deleted", "section_deleted", 2),
    ),
    Scenario(
        "a section is cross-listed",
        (section(1, kind="created"), enrollment(2), section(3, **MOVED)),
        {
            "sections": {
                f"{OTHER_COURSE}/{SECTION}": says(
                    "active", "section", 3, course_id=OTHER_COURSE, nonxlist_course_id=COURSE
                )
            },
            **enrolled("active", "enrollment", 3, course_id=OTHER_COURSE),
        },
    ),
    Scenario(
        "a section is cross-listed and moved back",
        (
            section(1, kind="created"),
            enrollment(2),
            section(3, **MOVED),
            section(4, nonxlist_course_id=None),
        ),
        {
            "sections": {f"{COURSE}/{SECTION}": says("active", "section", 4, course_id=COURSE)},
            **enrolled("active", "enrollment", 2),
        },
    ),
    Scenario(
        "a section is cross-listed, and after that the enrollment is updated",
        (
            section(1, kind="created"),
            enrollment(2),
            section(3, **MOVED),
            enrollment(4, "inactive", course_id=OTHER_COURSE),
        ),
        enrolled("inactive", "enrollment", 4, course_id=OTHER_COURSE),
    ),
    Scenario(
        "a section is cross-listed, an enrollment is updated there, and the section is moved back",
        (enrollment(2), section(3, **MOVED), enrollment(4, course_id=OTHER_COURSE), section(5)),
        enrolled("active", "enrollment", 5, course_id=COURSE),
    ),
    Scenario(
        "a section is cross-listed in the very moment in which the enrollment is written",
        (enrollment(3), section(3, **MOVED)),
        enrolled("active", "enrollment", 3, course_id=OTHER_COURSE),
    ),
    Scenario(
        "a section that is older news than the enrollment does not place it",
        (section(1, **MOVED), enrollment(2)),
        {
            "sections": {f"{OTHER_COURSE}/{SECTION}": {}},
            **enrolled("active", "enrollment", 2, course_id=COURSE),
        },
    ),
    Scenario(
        "a section is cross-listed into a course that is deleted",
        (
            enrollment(2),
            section(3, **MOVED),
            course(4, course_id=COURSE),
            course(5, "deleted", course_id=OTHER_COURSE),
        ),
        enrolled("deleted", "course_deleted", 5, course_id=OTHER_COURSE),
    ),
    Scenario(
        "a section is cross-listed out of a course that is deleted",
        (enrollment(2), section(3, **MOVED), course(4, "deleted")),
        enrolled("active", "enrollment", 3, course_id=OTHER_COURSE),
    ),
    # Enrollments
    Scenario(
        "an enrollment without course, section or state",
        (enrollment(1, kind="created"),),
        {"courses": {}, "sections": {}, **enrolled("active", "enrollment", 1)},
    ),
    Scenario(
        "an older event after a deletion does not revive",
        (enrollment(2, "deleted"), enrollment(1)),
        enrolled("deleted", "enrollment", 2),
    ),
    Scenario(
        "a newer event after a deletion revives",
        (enrollment(1), enrollment(2, "deleted"), enrollment(3, "invited")),
        enrolled("invited", "enrollment", 3),
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
        enrolled("active", "enrollment", 4, course_section_id=OTHER_SECTION),
    ),
    Scenario(
        "revived in another section: what becomes of the old one says nothing",
        (
            enrollment(2, "deleted"),
            enrollment(4, course_section_id=OTHER_SECTION),
            section(5, "deleted"),
            section(6, "deleted", **MOVED),
        ),
        enrolled("active", "enrollment", 4, course_section_id=OTHER_SECTION),
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
        enrolled(
            "active", "enrollment", 4, course_section_id=OTHER_SECTION, course_id=OTHER_COURSE
        ),
    ),
    Scenario(
        "a deleted enrollment still goes along with its section",
        (enrollment(2, "deleted"), section(3, "deleted", **MOVED)),
        enrolled("deleted", "enrollment", 3, course_id=OTHER_COURSE),
    ),
    # States by dates
    Scenario(
        "a state before its enrollment",
        (enrollment_state(1, "completed", kind="created"), enrollment(1)),
        enrolled("completed", "dates", 1),
    ),
    Scenario(
        "a state whose enrollment never comes",
        (enrollment_state(1, "active"), course(2)),
        {"enrollments": {}},
    ),
    Scenario(
        "a deleted enrollment with a later state",
        (enrollment(1, "deleted"), enrollment_state(2, "active")),
        enrolled("active", "dates", 2),
    ),
    Scenario(
        "a deleted enrollment with a state of the same time",
        (enrollment(1, "deleted"), enrollment_state(1, "active")),
        enrolled("deleted", "enrollment", 1),
    ),
    Scenario(
        "an inactive enrollment with a state of the same time",
        (enrollment(1, "inactive"), enrollment_state(1, "active")),
        enrolled("active", "dates", 1),
    ),
    Scenario(
        "a rejected enrollment with an older state",
        (enrollment(2, "rejected"), enrollment_state(1, "active")),
        enrolled("rejected", "enrollment", 2),
    ),
    Scenario(
        "active, then completed by its dates",
        (enrollment(1), enrollment_state(2, "completed")),
        enrolled("completed", "dates", 2, workflow_state="active"),
    ),
    Scenario(
        "completed by its dates, then updated while active",
        (enrollment_state(1, "completed"), enrollment(2)),
        enrolled("completed", "dates", 2, workflow_state="active"),
    ),
    Scenario(
        "set inactive after the dates had their say",
        (enrollment_state(1, "active"), enrollment(2, "inactive")),
        enrolled("inactive", "enrollment", 2),
    ),
    Scenario(
        "completed by its dates, then the dates are moved",
        (enrollment(1), enrollment_state(2, "completed"), enrollment_state(3, "active")),
        enrolled("active", "dates", 3),
    ),
    Scenario(
        "a test student is a row like any other",
        (enrollment(1, type="StudentViewEnrollment"),),
        enrolled("active", "enrollment", 1, type="StudentViewEnrollment"),
    ),
    Scenario(
        "states that Canvas does not have yet stand as they are",
        (
            enrollment(1, "hibernating"),
            section(1, "hibernating"),
            group(1, "hibernating"),
            membership(1, "hibernating"),
            course(2, "hibernating"),
        ),
        {
            "courses": {COURSE: says("hibernating", "course", 2)},
            "sections": {f"{COURSE}/{SECTION}": says("hibernating", "section", 1)},
            **enrolled("hibernating", "enrollment", 1),
            **of_group("hibernating", "group", 1, says("hibernating", "membership", 1)),
        },
    ),
    Scenario(
        "a state that Canvas does not have yet is not ended by a concluded course",
        (enrollment(1, "hibernating"), course(2, "completed")),
        enrolled("hibernating", "enrollment", 1),
    ),
    Scenario(
        "a row is of the latest event alone: what that leaves out is gone",
        (
            enrollment(1, associated_user_id="52", course_uuid="c"),
            enrollment(2, associated_user_id=None),
        ),
        enrolled("active", "enrollment", 2, associated_user_id=..., course_uuid=...),
    ),
    # Order
    Scenario(
        "equal times: updated over created, whatever updated_at says",
        (
            enrollment(1, "inactive", kind="updated", updated_at=at(0)),
            enrollment(1, "invited", kind="created", updated_at=at(9)),
        ),
        enrolled("inactive", "enrollment", 1),
    ),
    Scenario(
        "equal times: the later updated_at",
        (
            enrollment(1, "inactive", updated_at="2019-11-01T12:05:00-07:00"),
            enrollment(1, "invited", updated_at="2019-11-01 19:04:59 UTC"),
        ),
        enrolled("inactive", "enrollment", 1),
    ),
    Scenario(
        # Isaac's is 3557b8..., Newton's 9804b7...
        "equal times: the greater ce_id",
        (enrollment(1, user_name="Isaac"), enrollment(1, user_name="Newton")),
        enrolled("active", "enrollment", 1, user_name="Newton"),
    ),
    Scenario(
        "equal times however they are written, to the microsecond",
        (
            course("2019-11-01T19:11:00.000001999Z", "deleted", kind="created"),
            course("2019-11-01 12:11:00.000001 -0700", "completed"),
            course("2019-11-01T19:11:00Z", "claimed"),
        ),
        {"courses": {COURSE: {"state": "completed", "as_of": "2019-11-01T19:11:00.000Z"}}},
    ),
    Scenario(
        "clocks that differ: the update is stamped before the creation, and is the older one",
        (
            enrollment("2019-11-01T19:11:00.802Z", "invited", kind="created"),
            enrollment("2019-11-01T19:11:00.797Z", "active", updated_at=at(30)),
        ),
        enrolled("invited", "enrollment", "2019-11-01T19:11:00.802Z"),
    ),
    Scenario(
        "clocks that differ: the state is stamped before the enrollment that it comes from",
        (
            enrollment("2019-11-01T19:11:00.802Z", "invited", kind="created"),
            enrollment_state("2019-11-01T19:11:00.797Z", "pending_invited", kind="created"),
        ),
        enrolled("pending_invited", "dates", "2019-11-01T19:11:00.802Z"),
    ),
    # Users
    Scenario(
        "a user is registered and renamed, and the name before comes once more",
        (user(1, "pre_registered", kind="created"), user(2), user(3, name="Sir Isaac"), user(2)),
        of_user("registered", 3, name="Sir Isaac", short_name="Isaac"),
    ),
    Scenario(
        "a user who is older than the subscription",
        (user(2, user_login="isaac"),),
        of_user("registered", 2, user_login="isaac"),
    ),
    Scenario(
        "a user is deleted, and an older event comes late",
        (user(1, kind="created"), user(3, "deleted"), user(2, name="Sir Isaac")),
        of_user("deleted", 3, name="Isaac Newton"),
    ),
    Scenario(
        "a deleted user is revived",
        (user(1, kind="created"), user(2, "deleted"), user(3)),
        of_user("registered", 3),
    ),
    Scenario(
        "a user has lost SIS id and login: one is null, the other left out",
        (user(1, kind="created", user_sis_id="S-1", user_login="isaac"), user(2, user_sis_id=None)),
        of_user("registered", 2, user_sis_id=..., user_login=...),
    ),
    Scenario(
        "a user is created and registered in one moment",
        (user(1, "pre_registered", kind="created", updated_at=at(30)), user(1)),
        of_user("registered", 1),
    ),
    Scenario(
        "a user from another shard, and the same number at home",
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
                global_id(51, 9): says("deleted", "user", 3, user_id=global_id(51, 9)),
                USER: says("registered", "user", 2, user_id=USER),
            }
        },
    ),
    Scenario(
        "users are merged: nothing is told of the enrollment",
        (enrollment(1), user(2, "deleted", name="Sir Isaac")),
        enrolled("active", "enrollment", 1, user_name="Isaac Newton")
        | of_user("deleted", 2, name="Sir Isaac"),
    ),
    # Ids
    Scenario(
        "one entity, its ids local and global, strings and integers",
        (
            enrollment(1, enrollment_id=21, course_id=100, course_section_id="11", user_id=51),
            enrollment_state(2, "completed", enrollment_id="21"),
            enrollment_state(3, "active", enrollment_id=int(ENROLLMENT)),
            section(4, course_section_id=int(SECTION), **MOVED),
            course(5, "completed", course_id=200),
        ),
        enrolled(
            "completed",
            "course_completed",
            5,
            course_id=OTHER_COURSE,
            course_section_id=SECTION,
            user_id=USER,
        ),
    ),
    Scenario(
        "a person from another shard, and one number on two shards",
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
            **enrolled("active", "enrollment", 1, user_id=global_id(51, 9)),
        },
    ),
    Scenario(
        "an event that tells its shard, where another one is configured",
        (enrollment(1, enrollment_id="21", course_id=100), section(2, **MOVED)),
        enrolled("active", "enrollment", 2, course_id=OTHER_COURSE),
        shard=9,
    ),
    Scenario(
        "events that do not tell their shard, on a configured one",
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
        of_group("available", "group", 2, says("accepted", "membership", 1)),
        shard=SHARD,
    ),
    Scenario(
        "events that do not tell their shard, and none is configured: ids as they stand",
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
            "groups": {"100/31": says("available", "group", 2)},
            "memberships": {"100/41": says("accepted", "membership", 1, group_id="31")},
        },
    ),
]
"""What every implementation of the rosters must come to, in any order of arrival."""
