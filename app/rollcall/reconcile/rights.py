"""The rights that reconcile needs in Kafka."""

from __future__ import annotations

from rollcall.ingest.rights import ingest_rights
from rollcall.kafka.rights import Acl, Operation, Resource, Rights, on_topic, on_transactions
from rollcall.reconcile.lock import APPLICATION
from rollcall.reconcile.trigger_topics import trigger_topics
from rollcall.rosters.topics import roster_readers_rights
from rollcall.settings import Settings


def reconcile_rights(
    settings: Settings, *, is_dry: bool = False, is_triggered: bool = True
) -> Rights:
    """Rights to read the rosters, to write raw events, to be the only run, and to read the events
    that trigger one.

    Args:
        is_dry: without the rights that only a run needs that writes.
        is_triggered: with the rights that only a triggered run needs.
    """
    rosters, ingest = roster_readers_rights(settings), ingest_rights(settings)
    group = settings.group(APPLICATION)
    acls, topics = [*rosters.acls], [*rosters.topics]
    if not is_dry:
        acls += [*ingest.acls, *on_transactions(group)]
        topics += ingest.topics
    if is_triggered:
        triggers = trigger_topics(settings)
        acls += [acl for topic in triggers for acl in on_topic(topic, Operation.READ)]
        topics += triggers
        if is_dry:
            acls.append(Acl(Resource.GROUP, group, False, Operation.READ))
    return Rights("reconcile", tuple(acls), tuple(topics))
