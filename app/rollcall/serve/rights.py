"""The rights that serve needs."""

from __future__ import annotations

from rollcall.kafka.rights import Operation, Rights, on_topic
from rollcall.process.topics import TopicNames
from rollcall.rosters.topics import roster_readers_rights
from rollcall.settings import Settings


def serve_rights(settings: Settings) -> Rights:
    """Rights to read the rosters and the dead letters."""
    rosters, dead_letter = (
        roster_readers_rights(settings),
        TopicNames(settings.topic_prefix).dead_letter,
    )
    return Rights(
        "serve",
        (*rosters.acls, *on_topic(dead_letter, Operation.READ)),
        (*rosters.topics, dead_letter),
    )
