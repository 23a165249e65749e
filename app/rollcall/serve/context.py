"""Parts that API, page and middlewares share."""

from __future__ import annotations

from dataclasses import dataclass

from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.follower import Follower
from rollcall.serve.replica.reading import ReplicaReader
from rollcall.serve.tokens import Tokens
from rollcall.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeContext:
    """The replica of one process, its settings and its tokens."""

    settings: Settings
    bootstrap: str
    reader: ReplicaReader
    follower: Follower
    feed: Feed
    tokens: Tokens
