"""What the parts of serve share."""

from __future__ import annotations

from dataclasses import dataclass

from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.follower import Follower
from rollcall.serve.replica.reading import ReplicaReader
from rollcall.serve.tokens import Tokens
from rollcall.settings import Settings


@dataclass(frozen=True, slots=True)
class ServeContext:
    """One process's replica, and who may see it."""

    settings: Settings
    bootstrap: str
    reader: ReplicaReader
    follower: Follower
    feed: Feed
    tokens: Tokens
