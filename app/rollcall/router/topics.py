"""Plans of the router's topics, and its rights on them."""

from __future__ import annotations

from rollcall.kafka.rights import Operation, Rights, on_topic, on_transactions
from rollcall.kafka.topics import TopicPlan, barrier_topic, plan_barrier_topic
from rollcall.process.topics import TopicNames, plan_event_topics
from rollcall.settings import Settings


def plan_router_topics(settings: Settings) -> tuple[TopicPlan, ...]:
    """Plans of the event topics and of the router's barrier topic."""
    return (
        *plan_event_topics(settings),
        plan_barrier_topic(settings.group("router"), settings.partitions),
    )


def router_rights(settings: Settings) -> Rights:
    """The minimum rights of the router."""
    names, group = TopicNames(settings.topic_prefix), settings.group("router")
    read, write, configs = Operation.READ, Operation.WRITE, Operation.DESCRIBE_CONFIGS
    acls = (
        *on_topic(names.raw, read, configs),
        *on_topic(names.typed_prefix, write, configs),
        *on_topic(names.unknown, write, configs),
        *on_topic(names.dead_letter, write, configs),
        *on_topic(barrier_topic(group), read, configs),
        *on_transactions(group),
    )
    return Rights("router", acls, tuple(plan.name for plan in plan_router_topics(settings)))
