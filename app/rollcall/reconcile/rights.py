"""The rights that reconcile needs in Kafka."""

from __future__ import annotations

from rollcall.ingest.rights import ingest_rights
from rollcall.kafka.rights import Rights, on_transactions
from rollcall.reconcile.lock import APPLICATION
from rollcall.rosters.topics import roster_readers_rights
from rollcall.settings import Settings


def reconcile_rights(settings: Settings) -> Rights:
    """Rights to read the rosters, to write raw events, and to be the only run."""
    rosters, ingest = roster_readers_rights(settings), ingest_rights(settings)
    return Rights(
        "reconcile",
        (*rosters.acls, *ingest.acls, *on_transactions(settings.group(APPLICATION))),
        (*rosters.topics, *ingest.topics),
    )
