"""What has a roster: a course, or an account with its groups; and how people write which one they
mean. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rollcall.errors import ConfigurationError
from rollcall.events.ids import LOCAL_DIGITS, SHARD_SIZE, parse_id, whole_number
from rollcall.rosters.relation import ACCOUNT_PREFIX

MOST_CANDIDATES = 10
"""So many courses are named when an id may mean several."""


@dataclass(frozen=True, slots=True)
class Context:
    """What has a roster: a course, or an account with its groups."""

    prefix: str
    """Nothing for a course, :data:`rollcall.rosters.relation.ACCOUNT_PREFIX` for an account."""
    identity: str
    """In normal form."""

    @property
    def key(self) -> str:
        """With which the record keys of its rows begin."""
        return self.prefix + self.identity

    def __str__(self) -> str:
        return f"{'account' if self.prefix else 'course'} {self.identity}"

    def may_be(self, key: str) -> bool:
        """Whether a key is that of this local id, on any shard or on none."""
        identity = key.removeprefix(self.prefix)
        if not key.startswith(self.prefix) or not (identity.isascii() and identity.isdigit()):
            return False
        return identity == self.identity or (
            len(identity) > LOCAL_DIGITS and identity.endswith(self.identity.zfill(LOCAL_DIGITS))
        )


def parse_context(text: str, shard: int | None) -> tuple[Context, bool]:
    """What a person means, and whether the shard is still to be found out.

    An id is global, local, or ``shard~local`` as Canvas writes ids; ``account:`` before it makes it
    an account's. With nothing before the tilde, a local id is meant as it stands: rows have such
    ids where neither an event nor ``ROLLCALL_SHARD`` told the shard.

    Args:
        shard: of local ids; None: not known.

    Raises:
        ConfigurationError: it is none of these.
    """
    prefix = ACCOUNT_PREFIX if text.startswith(ACCOUNT_PREFIX) else ""
    written = text.removeprefix(prefix)
    if written.startswith("~"):
        number = whole_number(written[1:])
        identity = str(number) if number is not None and number < SHARD_SIZE else None
    else:
        identity = parse_id(written, shard)
    if identity is None:
        raise ConfigurationError(
            f"{text!a} is no course: give an id (21070000000001533), a local id (1533), "
            "shard~local (2107~1533), or account:<id>"
        )
    return Context(prefix, identity), "~" not in written and int(identity) < SHARD_SIZE


def the_one(context: Context, keys: Collection[str]) -> Context:
    """The context that a local id means, among the keys that may be it; itself when there is none.

    Raises:
        ConfigurationError: there are several.
    """
    found = sorted(
        (key.removeprefix(context.prefix) for key in keys if context.may_be(key)), key=int
    )
    if len(found) > 1:
        named = ", ".join(
            f"{context.prefix}{'' if int(identity) >= SHARD_SIZE else '~'}{identity}"
            for identity in found[:MOST_CANDIDATES]
        )
        more = f" and {len(found) - MOST_CANDIDATES} more" if len(found) > MOST_CANDIDATES else ""
        raise ConfigurationError(
            f"{context} is on several shards: say which ({named}{more}), or set ROLLCALL_SHARD"
        )
    return Context(context.prefix, found[0]) if found else context
