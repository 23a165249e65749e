"""Canvas's client library lists what the tables have."""

from __future__ import annotations

from typing import Any

import pytest
from canvasapi.exceptions import ResourceDoesNotExist

from rollcall.events.ids import SHARD_SIZE
from rollcall.sandbox.canvas.rest import world_tables
from rollcall.sandbox.canvas.rest.tables import Row
from rollcall.sandbox.canvas.simulation.world import Account, Course, local_id
from tests.sandbox.canvas.rest.institution import ALL_STATES, Institution


def shown(gid: str | None) -> int | None:
    """An id as answers show it."""
    if gid is None:
        return None
    return int(gid) % SHARD_SIZE if int(gid) // SHARD_SIZE == 2107 else int(gid)


def rows_of(institution: Institution, relation: str, **fields: Any) -> list[Row]:
    """Rows of the tables with these values."""
    return [
        row
        for row in world_tables(institution.world)[relation].values()
        if all(row[name] == value for name, value in fields.items())
    ]


def has(found: Any, wanted: dict[str, Any]) -> None:
    """Compare those attributes of an object that are wanted."""
    assert {name: getattr(found, name) for name in wanted} == wanted


def chain(course: Course) -> list[Account]:
    """A course's account and those above it."""
    found: list[Account] = []
    account: Account | None = course.account
    while account is not None:
        found.append(account)
        account = account.parent
    return found


def test_courses(old: Institution) -> None:
    """All, or by default those that are not deleted; a deleted one is not found by its id."""
    account = old.client().get_account(1)
    courses = {course.id: course for course in account.get_courses(state=["all"])}
    tables = world_tables(old.world)["courses"]
    assert list(courses) == sorted(map(local_id, tables))
    states = {"created": "unpublished", "claimed": "unpublished"}
    for gid, row in tables.items():
        course = courses[local_id(gid)]
        wanted = {
            "name": row["name"],
            "uuid": row["uuid"],
            "account_id": local_id(row["account_id"]),
            "created_at": row["created_at"],
            "workflow_state": states.get(row["workflow_state"], row["workflow_state"]),
        }
        has(course, wanted)
        assert not hasattr(course, "updated_at")
        if row["workflow_state"] == "deleted":
            with pytest.raises(ResourceDoesNotExist):
                old.client().get_course(course.id)
        else:
            has(old.client().get_course(course.id), wanted)
    living = {local_id(gid) for gid, row in tables.items() if row["workflow_state"] != "deleted"}
    assert {course.id for course in account.get_courses()} == living
    assert 0 < len(living) < len(tables)


def test_courses_of_terms_and_accounts(old: Institution) -> None:
    """Each course is in one term; an account lists the courses below it."""
    client = old.client()
    terms = list(client.get_account(1).get_enrollment_terms())
    assert [term.id for term in terms] == [1, 11, 12, 13]
    by_term = [
        course.id
        for term in terms
        for course in client.get_account(1).get_courses(state=["all"], enrollment_term_id=term.id)
    ]
    assert sorted(by_term) == [course.id for course in old.world.courses]
    for account in old.world.accounts[1:]:
        if account.state != "deleted":
            assert [
                course.id for course in client.get_account(account.id).get_courses(state=["all"])
            ] == [course.id for course in old.world.courses if account in chain(course)]


def test_sections(old: Institution) -> None:
    """Active ones, in their current courses."""
    cross_listed = deleted = 0
    for course in old.world.courses:
        if course.state == "deleted":
            continue
        found = {
            section.id: section for section in old.client().get_course(course.id).get_sections()
        }
        rows = rows_of(old, "sections", course_id=course.gid)
        for row in rows:
            section_id = local_id(row["course_section_id"])
            if row["workflow_state"] == "deleted":
                deleted += 1
                assert section_id not in found
                with pytest.raises(ResourceDoesNotExist):
                    old.client().get_section(section_id)
                continue
            wanted = {
                "course_id": course.id,
                "name": row["name"],
                "nonxlist_course_id": shown(row["nonxlist_course_id"]),
                "sis_section_id": row["sis_source_id"],
                "start_at": row["start_at"],
                "end_at": row["end_at"],
                "restrict_enrollments_to_section_dates": row[
                    "restrict_enrollments_to_section_dates"
                ],
            }
            has(found.pop(section_id), wanted)
            has(old.client().get_section(section_id), wanted)
            cross_listed += row["nonxlist_course_id"] is not None
        assert not found
    assert cross_listed
    assert deleted


def test_enrollments(old: Institution) -> None:
    """With all states, every row of a course once; each also by its id."""
    compared, grades = 0, set()
    for course in old.world.courses:
        path = f"/courses/{course.id}/enrollments"
        found = {row["id"]: row for row in old.rows(path, state=ALL_STATES)}
        rows = rows_of(old, "enrollments", course_id=course.gid)
        assert len(found) == len(rows)
        sections = {section.gid: section.state for section in course.sections}
        for row in rows:
            enrollment = found[local_id(row["enrollment_id"])]
            gone = "deleted" in (course.state, sections[row["course_section_id"]])
            wanted = {
                "course_id": course.id,
                "course_section_id": shown(row["course_section_id"]),
                "user_id": shown(row["user_id"]),
                "type": row["type"],
                "enrollment_state": "deleted" if gone else row["workflow_state"],
                "associated_user_id": shown(row["associated_user_id"]),
                "limit_privileges_to_course_section": row["limit_privileges_to_course_section"],
                "created_at": row["created_at"],
                "updated_at": row["updated_at"],
            }
            assert {name: enrollment[name] for name in wanted} == wanted
            assert enrollment["user"]["name"] == row["user_name"]
            assert ("grades" in enrollment) == row["type"].startswith("Student")
            grades.add("grades" in enrollment)
            compared += 1
        if rows:
            gid = rows[0]["enrollment_id"]
            single = old.get(f"/accounts/self/enrollments/{gid}").json()
            assert single == found[local_id(gid)]
    assert compared == len(world_tables(old.world)["enrollments"])
    assert grades == {True, False}


def test_filters_of_enrollments(old: Institution) -> None:
    """Without states, active and invited ones. Test students are in it unless types are given."""
    test_students = 0
    for course in old.world.courses:
        rows = rows_of(old, "enrollments", course_id=course.gid)
        path = f"/courses/{course.id}/enrollments"
        current = {
            local_id(row["enrollment_id"]): row["type"]
            for row in rows
            if row["workflow_state"] in ("active", "invited")
        }
        assert {row["id"] for row in old.rows(path)} == set(current)
        students = {key for key, kind in current.items() if kind == "StudentEnrollment"}
        assert {row["id"] for row in old.rows(path, type=["StudentEnrollment"])} == students
        test_students += "StudentViewEnrollment" in current.values()
    assert test_students


def test_groups_and_memberships(old: Institution) -> None:
    """Those that are not deleted, and not rejected."""
    compared, gone = 0, 0
    contexts = [
        *(old.client().get_course(row.id) for row in old.world.courses if row.state != "deleted"),
        old.client().get_account(1),
    ]
    for context in contexts:
        kind = type(context).__name__
        gid = old.world.global_id(context.id)
        rows = rows_of(old, "groups", context_type=kind, context_id=gid)
        found = {group.id: group for group in context.get_groups(collaboration_state="all")}
        for row in rows:
            group_id = local_id(row["group_id"])
            if row["workflow_state"] == "deleted":
                gone += 1
                with pytest.raises(ResourceDoesNotExist):
                    old.client().get_group(group_id)
                assert old.get(f"/groups/{group_id}/memberships").status_code == 404
                continue
            group = found.pop(group_id)
            wanted = {
                "name": row["group_name"],
                "context_type": kind,
                "group_category_id": local_id(row["group_category_id"]),
                "max_membership": row["max_membership"],
            }
            has(group, wanted)
            has(old.client().get_group(group_id), wanted)
            members = [
                (local_id(of["group_membership_id"]), shown(of["user_id"]), of["workflow_state"])
                for of in rows_of(old, "memberships", group_id=row["group_id"])
                if of["workflow_state"] not in ("deleted", "rejected")
            ]
            assert members == [
                (of.id, of.user_id, of.workflow_state) for of in group.get_memberships()
            ]
            compared += len(members)
        assert not found
    assert compared
    assert gone


def test_users(old: Institution) -> None:
    """Those with a login; deleted ones on request."""
    tables = world_tables(old.world)["users"]
    without_login = {
        row["user_id"] for row in rows_of(old, "enrollments", type="StudentViewEnrollment")
    }
    account = old.client().get_account(1)
    everybody = {user.id: user for user in account.get_users(include_deleted_users=True)}
    assert set(everybody) == {shown(gid) for gid in tables if gid not in without_login}
    assert any(key > SHARD_SIZE for key in everybody)
    for gid, row in tables.items():
        if gid in without_login:
            continue
        user = everybody[shown(gid)]
        has(
            user,
            {
                "name": row["name"],
                "short_name": row["short_name"],
                "created_at": row["created_at"],
                "login_id": row["user_login"],
                "sis_user_id": row["user_sis_id"],
            },
        )
    found = [user.id for user in account.get_users(sort="id")]
    assert found == [
        shown(gid)
        for gid, row in sorted(tables.items(), key=lambda item: int(item[0]))
        if gid not in without_login and row["workflow_state"] != "deleted"
    ]
    assert len(found) < len(everybody)
    assert old.client().get_user(found[0]).id == found[0]


def test_ids_in_paths(old: Institution) -> None:
    """Local, global, and with the shard."""
    course = old.largest_course()
    for text in (course.gid, str(course.id), f"2107~{course.id}"):
        assert old.get(f"/courses/{text}").json()["id"] == course.id
    for text in ("0", "x", "1~2~3", "-1", f"2108~{course.id}"):
        assert old.get(f"/courses/{text}").status_code == 404
    assert old.get("/nothing").status_code == 404


def test_what_only_the_root_account_has(old: Institution) -> None:
    """A single enrollment and the terms are not found below another account."""
    gid = old.world.enrollments[0].gid
    assert old.get("/accounts/self").json()["id"] == 1
    for account, status in (("self", 200), ("1", 200), (str(old.world.accounts[1].id), 404)):
        assert old.get(f"/accounts/{account}/enrollments/{gid}").status_code == status
        assert old.get(f"/accounts/{account}/terms").status_code == status
    assert old.get("/accounts/self/enrollments/1").status_code == 404


def test_tags_are_listed_on_request(institution: Institution) -> None:
    """By default a list has collaborative groups only."""
    category = next(
        row for row in institution.world.categories if row.context in institution.world.courses
    )
    path = f"/courses/{category.context.id}/groups"
    before = institution.rows(path)
    category.collaborative = False
    assert institution.rows(path, collaboration_state="all") != institution.rows(path)
    assert len(institution.rows(path, collaboration_state="all")) == len(before)
    tags = institution.rows(path, collaboration_state="non_collaborative")
    assert len(tags) == len(category.groups)
