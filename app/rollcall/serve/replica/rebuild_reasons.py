"""Reasons of the topics for a rebuild of the replica's file. Pure.

Reasons of the file itself are in file.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import TopicPartition

from rollcall.rosters.topics import TOMBSTONE_DAYS
from rollcall.serve.replica.store import Place

MOST_AWAY_SECONDS = (TOMBSTONE_DAYS - 1) * 86_400
"""Longest gap after which the file can be continued. Kafka may delete a tombstone after
:data:`TOMBSTONE_DAYS`, and the file would keep the row.
"""


class RebuildError(Exception):
    """The file cannot be continued, for the reason in the message."""


def check_source(
    known_cluster: str | None,
    known_topics: Mapping[str, str],
    cluster: str,
    topics: Mapping[str, str],
) -> None:
    """Compare Kafka's ids of cluster and topics in the file with those of the cluster.

    Raises:
        RebuildError: the file is of another cluster, or of deleted topics.
    """
    if known_cluster not in (None, cluster):
        raise RebuildError(
            f"it comes from the Kafka cluster {known_cluster}, and this one is {cluster}"
        )
    for name, topic_id in topics.items():
        if known_topics.get(name, topic_id) != topic_id:
            raise RebuildError(f"{name} was deleted and made anew")


def check_age(followed_at: float, now: float) -> None:
    """Check that no tombstone was deleted since the file was followed.

    Raises:
        RebuildError: the file is too old.
    """
    if now - followed_at > MOST_AWAY_SECONDS:
        raise RebuildError(
            f"it was not followed for more than {MOST_AWAY_SECONDS // 86_400} days, and "
            "tombstones of removed rows may be deleted"
        )


def check_positions(
    known: Mapping[Place, int],
    beginnings: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> None:
    """Compare the positions of the file with the partitions.

    Args:
        beginnings, ends: first and end offsets of all partitions.

    Raises:
        RebuildError: a position is outside of its partition.
    """
    if gone := known.keys() - {(place.topic, place.partition) for place in ends}:
        topic, partition = min(gone)
        raise RebuildError(
            f"it has read partition {partition} of {topic}, which does not exist any more"
        )
    for place, end in ends.items():
        position = known.get((place.topic, place.partition))
        if position is not None and not beginnings[place] <= position <= end:
            held = (
                f"partition {place.partition} holds {beginnings[place]} to {end}, and the file's "
                f"position is {position}"
            )
            if position < beginnings[place]:
                raise RebuildError(f"records that it has not read are gone: {place.topic}, {held}")
            raise RebuildError(f"{place.topic} was made anew: {held}")
