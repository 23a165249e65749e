"""Fields of Canvas's events: the entity of each id, the required fields, the values of each state.

They come from Canvas's documentation and source, not from Rollcall's schemas. So the generated
traffic tests the schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """Type of a field's values."""

    ID = auto()
    ID_OR_ZERO = auto()
    TIME = auto()
    WORD = auto()
    """One of a few fixed texts, never empty."""
    TEXT = auto()
    FLAG = auto()
    COUNT = auto()
    FOREIGN = auto()
    """An identifier from another system: any text or number."""
    WORDS = auto()
    """A list of texts."""
    NULL = auto()
    """Always null."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a body or of the metadata."""

    kind: Kind
    pool: str = ""
    """Pool of the field's values in app/rollcall/sandbox/canvas/pools.py: the entity of an id, or
    the sort of text (``name``, ``token``, ``login``, …).
    """
    words: tuple[str, ...] = ()
    required: bool = True
    """False: the field may be missing or null."""
    local: bool = False
    """Canvas writes this id without its shard."""
    number: bool = False
    """Canvas writes this id as a JSON integer."""


def _id(pool: str, *, required: bool = True, local: bool = False, number: bool = False) -> Field:
    return Field(Kind.ID, pool, required=required, local=local, number=number)


def _word(*words: str) -> Field:
    return Field(Kind.WORD, words=words)


def _text(pool: str, *, required: bool = True) -> Field:
    return Field(Kind.TEXT, pool, required=required)


_TIME = Field(Kind.TIME)
_OPTIONAL_TIME = Field(Kind.TIME, required=False)
_FLAG = Field(Kind.FLAG)
_OPTIONAL_FLAG = Field(Kind.FLAG, required=False)
_OPTIONAL_COUNT = Field(Kind.COUNT, required=False)
_OPTIONAL_FOREIGN = Field(Kind.FOREIGN, required=False)
_CONTEXT_TYPE = _word("Course", "Account")

_ENROLLMENT_STATES = (
    "active",
    "invited",
    "creation_pending",
    "inactive",
    "completed",
    "rejected",
    "deleted",
)

BODIES: Mapping[str, Mapping[str, Field]] = {
    "enrollment": {
        "enrollment_id": _id("enrollment"),
        "course_id": _id("course"),
        "course_section_id": _id("section"),
        "user_id": _id("user"),
        "user_name": _text("name"),
        "type": _word(
            "StudentEnrollment",
            "TeacherEnrollment",
            "TaEnrollment",
            "DesignerEnrollment",
            "ObserverEnrollment",
            "StudentViewEnrollment",
        ),
        "workflow_state": _word(*_ENROLLMENT_STATES),
        "limit_privileges_to_course_section": _FLAG,
        "created_at": _TIME,
        "updated_at": _TIME,
        "associated_user_id": _id("user", required=False),
        "course_uuid": _text("token", required=False),
        "user_uuid": _text("token", required=False),
    },
    "enrollment_state": {
        "enrollment_id": _id("enrollment"),
        "state": _word(*_ENROLLMENT_STATES, "pending_invited", "pending_active"),
        "state_is_current": _FLAG,
        "access_is_current": _FLAG,
        "restricted_access": _FLAG,
        "state_started_at": _OPTIONAL_TIME,
        "state_valid_until": _OPTIONAL_TIME,
    },
    "group_category": {
        "group_category_id": _id("group_category"),
        "group_category_name": _text("title"),
        "context_id": _id("course", local=True),
        "context_type": _CONTEXT_TYPE,
        "group_limit": _OPTIONAL_COUNT,
    },
    "group": {
        "group_id": _id("group"),
        "group_name": _text("title"),
        "uuid": _text("token"),
        "context_type": _CONTEXT_TYPE,
        "context_id": _id("course"),
        "account_id": _id("account"),
        "workflow_state": _word("available", "deleted"),
        "group_category_id": _id("group_category", required=False),
        "group_category_name": _text("title", required=False),
        "max_membership": _OPTIONAL_COUNT,
    },
    "group_membership": {
        "group_membership_id": _id("group_membership"),
        "group_id": _id("group"),
        "user_id": _id("user"),
        "group_name": _text("title"),
        "workflow_state": _word("accepted", "invited", "requested", "rejected", "deleted"),
        "group_category_id": _id("group_category", required=False),
        "group_category_name": _text("title", required=False),
    },
    "account": {
        "account_id": _id("account", local=True, number=True),
        "root_account_id": Field(Kind.ID_OR_ZERO, "root_account", local=True, number=True),
        "name": _text("title"),
        "workflow_state": _word("active", "deleted"),
        "parent_account_id": _id("account", required=False, local=True, number=True),
        "root_account_uuid": _text("token", required=False),
        "external_status": _text("status", required=False),
        "domain": _text("host", required=False),
        "default_time_zone": _text("zone", required=False),
        "default_locale": _text("locale", required=False),
    },
    "account_notification": {
        "account_notification_id": _id("account_notification"),
        "subject": _text("title"),
        "message": _text("html"),
        "icon": _text("icon", required=False),
        "start_at": _TIME,
        "end_at": _TIME,
    },
    "user": {
        "user_id": _id("user"),
        "uuid": _text("token"),
        "name": _text("name"),
        "short_name": _text("name"),
        "workflow_state": _word(
            "pre_registered", "registered", "deleted", "creation_pending", "pending_approval"
        ),
        "created_at": _TIME,
        "updated_at": _TIME,
        "user_login": _text("login", required=False),
        "user_sis_id": _OPTIONAL_FOREIGN,
    },
    "user_account_association": {
        "user_id": _id("user"),
        "account_id": _id("account"),
        "account_uuid": _text("token"),
        "created_at": _TIME,
        "updated_at": _TIME,
        "is_admin": _FLAG,
    },
    "course": {
        "course_id": _id("course"),
        "uuid": _text("token"),
        "account_id": _id("account"),
        "name": _text("title"),
        "created_at": _TIME,
        "updated_at": _TIME,
        "workflow_state": _word("created", "claimed", "available", "completed", "deleted"),
        "account_uuid": _text("token", required=False),
    },
    "course_section": {
        "course_section_id": _id("section", local=True),
        "course_id": _id("course", local=True),
        "root_account_id": _id("root_account", local=True),
        "name": _text("title"),
        "workflow_state": _word("active", "deleted"),
        "nonxlist_course_id": _id("course", required=False, local=True),
        "enrollment_term_id": _id("term", required=False, local=True),
        "sis_source_id": _OPTIONAL_FOREIGN,
        "integration_id": _OPTIONAL_FOREIGN,
        "sis_batch_id": _OPTIONAL_FOREIGN,
        "default_section": _OPTIONAL_FLAG,
        "accepting_enrollments": _OPTIONAL_FLAG,
        "restrict_enrollments_to_section_dates": _OPTIONAL_FLAG,
        "can_manually_enroll": Field(Kind.NULL, required=False),
        "start_at": _OPTIONAL_TIME,
        "end_at": _OPTIONAL_TIME,
        "stuck_sis_fields": Field(
            Kind.WORDS, words=("name", "start_at", "end_at", "course_id"), required=False
        ),
    },
}
"""Fields of bodies by event family: the event_name without ``_created`` or ``_updated``."""

METADATA: Mapping[str, Field] = {
    "client_ip": _text("address", required=False),
    "context_account_id": _id("account", required=False),
    "context_id": _id("course", required=False),
    "context_role": _text("role", required=False),
    "context_sis_source_id": _OPTIONAL_FOREIGN,
    "developer_key_id": _id("developer_key", required=False, local=True),
    "job_id": _OPTIONAL_FOREIGN,
    "real_user_id": _id("user", required=False),
    "referrer": _text("url", required=False),
    "request_id": _text("request", required=False),
    "root_account_id": _id("root_account", required=False),
    "session_id": _text("session", required=False),
    "time_zone": _text("zone", required=False),
    "url": _text("url", required=False),
    "user_agent": _text("agent", required=False),
    "user_id": _id("user", required=False),
    "user_login": _text("login", required=False),
    "user_sis_id": _OPTIONAL_FOREIGN,
}
"""Metadata fields that differ between events. Only event_name and event_time are always present."""

UNKNOWN_NAMES = (
    "account_deleted",
    "course_deleted",
    "enrollment_deleted",
    "Enrollment_created",
    "enrollment_created ",
    "outcomes_retry_outcome_alignment_clone",
    "quiz_caliper.quiz_started",
    "quiz_created",
    "quizzes-lti.grade_changed",
    "quizzes.item_created",
    "quizzes.quiz_session_submitted",
    "курс_создан",
    "x" * 255,
)
"""Event names without a schema: Canvas's own, those of other producers on the same queue, and names
that only resemble known ones.
"""


def family_of(event_name: str) -> str:
    """The family of an event_name: the type of entity that the event is about."""
    return event_name.removesuffix("_created").removesuffix("_updated")
