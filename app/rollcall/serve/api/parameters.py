"""Parameters of the API: models for FastAPI and the OpenAPI document. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from rollcall.serve.api.errors import ApiError
from rollcall.serve.api.paging import MOST_PER_PAGE, Page

MOST_VALUES = 100
"""Limit of values of one parameter."""

_MOST_PAGE = 10_000_000


class EnrollmentType(StrEnum):
    """Of enrollments; the last one is the test student."""

    STUDENT = "StudentEnrollment"
    TEACHER = "TeacherEnrollment"
    TA = "TaEnrollment"
    DESIGNER = "DesignerEnrollment"
    OBSERVER = "ObserverEnrollment"
    TEST_STUDENT = "StudentViewEnrollment"


class EnrollmentState(StrEnum):
    """Of enrollments. The last six are of the state that an enrollment comes to by dates, and only
    of a user's enrollments.
    """

    ACTIVE = "active"
    INVITED = "invited"
    CREATION_PENDING = "creation_pending"
    DELETED = "deleted"
    REJECTED = "rejected"
    COMPLETED = "completed"
    INACTIVE = "inactive"
    PENDING_ACTIVE = "pending_active"
    PENDING_INVITED = "pending_invited"
    CURRENT_AND_INVITED = "current_and_invited"
    CURRENT_AND_FUTURE = "current_and_future"
    CURRENT_FUTURE_AND_RESTRICTED = "current_future_and_restricted"
    CURRENT_AND_CONCLUDED = "current_and_concluded"


_STATE = EnrollmentState
BY_DATES: dict[EnrollmentState, tuple[str, ...]] = {
    _STATE.PENDING_ACTIVE: ("pending_active",),
    _STATE.PENDING_INVITED: ("pending_invited",),
    _STATE.CURRENT_AND_INVITED: ("active", "invited"),
    _STATE.CURRENT_AND_FUTURE: (
        "active",
        "invited",
        "creation_pending",
        "pending_active",
        "pending_invited",
    ),
    _STATE.CURRENT_FUTURE_AND_RESTRICTED: (
        "active",
        "invited",
        "creation_pending",
        "pending_active",
        "pending_invited",
        "inactive",
    ),
    _STATE.CURRENT_AND_CONCLUDED: ("active", "completed"),
}
"""Synthetic states, and the states that each stands for (canvas-lms,
``EnrollmentsApiController#enrollment_states_for_state_param``).
"""

DEFAULT_STATES = (_STATE.ACTIVE, _STATE.INVITED)


class UserKind(StrEnum):
    """Canvas's short names of enrollment types, in questions about users."""

    TEACHER = "teacher"
    STUDENT = "student"
    STUDENT_VIEW = "student_view"
    TA = "ta"
    OBSERVER = "observer"
    DESIGNER = "designer"


TYPE_OF_KIND: dict[UserKind, EnrollmentType] = {
    UserKind.TEACHER: EnrollmentType.TEACHER,
    UserKind.STUDENT: EnrollmentType.STUDENT,
    UserKind.STUDENT_VIEW: EnrollmentType.TEST_STUDENT,
    UserKind.TA: EnrollmentType.TA,
    UserKind.OBSERVER: EnrollmentType.OBSERVER,
    UserKind.DESIGNER: EnrollmentType.DESIGNER,
}


class UserState(StrEnum):
    """Of the enrollments of users."""

    ACTIVE = "active"
    INVITED = "invited"
    REJECTED = "rejected"
    COMPLETED = "completed"
    INACTIVE = "inactive"


class MembershipState(StrEnum):
    """Of memberships."""

    ACCEPTED = "accepted"
    INVITED = "invited"
    REQUESTED = "requested"
    REJECTED = "rejected"
    DELETED = "deleted"


LISTED_MEMBERSHIPS = (
    MembershipState.ACCEPTED,
    MembershipState.INVITED,
    MembershipState.REQUESTED,
)
"""What Canvas lists (canvas-lms, ``GroupMembershipsController::ALLOWED_MEMBERSHIP_FILTER``)."""


class Query(BaseModel):
    """Any query. Parameters that Canvas does not know are ignored, as in Canvas."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class ListQuery(Query):
    """A query for a list."""

    page: Annotated[int, Field(ge=1, le=_MOST_PAGE, description="Which page, from 1.")] = 1
    per_page: Annotated[
        int,
        Field(
            ge=1, description=f"How many on a page; more than {MOST_PER_PAGE} are {MOST_PER_PAGE}."
        ),
    ] = 10

    @field_validator("page", "per_page", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        # pydantic accepts 1_0 and 1.0 as whole numbers, too.
        if isinstance(value, str) and not (value.isascii() and value.isdigit()):
            raise PydanticCustomError("whole_number", "must be a whole number from 1")
        return value

    @field_validator("per_page")
    @classmethod
    def _at_most(cls, value: int) -> int:
        return min(value, MOST_PER_PAGE)

    def which(self) -> Page:
        """The page."""
        return Page(self.page, self.per_page)


HISTORY = "rollcall_history"
"""Value of ``include[]``, and name of the field."""


def _values(alias: str, description: str) -> Any:
    return Field(default=[], alias=alias, max_length=MOST_VALUES, description=description)


def _include(*names: str, more: str = "") -> Any:
    listed = ", ".join(f"`{name}`" for name in (*names, HISTORY))
    return _values("include[]", f"Also {listed}{more}. Others are passed over.")


class EnrollmentsQuery(ListQuery):
    """A query for enrollments."""

    type: list[EnrollmentType] = _values("type[]", "Of these types only. Ignored with `role[]`.")
    role: list[EnrollmentType] = _values(
        "role[]", "With these roles only. Events do not tell roles that an account has added."
    )
    state: list[EnrollmentState] = _values(
        "state[]", "In these states only; without it `active` and `invited`."
    )
    include: list[str] = _include("group_ids", "uuid", "observed_users")
    sis_user_id: list[str] = _values("sis_user_id[]", "Of users with these SIS ids only.")
    sis_section_id: list[str] = _values("sis_section_id[]", "Of sections with these SIS ids only.")

    def types(self) -> tuple[str, ...]:
        """Types of the enrollments; empty: all."""
        return tuple(sorted(set(map(str, self.role or self.type))))

    def states(self, *, of_user: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Values of Canvas's ``enrollment_state``, and states by dates. One of the two must match.

        Args:
            of_user: whether the enrollments are one user's.

        Raises:
            ApiError: a synthetic state, which Canvas takes for one user's enrollments only.
        """
        canvas_states, by_dates = set[str](), set[str]()
        for state in self.state or DEFAULT_STATES:
            if state not in BY_DATES:
                canvas_states.add(str(state))
            elif of_user:
                by_dates.update(BY_DATES[state])
            else:
                raise ApiError(
                    400,
                    f"state[]: {state} can be asked for of a user's enrollments only; give a "
                    "user_id",
                    field="state[]",
                )
        return tuple(sorted(canvas_states)), tuple(sorted(by_dates))


class ContextEnrollmentsQuery(EnrollmentsQuery):
    """A query for the enrollments of a course or section."""

    user_id: Annotated[str | None, Field(max_length=100, description="Of this user only.")] = None


class UserEnrollmentsQuery(EnrollmentsQuery):
    """A query for a user's enrollments."""

    enrollment_term_id: Annotated[
        str | None, Field(max_length=100, description="In sections of this term only.")
    ] = None


class UsersQuery(ListQuery):
    """A query for users of a course."""

    search_term: Annotated[
        str | None,
        Field(
            min_length=2, max_length=255, description="Part of a name, login or SIS id; or an id."
        ),
    ] = None
    enrollment_type: list[UserKind] = _values(
        "enrollment_type[]", "With enrollments of these types only."
    )
    enrollment_role: Annotated[
        EnrollmentType | None, Field(description="With an enrollment of this role only.")
    ] = None
    enrollment_state: list[UserState] = _values(
        "enrollment_state[]",
        "With enrollments in these states only; without it `active` and `invited`.",
    )
    user_id: Annotated[str | None, Field(max_length=100, description="This user only.")] = None
    user_ids: list[str] = _values("user_ids[]", "These users only.")
    include: list[str] = _include("enrollments", "uuid", "group_ids")

    def types(self) -> tuple[str, ...]:
        """Types of the enrollments. By default all except test students, as in Canvas."""
        if self.enrollment_role is not None:
            return (str(self.enrollment_role),)
        if self.enrollment_type:
            return tuple(sorted({str(TYPE_OF_KIND[kind]) for kind in self.enrollment_type}))
        return tuple(
            str(kind) for kind in EnrollmentType if kind is not EnrollmentType.TEST_STUDENT
        )

    def states(self) -> tuple[str, ...]:
        """States of the enrollments."""
        return tuple(sorted(set(map(str, self.enrollment_state or DEFAULT_STATES))))


class CourseQuery(Query):
    """A query for a course."""

    include: list[str] = _include(
        "total_students", "sections", more="; `all_courses`: deleted ones too"
    )


class SectionsQuery(ListQuery):
    """A query for sections."""

    search_term: Annotated[
        str | None, Field(min_length=2, max_length=255, description="Part of a name.")
    ] = None
    include: list[str] = _include("total_students", "students")


class SectionQuery(Query):
    """A query for a section."""

    include: list[str] = _include("total_students", "students")


class GroupsQuery(ListQuery):
    """A query for groups."""

    include: list[str] = _include("users")


class GroupQuery(Query):
    """A query for a group."""

    include: list[str] = _include("users")


class MembershipsQuery(ListQuery):
    """A query for memberships."""

    filter_states: list[MembershipState] = _values(
        "filter_states[]",
        "In these states only; without it `accepted`, `invited` and `requested`.",
    )
    include: list[str] = _include()


class GroupUsersQuery(ListQuery):
    """A query for the users of a group."""

    search_term: Annotated[
        str | None,
        Field(
            min_length=2, max_length=255, description="Part of a name, login or SIS id; or an id."
        ),
    ] = None


QUERIES = (
    ContextEnrollmentsQuery,
    UserEnrollmentsQuery,
    UsersQuery,
    CourseQuery,
    SectionsQuery,
    SectionQuery,
    GroupsQuery,
    GroupQuery,
    MembershipsQuery,
    GroupUsersQuery,
)
"""All query models of calls."""
