"""What must hold before a run, and again before it takes anything from the rosters: the token's
rights, and its view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rollcall.errors import ConfigurationError
from rollcall.events.ids import normal_id, shard_of
from rollcall.reconcile.canvas_client import (
    CanvasClient,
    CanvasError,
    CanvasRefusesError,
    NotFoundError,
    RefusedError,
    TokenRefusedError,
    UnavailableError,
)

PERMISSIONS = ("read_course_list", "read_roster", "read_sis", "view_group_pages")
"""Rights on the root account that show whole courses: without them, lists are shorter, silently."""

CLOCK_SECONDS = 60.0
"""A greater difference between Canvas's clock and this machine's is reported."""


class View(NamedTuple):
    """What the token sees."""

    root: str | None
    """Id of the root account as Canvas writes it; None: the token has no rights on it."""
    limits: str
    """Why it is not proved that the token sees whole courses; empty: it is."""
    clock_seconds: float
    """By which Canvas's clock is ahead of this machine's, about."""


async def examine(client: CanvasClient) -> View:
    """The token's rights.

    Raises:
        CanvasRefusesError: Canvas does not take the token, or does not answer.
    """
    try:
        account = await client.one("accounts/self")
        root = account.content.get("root_account_id") or account.content.get("id")
        if normal_id(root, None) is None:
            raise UnavailableError("accounts/self: the answer has no id")
        missing = await _missing_rights(client, root)
    except TokenRefusedError as error:
        raise CanvasRefusesError(
            f"Canvas does not take this token ({error}); check ROLLCALL_CANVAS_TOKEN_FILE"
        ) from None
    except RefusedError:
        return View(None, "the token has no rights on the root account", 0.0)
    except CanvasError as error:
        raise CanvasRefusesError(
            f"Canvas does not answer ({error}); check ROLLCALL_CANVAS_URL, or try again later"
        ) from None
    limits = f"the token lacks {', '.join(missing)} on the root account" if missing else ""
    return View(str(root), limits, account.clock_seconds)


async def _missing_rights(client: CanvasClient, root: object) -> list[str]:
    answer = await client.one(f"accounts/{root}/permissions", {"permissions[]": list(PERMISSIONS)})
    return [name for name in PERMISSIONS if answer.content.get(name) is not True]


async def doubt(client: CanvasClient, root: str, canaries: Sequence[str]) -> str | None:
    """Why it is not proved that 404 means absent; None: it is.

    Args:
        canaries: enrollments that are known to be deleted. Canvas shows such ones to who may see
            all.
    """
    try:
        missing = await _missing_rights(client, root)
        if missing:
            return f"the token lacks {', '.join(missing)} on the root account"
        if not canaries:
            return (
                "no deleted enrollment is known with which the token's view could be tested: "
                "delete an enrollment in a course for tests, and run again"
            )
        for canary in canaries:
            try:
                answer = await client.one(f"accounts/{root}/enrollments/{canary}")
            except NotFoundError:
                continue
            if answer.content.get("enrollment_state") == "deleted":
                return None
        return (
            f"Canvas shows to this token none of the enrollments {', '.join(canaries)} as deleted, "
            "though it deleted them"
        )
    except CanvasError as error:
        return f"the token's rights are not known any more ({error})"


def shard_of_run(configured: int | None, ids: Sequence[str], known: set[int]) -> int:
    """The shard of Canvas's local ids.

    Args:
        configured: ROLLCALL_SHARD.
        ids: that the user gave, in normal form.
        known: shards of the courses in the rosters.

    Raises:
        ConfigurationError: it is unknown, or the two disagree.
    """
    if configured is not None:
        if known and configured not in known:
            raise ConfigurationError(
                f"the rosters are of shard {', '.join(map(str, sorted(known)))}, and "
                f"ROLLCALL_SHARD is {configured}: set it to the shard of this Canvas"
            )
        return configured
    found = {shard for identity in ids if (shard := shard_of(identity)) is not None} or known
    if len(found) == 1:
        return found.pop()
    raise ConfigurationError(
        "the shard of Canvas's ids is not known: set ROLLCALL_SHARD (a global id is shard * 10^13 "
        "+ local id)"
    )


def root_account(root: str, shard: int) -> str:
    """Global id of the root account."""
    identity = normal_id(root, shard)
    assert identity is not None
    return identity
