"""What the parts of serve share."""

from __future__ import annotations

from dataclasses import dataclass

from app.serve.replica.feed import Feed
from app.serve.replica.follower import Follower
from app.serve.replica.reading import ReplicaReader
from app.serve.tokens import Tokens
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class ServeContext:
    """One process's replica, and who may see it."""

    settings: Settings
    bootstrap: str
    reader: ReplicaReader
    follower: Follower
    feed: Feed
    tokens: Tokens
