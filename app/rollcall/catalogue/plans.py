"""All topics of Rollcall, and the rights of all who use them: for those who create, check, explain
or remove them.
"""

from __future__ import annotations

from collections.abc import Mapping

from rollcall.kafka.rights import Operation, Rights, on_topic
from rollcall.kafka.topics import TopicPlan, barrier_topic
from rollcall.process.topics import TopicNames
from rollcall.rosters.topics import plan_roster_topics, roster_readers_rights, rosters_rights
from rollcall.router.topics import plan_router_topics, router_rights
from rollcall.serve.rights import serve_rights
from rollcall.settings import Settings


def plan_topics(settings: Settings) -> tuple[TopicPlan, ...]:
    """The topics of all processes, each once."""
    plans = {
        plan.name: plan for plan in (*plan_roster_topics(settings), *plan_router_topics(settings))
    }
    order = [plan.name for plan in (*plan_router_topics(settings), *plan_roster_topics(settings))]
    return tuple(plans[name] for name in dict.fromkeys(order))


def required_rights(settings: Settings) -> Mapping[str, Rights]:
    """What each needs, by name: the processes, the commands ``topics`` and ``roster``, the bridge
    that sends events, and readers of typed topics.
    """
    readers = Rights(
        "reader", on_topic(TopicNames(settings.topic_prefix).typed_prefix, Operation.READ), ()
    )
    found = (
        router_rights,
        rosters_rights,
        serve_rights,
        topics_rights,
        roster_readers_rights,
        bridge_rights,
    )
    return {rights.owner: rights for rights in (*(of(settings) for of in found), readers)}


def topics_rights(settings: Settings) -> Rights:
    """What ``rollcall topics`` needs. Create only for what is missing; a process needs it only
    where nobody ran ``rollcall topics apply`` before.
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
    """What a program needs that sends events to the raw topic."""
    raw = TopicNames(settings.topic_prefix).raw
    return Rights("bridge", on_topic(raw, Operation.WRITE), (raw,))
