"""All topics of Rollcall, for those who create, check, explain or remove them."""

from __future__ import annotations

from app.rosters.topics import plan_roster_topics
from app.settings import Settings
from app.topics import TopicPlan, plan_router_topics


def plan_topics(settings: Settings) -> tuple[TopicPlan, ...]:
    """The topics of all processes, each once."""
    plans = {plan.name: plan for plan in (*plan_roster_topics(settings), *plan_router_topics(settings))}
    order = [plan.name for plan in (*plan_router_topics(settings), *plan_roster_topics(settings))]
    return tuple(plans[name] for name in dict.fromkeys(order))
