"""The event types of an installation: those that ``ROLLCALL_EVENTS`` selects. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import translate

from rollcall.errors import ConfigurationError
from rollcall.events.event_type import EventType

VARIABLE = "ROLLCALL_EVENTS"

ALL = "all"
"""Selects every event type."""

_EXCLUSION = "-"
_LEFT_OUT_TO_SHOW = 5


class SelectionError(ConfigurationError):
    """The selection of event types is not usable."""

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(f"{VARIABLE}: {fault}; {remedy}")


class EventSelection:
    """Selects event types by words: a word selects, or with ``-`` before it excludes.

    A word is :data:`ALL`, an event_name, a family, or a glob of event_names with ``*`` and ``?``.
    An event type is selected if a word selects it and none excludes it. The order of words does not
    matter. Types that only Rollcall writes need not be selected, but can be excluded.

    Args:
        words: of ``ROLLCALL_EVENTS``.

    Raises:
        SelectionError: no word selects.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._selecting: list[str] = []
        self._excluding: list[str] = []
        for word in words:
            is_exclusion = word.startswith(_EXCLUSION)
            (self._excluding if is_exclusion else self._selecting).append(
                word.removeprefix(_EXCLUSION)
            )
        if not self._selecting:
            raise SelectionError(
                "it selects no event type",
                f"begin with {','.join([ALL, *words])}" if words else f"write {ALL}",
            )

    def select(self, event_types: Mapping[str, EventType]) -> dict[str, EventType]:
        """The selected event types by event_name, in the given order.

        Args:
            event_types: all known event types by event_name.

        Raises:
            SelectionError: a word matches no event type, or none is left.
        """
        selected, excluded = (
            frozenset().union(*(_matches(word, event_types) for word in words))
            for words in (self._selecting, self._excluding)
        )
        left = {
            name: event_type
            for name, event_type in event_types.items()
            if (name in selected or not event_type.is_of_canvas) and name not in excluded
        }
        if selected <= excluded:
            raise SelectionError(
                "it excludes every event type that it selects",
                "select more, or take an exclusion out",
            )
        return left


def names_in_words(names: Sequence[str]) -> str:
    """The first of many event_names, for a message."""
    if len(names) <= _LEFT_OUT_TO_SHOW:
        return ", ".join(names)
    return f"{', '.join(names[:_LEFT_OUT_TO_SHOW])} and {len(names) - _LEFT_OUT_TO_SHOW} more"


def _matches(word: str, event_types: Mapping[str, EventType]) -> frozenset[str]:
    """The event_names that a word matches.

    Raises:
        SelectionError: there is none.
    """
    if word == ALL:
        return frozenset(event_types)
    matches_name = _glob(word).fullmatch
    names = frozenset(
        name
        for name, event_type in event_types.items()
        if event_type.family == word or matches_name(name)
    )
    if not names:
        known = sorted({*event_types, *(each.family for each in event_types.values())})
        near = get_close_matches(word, known, n=1)
        raise SelectionError(
            f"{word!a} matches no event type and no family",
            (f"did you mean {near[0]}? " if near else "") + "'rollcall schemas list' shows all",
        )
    return names


def _glob(word: str) -> re.Pattern[str]:
    """A pattern in which ``*`` stands for any characters and ``?`` for one."""
    # Python's patterns for globs do not backtrack: a word with many stars is soon matched.
    return re.compile(translate(word.replace("[", "[[]")))
