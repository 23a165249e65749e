"""What the options of ``rollcall dead-letters`` mean: where to look, and for which records."""

from __future__ import annotations

import time
from typing import NamedTuple

from rollcall.cli.cluster import bootstrap_servers
from rollcall.cli.dead_letters import Origin
from rollcall.dead_letters.selection import Selection, parse_moment
from rollcall.errors import ConfigurationError, RollcallError
from rollcall.events.outcomes import ErrorCode
from rollcall.process.topics import TopicNames
from rollcall.settings import Settings, load_settings


class NothingFoundError(RollcallError):
    """No record is meant."""


class Place(NamedTuple):
    """Where to look, and for what."""

    settings: Settings
    bootstrap: str
    topic: str
    selection: Selection

    def nothing(self) -> NothingFoundError:
        """To be raised when there is no such record."""
        fits = " that fits" if self.selection != Selection() else ""
        return NothingFoundError(f"there is no record on {self.topic}{fits}")


def place_of(
    origin: Origin,
    code: list[ErrorCode] | None,
    event: list[str] | None,
    since: str | None,
    until: str | None,
    partition: int | None,
    offset: int | None,
    from_offset: int | None,
    to_offset: int | None,
) -> Place:
    """What the options mean.

    Raises:
        ConfigurationError: they do not go together.
    """
    if origin is Origin.UNKNOWN and code:
        raise ConfigurationError(
            "--code is for dead letters: unknown events have none; leave it out, or choose by "
            "--event"
        )
    if offset is not None:
        if from_offset is not None or to_offset is not None:
            raise ConfigurationError(
                "--offset is one record: leave out --from-offset and --to-offset, or --offset"
            )
        from_offset, to_offset = offset, offset + 1
    now = int(time.time() * 1000)
    selection = Selection(
        codes=frozenset(code or ()),
        event_names=frozenset(event or ()),
        since_ms=None if since is None else parse_moment(since, now),
        until_ms=None if until is None else parse_moment(until, now),
        partition=partition,
        from_offset=from_offset,
        to_offset=to_offset,
    )
    settings = load_settings()
    names = TopicNames(settings.topic_prefix)
    topic = names.unknown if origin is Origin.UNKNOWN else names.dead_letter
    return Place(settings, bootstrap_servers(settings), topic, selection)
