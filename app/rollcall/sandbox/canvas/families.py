"""What the fields of Canvas's events are: which entity an id is of, which fields are always there,
which values a state takes.

Written down from Canvas's documentation and source, and not read from the schemas, so that traffic
made from it can judge them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What a field holds."""

    ID = auto()
    ID_OR_ZERO = auto()
    TIME = auto()
    WORD = auto()
    """One of a few words, never empty."""
    TEXT = auto()
    FLAG = auto()
    COUNT = auto()
    FOREIGN = auto()
    """An identifier of another system: any text or number."""
    WORDS = auto()
    """A list of texts."""
    NOTHING = auto()
    """Always null."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a body or of the metadata."""

    kind: Kind
    of: str = ""
    """The entity of an id, or what a text is: ``name``, ``token``, ``login``, … (see
    app/rollcall/sandbox/canvas/pools.py).
    """
    words: tuple[str, ...] = ()
    always: bool = True
    """False: it may be missing or null."""
    local: bool = False
    """Canvas writes this id without its shard."""
    number: bool = False
    """Canvas writes this id as a JSON integer."""


def _id(of: str, *, always: bool = True, local: bool = False, number: bool = False) -> Field:
    return Field(Kind.ID, of, always=always, local=local, number=number)


def _word(*words: str) -> Field:
    return Field(Kind.WORD, words=words)


def _text(of: str, *, always: bool = True) -> Field:
    return Field(Kind.TEXT, of, always=always)


_TIME = Field(Kind.TIME)
_TIME_IF_ANY = Field(Kind.TIME, always=False)
_FLAG = Field(Kind.FLAG)
_FLAG_IF_ANY = Field(Kind.FLAG, always=False)
_COUNT_IF_ANY = Field(Kind.COUNT, always=False)
_FOREIGN_IF_ANY = Field(Kind.FOREIGN, always=False)
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
        "associated_user_id": _id("user", always=False),
        "course_uuid": _text("token", always=False),
        "user_uuid": _text("token", always=False),
    },
    "enrollment_state": {
        "enrollment_id": _id("enrollment"),
        "state": _word(*_ENROLLMENT_STATES, "pending_invited", "pending_active"),
        "state_is_current": _FLAG,
        "access_is_current": _FLAG,
        "restricted_access": _FLAG,
        "state_started_at": _TIME_IF_ANY,
        "state_valid_until": _TIME_IF_ANY,
    },
    "group_category": {
        "group_category_id": _id("group_category"),
        "group_category_name": _text("title"),
        "context_id": _id("course", local=True),
        "context_type": _CONTEXT_TYPE,
        "group_limit": _COUNT_IF_ANY,
    },
    "group": {
        "group_id": _id("group"),
        "group_name": _text("title"),
        "uuid": _text("token"),
        "context_type": _CONTEXT_TYPE,
        "context_id": _id("course"),
        "account_id": _id("account"),
        "workflow_state": _word("available", "deleted"),
        "group_category_id": _id("group_category", always=False),
        "group_category_name": _text("title", always=False),
        "max_membership": _COUNT_IF_ANY,
    },
    "group_membership": {
        "group_membership_id": _id("group_membership"),
        "group_id": _id("group"),
        "user_id": _id("user"),
        "group_name": _text("title"),
        "workflow_state": _word("accepted", "invited", "requested", "rejected", "deleted"),
        "group_category_id": _id("group_category", always=False),
        "group_category_name": _text("title", always=False),
    },
    "account": {
        "account_id": _id("account", local=True, number=True),
        "root_account_id": Field(Kind.ID_OR_ZERO, "root_account", local=True, number=True),
        "name": _text("title"),
        "workflow_state": _word("active", "deleted"),
        "parent_account_id": _id("account", always=False, local=True, number=True),
        "root_account_uuid": _text("token", always=False),
        "external_status": _text("status", always=False),
        "domain": _text("host", always=False),
        "default_time_zone": _text("zone", always=False),
        "default_locale": _text("locale", always=False),
    },
    "account_notification": {
        "account_notification_id": _id("account_notification"),
        "subject": _text("title"),
        "message": _text("html"),
        "icon": _text("icon", always=False),
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
        "user_login": _text("login", always=False),
        "user_sis_id": _FOREIGN_IF_ANY,
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
        "account_uuid": _text("token", always=False),
    },
    "course_section": {
        "course_section_id": _id("section", local=True),
        "course_id": _id("course", local=True),
        "root_account_id": _id("root_account", local=True),
        "name": _text("title"),
        "workflow_state": _word("active", "deleted"),
        "nonxlist_course_id": _id("course", always=False, local=True),
        "enrollment_term_id": _id("term", always=False, local=True),
        "sis_source_id": _FOREIGN_IF_ANY,
        "integration_id": _FOREIGN_IF_ANY,
        "sis_batch_id": _FOREIGN_IF_ANY,
        "default_section": _FLAG_IF_ANY,
        "accepting_enrollments": _FLAG_IF_ANY,
        "restrict_enrollments_to_section_dates": _FLAG_IF_ANY,
        "can_manually_enroll": Field(Kind.NOTHING, always=False),
        "start_at": _TIME_IF_ANY,
        "end_at": _TIME_IF_ANY,
        "stuck_sis_fields": Field(
            Kind.WORDS, words=("name", "start_at", "end_at", "course_id"), always=False
        ),
    },
}
"""The fields of bodies, by family of events: what stands before ``_created`` and ``_updated``."""

METADATA: Mapping[str, Field] = {
    "client_ip": _text("address", always=False),
    "context_account_id": _id("account", always=False),
    "context_id": _id("course", always=False),
    "context_role": _text("role", always=False),
    "context_sis_source_id": _FOREIGN_IF_ANY,
    "developer_key_id": _id("developer_key", always=False, local=True),
    "job_id": _FOREIGN_IF_ANY,
    "real_user_id": _id("user", always=False),
    "referrer": _text("url", always=False),
    "request_id": _text("request", always=False),
    "root_account_id": _id("root_account", always=False),
    "session_id": _text("session", always=False),
    "time_zone": _text("zone", always=False),
    "url": _text("url", always=False),
    "user_agent": _text("agent", always=False),
    "user_id": _id("user", always=False),
    "user_login": _text("login", always=False),
    "user_sis_id": _FOREIGN_IF_ANY,
}
"""Fields of the metadata that differ from event to event. Only the event's name and time are always
there.
"""

UNKNOWN_NAMES = (
    "account_deleted",
    "asset_accessed",
    "assignment_created",
    "assignment_group_updated",
    "attachment_created",
    "content_migration_completed",
    "conversation_message_created",
    "course_completed",
    "course_progress",
    "discussion_entry_created",
    "enrollment_deleted",
    "Enrollment_created",
    "enrollment_created ",
    "grade_change",
    "grade_override",
    "learning_outcome_result_created",
    "logged_in",
    "logged_out",
    "module_item_updated",
    "outcomes.retry_outcome_alignment_clone",
    "quiz_submitted",
    "quizzes-lti.grade_changed",
    "quizzes.item_created",
    "submission_comment_created",
    "submission_updated",
    "syllabus_updated",
    "wiki_page_created",
    "курс_создан",
    "x" * 255,
)
"""Names without a schema: Canvas's own, of other producers on the same queue, and some that only
look familiar.
"""


def family_of(event_name: str) -> str:
    """The family of an event_name: the entity that it tells of."""
    return event_name.removesuffix("_created").removesuffix("_updated")
