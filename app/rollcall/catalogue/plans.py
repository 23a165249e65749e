"""Plans of all topics, and the rights of all processes, commands and programs that use them."""

from __future__ import annotations

from collections.abc import Mapping

from rollcall.ingest.rights import ingest_rights
from rollcall.kafka.rights import Operation, Rights, on_topic
from rollcall.kafka.topics import TopicPlan, barrier_topic
from rollcall.process.topics import TopicNames
from rollcall.reconcile.rights import reconcile_rights
from rollcall.rosters.topics import (
    has_rosters,
    plan_roster_topics,
    roster_readers_rights,
    rosters_rights,
)
from rollcall.router.topics import plan_router_topics, router_rights
from rollcall.serve.rights import serve_rights
from rollcall.settings import Settings


def plan_topics(settings: Settings) -> tuple[TopicPlan, ...]:
    """The topics of all processes, without repetition. Without an event type that the rosters read
    there are no rosters, and no topics of theirs.

    Raises:
        ConfigurationError: as in :func:`rollcall.process.event_types.event_types`.
    """
    router = plan_router_topics(settings)
    rosters = plan_roster_topics(settings) if has_rosters(settings) else ()
    return tuple({plan.name: plan for plan in (*router, *rosters)}.values())


def required_rights(settings: Settings) -> Mapping[str, Rights]:
    """Rights by owner: the processes, the commands ``topics``, ``roster`` and ``reconcile``, a
    bridge of your own that sends events, and readers of typed topics.
    """
    readers = Rights(
        "reader", on_topic(TopicNames(settings.topic_prefix).typed_prefix, Operation.READ), ()
    )
    functions = (
        router_rights,
        rosters_rights,
        serve_rights,
        topics_rights,
        roster_readers_rights,
        ingest_rights,
        reconcile_rights,
        bridge_rights,
    )
    every = (*(rights_for(settings) for rights_for in functions), readers)
    return {rights.owner: rights for rights in every}


def topics_rights(settings: Settings) -> Rights:
    """Rights of ``rollcall topics``. Only missing topics need the right to create. A process needs
    it only without an earlier ``rollcall topics apply``.
    """
    operations = (Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS, Operation.CREATE)
    prefixes = (
        f"{settings.topic_prefix}.",
        f"{settings.group('rosters')}-",
        barrier_topic(settings.group("router")),
    )
    acls = tuple(acl for prefix in prefixes for acl in on_topic(prefix, *operations))
    return Rights("topics", acls, tuple(plan.name for plan in plan_topics(settings)))


def bridge_rights(settings: Settings) -> Rights:
    """Rights of a program that sends events to the raw topic."""
    raw = TopicNames(settings.topic_prefix).raw
    return Rights("bridge", on_topic(raw, Operation.WRITE), (raw,))
