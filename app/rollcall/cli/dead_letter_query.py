"""The topic and selection that the filter options of ``rollcall dead-letters`` name."""

from __future__ import annotations

import time
from typing import NamedTuple

from rollcall.cli.cluster import bootstrap_servers
from rollcall.cli.dead_letters import Filters, Origin
from rollcall.dead_letters.selection import Selection, parse_moment
from rollcall.errors import ConfigurationError, RollcallError
from rollcall.process.topics import TopicNames
from rollcall.settings import Settings, load_settings


class NothingFoundError(RollcallError):
    """The query matches no record."""


class Query(NamedTuple):
    """The arguments of :func:`rollcall.dead_letters.reading.read_selected`."""

    settings: Settings
    bootstrap: str
    topic: str
    selection: Selection

    @property
    def has_filter(self) -> bool:
        """Whether the selection leaves records out."""
        return self.selection != Selection()

    def not_found(self) -> NothingFoundError:
        """The error for a query without a result."""
        matching = " that matches" if self.has_filter else ""
        return NothingFoundError(f"there is no record on {self.topic}{matching}")


def new_query(filters: Filters) -> Query:
    """The query for the options, on the configured cluster.

    Raises:
        ConfigurationError: the options do not go together.
        BrokerUnavailableError: there is no cluster.
    """
    if filters.origin is Origin.UNKNOWN and filters.code:
        raise ConfigurationError(
            "--code is for dead letters: unknown events have a reason, and no code of an error; "
            "leave it out, or use --event"
        )
    from_offset, to_offset = filters.from_offset, filters.to_offset
    if filters.offset is not None:
        if from_offset is not None or to_offset is not None:
            raise ConfigurationError(
                "--offset is one record: leave out --from-offset and --to-offset, or --offset"
            )
        from_offset, to_offset = filters.offset, filters.offset + 1
    now_ms = int(time.time() * 1000)
    selection = Selection(
        codes=frozenset(filters.code or ()),
        event_names=frozenset(filters.event or ()),
        since_ms=None if filters.since is None else parse_moment(filters.since, now_ms),
        until_ms=None if filters.until is None else parse_moment(filters.until, now_ms),
        partition=filters.partition,
        from_offset=from_offset,
        to_offset=to_offset,
    )
    settings = load_settings()
    names = TopicNames(settings.topic_prefix)
    topic = names.unknown if filters.origin is Origin.UNKNOWN else names.dead_letter
    return Query(settings, bootstrap_servers(settings), topic, selection)
