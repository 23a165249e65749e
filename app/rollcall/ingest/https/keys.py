"""Cache of Canvas's public keys: fetched at the start and from time to time, and once for an
unknown key. Kept if a fetch fails.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from rollcall.errors import describe
from rollcall.ingest.https.key_set import KeySetError, PublicKeys, parse_key_set
from rollcall.ingest.https.key_source import FetchError, KeySource

log = logging.getLogger(__name__)

REFRESH_SECONDS = 300.0
"""Interval of fetches. A key that Canvas withdraws is refused after this time."""

COOL_DOWN_SECONDS = 30.0
"""Least time between two fetches: tokens with made-up keys cause no more than one in this time."""


class KeysUnavailableError(Exception):
    """It is not known whether a key is Canvas's, because the key set cannot be fetched."""


class Keys:
    """The cache. All methods belong to one event loop.

    Args:
        on_fetch: called after each fetch, with its success.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        source: KeySource,
        *,
        on_fetch: Callable[[bool], None] = lambda _success: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._on_fetch = on_fetch
        self._clock = clock
        self._keys: PublicKeys = {}
        self._fetched_at: float | None = None
        self._last_start = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self.problem: str | None = None
        """Why the last fetch failed."""

    @property
    def age_seconds(self) -> float | None:
        """Time since the last successful fetch; None: there was none."""
        return None if self._fetched_at is None else self._clock() - self._fetched_at

    async def key(self, key_id: str) -> RSAPublicKey | None:
        """A key; None: Canvas does not have it. An unknown one causes at most one fetch for all
        callers, and none within :data:`COOL_DOWN_SECONDS` of the last one.

        Raises:
            KeysUnavailableError: the key is not known, and the last fetch failed.
        """
        found = self._keys.get(key_id)
        if found is None:
            await self._refresh()
            found = self._keys.get(key_id)
        if found is None and (self.problem is not None or self._fetched_at is None):
            raise KeysUnavailableError
        return found

    async def keep_fresh(self) -> None:
        """Fetch again and again. Runs until it is cancelled."""
        while True:
            await self._refresh()
            await asyncio.sleep(COOL_DOWN_SECONDS if self.problem else REFRESH_SECONDS)

    async def close(self) -> None:
        """End a running fetch."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _refresh(self) -> None:
        """Wait for the running fetch, or for a new one unless it is too early for that."""
        if self._fetching is None:
            now = self._clock()
            if now - self._last_start < COOL_DOWN_SECONDS:
                return
            self._last_start = now
            self._fetching = asyncio.create_task(self._fetch())
        # A caller that gives up must not end the fetch of the others.
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            self._keys = parse_key_set(await self._source.read())
            self._fetched_at = self._clock()
            self.problem = None
        except (FetchError, KeySetError) as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(f"unexpected error ({describe(error)})", is_expected=False)
        finally:
            self._fetching = None
        self._on_fetch(self.problem is None)

    def _fail(self, problem: str, *, is_expected: bool = True) -> None:
        self.problem = problem
        log.warning(
            "the keys of the webhook's signatures cannot be fetched: %s; see "
            "ROLLCALL_WEBHOOK_JWKS_URL%s",
            problem,
            "" if self._fetched_at is None else "; the earlier keys stay valid",
            exc_info=not is_expected,
        )
