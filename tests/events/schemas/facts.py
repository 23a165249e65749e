"""The facts of Canvas's bodies: each field of each event, from the documents and the code of
Canvas, not from the schemas. The oracle of the schemas' tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Fact(NamedTuple):
    """A field of a body."""

    kind: str
    """``id``, ``id_or_empty``, ``foreign`` (an opaque identifier), ``text``, ``word``, ``time``,
    ``day``, ``flag``, ``count``, ``number``, ``object``, or a list: ``ids``, ``foreign_ids``,
    ``texts``, ``objects``. ``any``: not known.
    """
    always: bool
    """Whether it is in every body, and never null."""


_FACTS = """
account_created account_updated
    account_id:id root_account_id:id root_account_uuid:text? parent_account_id:id? name:text?
    external_status:word? workflow_state:word domain:text? default_time_zone:text?
    default_locale:text?
account_notification_created
    account_notification_id:id subject:text message:text icon:word? start_at:time end_at:time
user_created user_updated
    user_id:id uuid:text? name:text? short_name:text? workflow_state:word created_at:time
    updated_at:time user_login:text? user_sis_id:foreign?
user_account_association_created
    user_id:id account_id:id account_uuid:text? created_at:time updated_at:time is_admin:flag
course_created course_updated
    course_id:id uuid:text? account_id:id account_uuid:text? name:text? created_at:time
    updated_at:time workflow_state:word
course_section_created course_section_updated
    course_section_id:id course_id:id root_account_id:id name:text workflow_state:word
    nonxlist_course_id:id? enrollment_term_id:id? sis_source_id:foreign? sis_batch_id:foreign?
    integration_id:foreign? default_section:flag? accepting_enrollments:flag?
    can_manually_enroll:flag? restrict_enrollments_to_section_dates:flag? start_at:time?
    end_at:time? stuck_sis_fields:texts?
syllabus_updated
    course_id:id syllabus_body:text? old_syllabus_body:text?
course_progress course_completed
    course:object user:object progress:object
enrollment_created enrollment_updated
    enrollment_id:id course_id:id course_section_id:id user_id:id course_uuid:text? user_uuid:text?
    user_name:text type:word workflow_state:word limit_privileges_to_course_section:flag
    created_at:time updated_at:time associated_user_id:id?
enrollment_state_created enrollment_state_updated
    enrollment_id:id state:word? state_is_current:flag access_is_current:flag
    restricted_access:flag? state_started_at:time? state_valid_until:time?
    state_invalidated_at:any? state_recalculated_at:any? access_invalidated_at:any?
    access_recalculated_at:any?
group_category_created group_category_updated
    group_category_id:id group_category_name:text? context_id:id? context_type:word?
    group_limit:count?
group_created group_updated
    group_id:id group_name:text? uuid:text context_id:id context_type:word account_id:id
    workflow_state:word group_category_id:id? group_category_name:text? max_membership:count?
group_membership_created group_membership_updated
    group_membership_id:id group_id:id user_id:id group_name:text? group_category_id:id?
    group_category_name:text? workflow_state:word
assignment_created assignment_updated
    assignment_id:id context_id:id context_type:word context_uuid:text? assignment_group_id:id?
    workflow_state:word title:text? description:text? due_at:time? unlock_at:time? lock_at:time?
    updated_at:time? points_possible:number? submission_types:text? created_on_blueprint_sync:flag?
    lti_assignment_id:text? lti_resource_link_id:foreign?
    lti_resource_link_id_duplicated_from:foreign? assignment_id_duplicated_from:id?
    assignment_id_duplicated__from:id? domain:text? domain_duplicated_from:text?
    anonymous_grading:flag? anonymous_participants:flag? lti_assignment_description:text?
    resource_map:any? associated_integration_id:foreign?
    associated_integration_ids:foreign_ids?
assignment_group_created assignment_group_updated
    assignment_group_id:id context_id:id context_type:word name:text? position:count?
    group_weight:number? rules:text? sis_source_id:foreign? integration_data:object?
    workflow_state:word
assignment_override_created assignment_override_updated
    assignment_override_id:id assignment_id:id? type:word course_section_id:id? group_id:id?
    due_at:time? unlock_at:time? lock_at:time? all_day:flag? all_day_date:day? workflow_state:word
submission_created submission_updated plagiarism_resubmit
    submission_id:id assignment_id:id user_id:id workflow_state:word? updated_at:time?
    submitted_at:time? graded_at:time? posted_at:time? attempt:count? submission_type:word?
    score:number? grade:text? body:text? url:text? late:flag? missing:flag? group_id:id?
    lti_assignment_id:text? lti_user_id:text? associated_integration_id:foreign?
    associated_integration_ids:foreign_ids?
submission_comment_created
    submission_comment_id:id submission_id:id? user_id:id? created_at:time attachment_ids:ids
    body:text?
grade_change
    submission_id:id assignment_id:id assignment_name:text? user_id:id student_id:id
    student_sis_id:foreign? grader_id:id? grade:text? old_grade:text? score:number?
    old_score:number? points_possible:number? old_points_possible:number? grading_complete:flag
    muted:flag
course_grade_change
    user_id:id course_id:id workflow_state:word created_at:time? updated_at:time?
    current_score:number? old_current_score:number? final_score:number? old_final_score:number?
    unposted_current_score:number? old_unposted_current_score:number? unposted_final_score:number?
    old_unposted_final_score:number?
grade_override
    score_id:id enrollment_id:id user_id:id course_id:id grading_period_id:id?
    override_score:number? old_override_score:number? updated_at:time?
final_grade_custom_status
    score_id:id enrollment_id:id user_id:id course_id:id grading_period_id:id? override_status:text
    override_status_id:id_or_empty old_override_status:text old_override_status_id:id_or_empty
    updated_at:time?
submission_custom_grade_status
    submission_id:id assignment_id:id user_id:id course_id:id submission_status:text
    submission_status_id:id_or_empty old_submission_status:text
    old_submission_status_id:id_or_empty updated_at:time?
rubric_assessed
    id:id aligned_to_outcomes:flag artifact_id:id artifact_type:word assessment_type:word
    context_uuid:text? submitted_at:time created_at:time updated_at:time attempt:count?
quiz_submitted
    submission_id:id quiz_id:id
quiz_export_complete
    content_export_id:foreign? assignment:object? qti_export:object?
quizzes_next_quiz_duplicated
    original_course_uuid:text? new_course_uuid:text? new_course_resource_link_id:foreign?
    domain:text? new_course_name:text? created_on_blueprint_sync:flag? resource_map_url:text?
    remove_alignments:flag? status:word? new_assignment_id:id? original_resource_link_id:foreign?
    new_resource_link_id:foreign? new_course_id:foreign? original_course_id:foreign?
quizzes_next_migration_urls_complete
    migrated_urls_content_migration_id:id original_course_uuid:text? new_course_uuid:text?
    domain:text? resource_map_url:text?
outcomes.retry_outcome_alignment_clone
    original_course_uuid:text? new_course_uuid:text? new_course_resource_link_id:foreign?
    domain:text? original_assignment_resource_link_id:foreign?
    new_assignment_resource_link_id:foreign? status:word?
scan_youtube_links
    scan_id:id canvas_id:id external_tool_id:id?
convert_new_quiz_youtube_link
    resource_id:foreign? resource_type:word src:text? field:text? new_html:text?
discussion_entry_created discussion_entry_submitted discussion_entry_updated \
discussion_entry_deleted
    discussion_entry_id:id discussion_topic_id:id user_id:id? created_at:time text:text?
    parent_discussion_entry_id:id? parent_discussion_entry_author_id:foreign? assignment_id:id?
    submission_id:id?
discussion_topic_created discussion_topic_updated
    discussion_topic_id:id context_id:id context_type:word workflow_state:word is_announcement:flag
    title:text? body:text? assignment_id:id? lock_at:time? updated_at:time
wiki_page_created wiki_page_updated wiki_page_deleted
    wiki_page_id:id title:text? body:text? workflow_state:word? old_title:text? old_body:text?
module_created module_updated
    module_id:id context_id:id context_type:word name:text? position:count? workflow_state:word
module_item_created module_item_updated
    module_item_id:id module_id:id? context_id:id context_type:word position:count?
    workflow_state:word
learning_outcome_created learning_outcome_updated
    learning_outcome_id:id context_id:id? context_type:word? context_uuid:text? title:text?
    short_description:text? display_name:text? description:text? vendor_guid:foreign?
    calculation_method:word? calculation_int:count? rubric_criterion:object? workflow_state:word
    copied_from_outcome_id:id? original_outcome_root_account_uuid:text? updated_at:time?
learning_outcome_group_created learning_outcome_group_updated
    learning_outcome_group_id:id context_id:id? context_type:word? context_uuid:text? title:text
    description:text? vendor_guid:foreign? parent_outcome_group_id:id?
    parent_outcome_group_context_uuid:text? workflow_state:word updated_at:time?
learning_outcome_link_created learning_outcome_link_updated
    learning_outcome_link_id:id learning_outcome_id:id? learning_outcome_context_uuid:text?
    learning_outcome_group_id:id? learning_outcome_group_context_uuid:text? context_id:id
    context_type:word workflow_state:word updated_at:time?
learning_outcome_result_created learning_outcome_result_updated
    id:id? learning_outcome_id:id? learning_outcome_context_uuid:text? result_context_id:id?
    result_context_type:word? result_context_uuid:text? user_uuid:text? mastery:flag? score:number?
    possible:number? percent:number? attempt:count? original_score:number?
    original_possible:number? original_mastery:flag? assessed_at:time? created_at:time?
    workflow_state:word? artifact_id:id? artifact_type:word? artifact_created_at:time?
    artifact_updated_at:time? associated_asset_id:id? associated_asset_type:word? title:text?
    updated_at:time?
outcome_proficiency_created outcome_proficiency_updated
    outcome_proficiency_id:id context_id:id context_type:word workflow_state:word
    outcome_proficiency_ratings:objects updated_at:time?
outcome_calculation_method_created outcome_calculation_method_updated
    outcome_calculation_method_id:id context_id:id context_type:word calculation_method:word
    calculation_int:count? workflow_state:word updated_at:time?
outcome_friendly_description_created outcome_friendly_description_updated
    outcome_friendly_description_id:id context_id:id context_type:word description:text
    workflow_state:word learning_outcome_id:id learning_outcome_context_uuid:text?
    root_account_id:id? updated_at:time?
conversation_created conversation_forwarded
    conversation_id:id updated_at:time?
conversation_message_created
    message_id:id conversation_id:id? author_id:id? created_at:time?
attachment_created attachment_updated attachment_deleted
    attachment_id:id user_id:id? context_id:id? context_type:word? folder_id:id? display_name:text?
    filename:text? content_type:text? lock_at:time? unlock_at:time? locked:flag? updated_at:time?
    old_display_name:text? associated_integration_id:foreign?
content_migration_completed
    content_migration_id:id context_id:id context_type:word context_uuid:text?
    lti_context_id:foreign? import_quizzes_next:flag source_course_lti_id:foreign?
    source_course_uuid:text? destination_course_lti_id:foreign? migration_type:word?
    resource_map_url:text? domain:text?
content_export_created
    content_export_id:id export_type:word? created_at:time context_id:id? context_type:word?
    context_uuid:text? settings:object?
lti_resource_link_created lti_resource_link_updated
    resource_link_id:id resource_link_uuid:text lookup_uuid:text context_id:id context_type:word
    context_external_tool_id:id? url:text? title:text? workflow_state:word
master_template_created
    master_template_id:id account_id:id? account_uuid:text? blueprint_course_id:id?
    blueprint_course_uuid:text? blueprint_course_title:text? blueprint_course_workflow_state:word?
    master_course_id:id? root_account_id:id?
master_migration_completed
    master_migration_id:id master_template_id:id account_id:id? account_uuid:text?
    blueprint_course_id:id? blueprint_course_uuid:text? root_account_id:id?
blueprint_subscription_created blueprint_subscription_deleted
    child_subscription_id:id master_template_id:id master_template_account_uuid:text?
    master_course_uuid:text? child_course_uuid:text? child_course_account_uuid:text?
default_blueprint_restrictions_updated
    canvas_course_id:id canvas_course_uuid:text? restrictions:object?
blueprint_restrictions_updated
    canvas_assignment_id:id canvas_course_id:id canvas_course_uuid:text?
    lti_resource_link_id:foreign? restrictions:object? use_default_restrictions:flag
logged_in
    redirect_url:text?
logged_out
asset_accessed
    asset_type:word asset_id:id? asset_name:text? asset_subtype:word? category:word? role:word?
    level:word? filename:text? display_name:text? url:text? domain:text? enrollment_id:id?
    section_id:id?
sis_batch_created sis_batch_updated
    sis_batch_id:id account_id:id workflow_state:word
heartbeat
    environment:text region:text region_code:text
rollcall_enrollment_snapshot
    present:flag enrollment_id:id course_id:id course_section_id:id user_id:id type:word
    workflow_state:word user_name:text? limit_privileges_to_course_section:flag? created_at:time?
    updated_at:time? associated_user_id:id?
rollcall_section_snapshot
    present:flag course_section_id:id course_id:id root_account_id:id? workflow_state:word
    name:text? nonxlist_course_id:id? sis_source_id:foreign? integration_id:foreign? start_at:time?
    end_at:time? restrict_enrollments_to_section_dates:flag?
rollcall_course_snapshot
    present:flag course_id:id workflow_state:word uuid:text? account_id:id? name:text?
    created_at:time?
rollcall_group_snapshot
    present:flag group_id:id context_type:word context_id:id workflow_state:word group_name:text?
    group_category_id:id? max_membership:count?
rollcall_membership_snapshot
    present:flag group_membership_id:id group_id:id user_id:id workflow_state:word
rollcall_user_snapshot
    present:flag user_id:id workflow_state:word? name:text? short_name:text? created_at:time?
    user_login:text? user_sis_id:foreign?
"""


def _read(facts: str) -> dict[str, dict[str, Fact]]:
    read: dict[str, dict[str, Fact]] = {}
    fields: dict[str, Fact] = {}
    for line in facts.strip().splitlines():
        if line.startswith(" "):
            for word in line.split():
                name, _, kind = word.partition(":")
                fields[name] = Fact(kind.removesuffix("?"), not kind.endswith("?"))
        else:
            fields = {}
            read |= dict.fromkeys(line.split(), fields)
    return read


FACTS: Mapping[str, Mapping[str, Fact]] = _read(_FACTS)
"""By event_name, the fields of its body."""
