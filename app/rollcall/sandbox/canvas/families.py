"""Fields of Canvas's events: the entity of each id, the required fields, the values of each state.

They come from Canvas's documentation and source, not from Rollcall's schemas. So the generated
traffic tests the schemas.
"""

from __future__ import annotations

from collections.abc import Mapping

from rollcall.sandbox.canvas.activity import ACTIVITY
from rollcall.sandbox.canvas.content import CONTENT
from rollcall.sandbox.canvas.coursework import COURSEWORK
from rollcall.sandbox.canvas.fields import (
    FLAG,
    OPTIONAL_COUNT,
    OPTIONAL_FLAG,
    OPTIONAL_FOREIGN,
    OPTIONAL_TIME,
    TIME,
    Field,
    FieldKind,
    identity,
    text,
    word,
)
from rollcall.sandbox.canvas.outcomes import OUTCOMES

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
    **ACTIVITY,
    **CONTENT,
    **COURSEWORK,
    **OUTCOMES,
    "enrollment": {
        "enrollment_id": identity("enrollment"),
        "course_id": identity("course"),
        "course_section_id": identity("section"),
        "user_id": identity("user"),
        "user_name": text("name"),
        "type": word(
            "StudentEnrollment",
            "TeacherEnrollment",
            "TaEnrollment",
            "DesignerEnrollment",
            "ObserverEnrollment",
            "StudentViewEnrollment",
        ),
        "workflow_state": word(*_ENROLLMENT_STATES),
        "limit_privileges_to_course_section": FLAG,
        "created_at": TIME,
        "updated_at": TIME,
        "associated_user_id": identity("user", required=False),
        "course_uuid": text("token", required=False),
        "user_uuid": text("token", required=False),
    },
    "enrollment_state": {
        "enrollment_id": identity("enrollment"),
        "state": word(*_ENROLLMENT_STATES, "pending_invited", "pending_active", required=False),
        "state_is_current": FLAG,
        "access_is_current": FLAG,
        "restricted_access": OPTIONAL_FLAG,
        "state_started_at": OPTIONAL_TIME,
        "state_valid_until": OPTIONAL_TIME,
    },
    "group_category": {
        "group_category_id": identity("group_category"),
        "group_category_name": text("title", required=False),
        "context_id": identity("course", local=True, required=False),
        "context_type": word("Course", "Account", required=False),
        "group_limit": OPTIONAL_COUNT,
    },
    "group": {
        "group_id": identity("group"),
        "group_name": text("title", required=False),
        "uuid": text("token"),
        "context_type": word("Course", "Account"),
        "context_id": identity("course"),
        "account_id": identity("account"),
        "workflow_state": word("available", "deleted"),
        "group_category_id": identity("group_category", required=False),
        "group_category_name": text("title", required=False),
        "max_membership": OPTIONAL_COUNT,
    },
    "group_membership": {
        "group_membership_id": identity("group_membership"),
        "group_id": identity("group"),
        "user_id": identity("user"),
        "group_name": text("title", required=False),
        "workflow_state": word("accepted", "invited", "requested", "rejected", "deleted"),
        "group_category_id": identity("group_category", required=False),
        "group_category_name": text("title", required=False),
    },
    "account": {
        "account_id": identity("account", local=True, number=True),
        "root_account_id": Field(FieldKind.ID_OR_ZERO, "root_account", local=True, number=True),
        "name": text("title", required=False),
        "workflow_state": word("active", "deleted"),
        "parent_account_id": identity("account", required=False, local=True, number=True),
        "root_account_uuid": text("token", required=False),
        "external_status": text("status", required=False),
        "domain": text("host", required=False),
        "default_time_zone": text("zone", required=False),
        "default_locale": text("locale", required=False),
    },
    "account_notification": {
        "account_notification_id": identity("account_notification"),
        "subject": text("title"),
        "message": text("html"),
        "icon": text("icon", required=False),
        "start_at": TIME,
        "end_at": TIME,
    },
    "user": {
        "user_id": identity("user"),
        "uuid": text("token", required=False),
        "name": text("name", required=False),
        "short_name": text("name", required=False),
        "workflow_state": word(
            "pre_registered", "registered", "deleted", "creation_pending", "pending_approval"
        ),
        "created_at": TIME,
        "updated_at": TIME,
        "user_login": text("login", required=False),
        "user_sis_id": OPTIONAL_FOREIGN,
    },
    "user_account_association": {
        "user_id": identity("user"),
        "account_id": identity("account"),
        "account_uuid": text("token", required=False),
        "created_at": TIME,
        "updated_at": TIME,
        "is_admin": FLAG,
    },
    "course": {
        "course_id": identity("course"),
        "uuid": text("token", required=False),
        "account_id": identity("account"),
        "name": text("title", required=False),
        "created_at": TIME,
        "updated_at": TIME,
        "workflow_state": word("created", "claimed", "available", "completed", "deleted"),
        "account_uuid": text("token", required=False),
    },
    "course_section": {
        "course_section_id": identity("section", local=True),
        "course_id": identity("course", local=True),
        "root_account_id": identity("root_account", local=True),
        "name": text("title"),
        "workflow_state": word("active", "deleted"),
        "nonxlist_course_id": identity("course", required=False, local=True),
        "enrollment_term_id": identity("term", required=False, local=True),
        "sis_source_id": OPTIONAL_FOREIGN,
        "integration_id": OPTIONAL_FOREIGN,
        "sis_batch_id": OPTIONAL_FOREIGN,
        "default_section": OPTIONAL_FLAG,
        "accepting_enrollments": OPTIONAL_FLAG,
        "restrict_enrollments_to_section_dates": OPTIONAL_FLAG,
        "can_manually_enroll": Field(FieldKind.NULL, required=False),
        "start_at": OPTIONAL_TIME,
        "end_at": OPTIONAL_TIME,
        "stuck_sis_fields": Field(
            FieldKind.WORDS, words=("name", "start_at", "end_at", "course_id"), required=False
        ),
    },
}
"""Fields of bodies by :func:`body_name`. An event type without a body here keeps the values of its
schema's example.
"""

METADATA: Mapping[str, Field] = {
    "client_ip": text("address", required=False),
    "context_account_id": identity("account", required=False),
    "context_id": identity("course", required=False),
    "context_role": text("role", required=False),
    "context_sis_source_id": OPTIONAL_FOREIGN,
    "developer_key_id": identity("developer_key", required=False, local=True),
    "job_id": OPTIONAL_FOREIGN,
    "real_user_id": identity("user", required=False),
    "referrer": text("url", required=False),
    "request_id": text("request", required=False),
    "root_account_id": identity("root_account", required=False),
    "session_id": text("session", required=False),
    "time_zone": text("zone", required=False),
    "url": text("url", required=False),
    "user_agent": text("agent", required=False),
    "user_id": identity("user", required=False),
    "user_login": text("login", required=False),
    "user_sis_id": OPTIONAL_FOREIGN,
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


_OTHER_BODIES = {
    "attachment_deleted": "attachment",
    "blueprint_subscription_deleted": "blueprint_subscription",
    "conversation_forwarded": "conversation",
    "content_migration_completed": "content_migration",
    "course_completed": "course_progress",
    "discussion_entry_deleted": "discussion_entry",
    "discussion_entry_submitted": "discussion_entry",
    "master_migration_completed": "master_migration",
    "plagiarism_resubmit": "submission",
    "wiki_page_deleted": "wiki_page",
}


def body_name(event_name: str) -> str:
    """Name of the body of an event_name in :data:`BODIES`. Several events may share a body."""
    stem = event_name.removesuffix("_created").removesuffix("_updated")
    return _OTHER_BODIES.get(event_name, stem)
