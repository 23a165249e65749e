"""Contexts: courses, and accounts with groups, which have rosters. Parses the ids that users enter.
Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rollcall.errors import ConfigurationError
from rollcall.events.ids import LOCAL_DIGITS, SHARD_SIZE, parse_id, whole_number
from rollcall.rosters.relation import ACCOUNT_PREFIX

MAX_CANDIDATES = 10
"""Maximum number of courses in the error message for an ambiguous id."""


@dataclass(frozen=True, slots=True)
class Context:
    """A course, or an account with its groups: it has a roster."""

    prefix: str
    """Empty for a course, :data:`rollcall.rosters.relation.ACCOUNT_PREFIX` for an account."""
    identity: str
    """The id in normal form."""

    @property
    def key(self) -> str:
        """First part of its rows' record keys."""
        return self.prefix + self.identity

    def __str__(self) -> str:
        return f"{'account' if self.prefix else 'course'} {self.identity}"

    def matches(self, key: str) -> bool:
        """Whether a key has this local id, on any shard or without one."""
        identity = key.removeprefix(self.prefix)
        if not key.startswith(self.prefix) or not (identity.isascii() and identity.isdigit()):
            return False
        return identity == self.identity or (
            len(identity) > LOCAL_DIGITS and identity.endswith(self.identity.zfill(LOCAL_DIGITS))
        )


def parse_context(text: str, shard: int | None) -> tuple[Context, bool]:
    """Parse the id of a context. Returns it, and whether its shard is unknown.

    An id is global, local, or ``shard~local`` like Canvas's own. ``account:`` before it means an
    account. ``~local`` is a local id without a shard: rows have such an id if neither the event nor
    ``ROLLCALL_SHARD`` has the shard.

    Args:
        text: the user's input.
        shard: shard of local ids; None: unknown.

    Raises:
        ConfigurationError: it is no such id.
    """
    prefix = ACCOUNT_PREFIX if text.startswith(ACCOUNT_PREFIX) else ""
    id_text = text.removeprefix(prefix)
    if id_text.startswith("~"):
        number = whole_number(id_text[1:])
        identity = str(number) if number is not None and number < SHARD_SIZE else None
    else:
        identity = parse_id(id_text, shard)
    if identity is None:
        raise ConfigurationError(
            f"{text!a} is no course: give an id (21070000000001533), a local id (1533), "
            "shard~local (2107~1533), or account:<id>"
        )
    return Context(prefix, identity), "~" not in id_text and int(identity) < SHARD_SIZE


def resolve_context(context: Context, keys: Collection[str]) -> Context:
    """The context of a local id, from the keys that match it. Without a match, the id is kept.

    Raises:
        ConfigurationError: several keys match.
    """
    found = sorted(
        (key.removeprefix(context.prefix) for key in keys if context.matches(key)), key=int
    )
    if len(found) > 1:
        candidates = ", ".join(
            f"{context.prefix}{'' if int(identity) >= SHARD_SIZE else '~'}{identity}"
            for identity in found[:MAX_CANDIDATES]
        )
        more = f" and {len(found) - MAX_CANDIDATES} more" if len(found) > MAX_CANDIDATES else ""
        raise ConfigurationError(
            f"{context} is on several shards: use one of {candidates}{more}, or set ROLLCALL_SHARD"
        )
    return Context(context.prefix, found[0]) if found else context
