"""A replica of the rosters that is followed during a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rollcall.errors import BrokerUnavailableError, RollcallError
from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.follower import Follower
from rollcall.serve.replica.store import ReplicaStore
from rollcall.settings import Settings

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 120.0
"""Time without a record after which Kafka counts as away."""


class RostersChangedError(RollcallError):
    """The rosters were made anew during the run."""


class FollowedReplica:
    """A replica, and its follower."""

    def __init__(self, follower: Follower, path: Path, bootstrap: str) -> None:
        self.path = path
        self._follower = follower
        self._bootstrap = bootstrap
        self._rebuilds: int | None = None

    async def catch_up(self) -> None:
        """Return when the replica has all rows of this moment.

        Raises:
            BrokerUnavailableError: nothing comes from Kafka.
            RostersChangedError: the topics were made anew since the first call.
        """
        since, moved, records = time.time(), time.monotonic(), -1
        while True:
            progress = self._follower.progress
            if self._follower.failure is not None:
                raise self._follower.failure
            if (
                progress.complete
                and progress.behind_since is None
                and (progress.surveyed_at or 0) > since
            ):
                break
            if progress.records != records:
                records, moved = progress.records, time.monotonic()
            if time.monotonic() - moved > PATIENCE_SECONDS:
                raise BrokerUnavailableError(
                    f"the rosters cannot be read from Kafka at {self._bootstrap} "
                    f"({progress.problem or 'nothing comes'}); check the brokers"
                )
            await asyncio.sleep(POLL_SECONDS)
        if self._rebuilds not in (None, progress.rebuilds):
            raise RostersChangedError(
                "the rosters were made anew during the run: run again when they are complete"
            )
        self._rebuilds = progress.rebuilds


@asynccontextmanager
async def followed_replica(
    settings: Settings, bootstrap: str, path: Path
) -> AsyncIterator[FollowedReplica]:
    """A complete replica in a file that is kept for the next run.

    Raises:
        ReplicaError: another run on this machine uses the file.
        ConfigurationError: the file cannot be used.
        BrokerUnavailableError: nothing comes from Kafka.
    """
    store = ReplicaStore(path, settings.topic_prefix)
    follower = Follower(settings, bootstrap, store, Feed())
    try:
        follower.start()
        replica = FollowedReplica(follower, path, bootstrap)
        await replica.catch_up()
        yield replica
    finally:
        await asyncio.to_thread(follower.stop)
        store.close()
