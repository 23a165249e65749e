"""``rollcall reconcile``: one run, with its Canvas, its replica and its Kafka."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import NamedTuple

from rollcall.errors import ConfigurationError
from rollcall.events.ids import parse_id
from rollcall.ingest.raw_records import raw_keys
from rollcall.ingest.sink import KafkaSink
from rollcall.kafka.rights import check_rights
from rollcall.reconcile.canvas_client import CanvasClient, CanvasError, CanvasRefusesError
from rollcall.reconcile.checkpoint import Checkpoint
from rollcall.reconcile.comparing import Comparer, Difference, Writer
from rollcall.reconcile.course_list import Scope
from rollcall.reconcile.facts import MICROSECONDS
from rollcall.reconcile.guards import ALL
from rollcall.reconcile.lists import CanvasReader
from rollcall.reconcile.lock import RunLock
from rollcall.reconcile.metrics import RunMetrics, RunScope
from rollcall.reconcile.preflight import (
    CLOCK_SECONDS,
    View,
    examine,
    root_account,
    shard_of_run,
)
from rollcall.reconcile.replica import FollowedReplica, followed_replica
from rollcall.reconcile.rights import reconcile_rights
from rollcall.reconcile.rows import RosterRows
from rollcall.reconcile.run import Progress, ReconcileRun
from rollcall.reconcile.snapshots import NoWriter, SnapshotWriter
from rollcall.reconcile.summary import Summary
from rollcall.reconcile.trigger_topics import TriggersRead, read_triggers
from rollcall.reconcile.triggers import Triggers
from rollcall.settings import Settings

FOLDER = "reconcile"
"""In the data directory."""


class RunOptions(NamedTuple):
    """What the user wants. Ids are as the user wrote them."""

    account: str | None
    terms: tuple[str, ...]
    courses: tuple[str, ...]
    permitted: tuple[str, ...]
    is_dry: bool
    is_resumed: bool
    is_triggered: bool = False
    """Of the courses that events name, and neither an account nor courses."""

    @property
    def scope(self) -> RunScope:
        """What the run is of."""
        if self.is_triggered:
            return RunScope.TRIGGERED
        return RunScope.COURSES if self.account is None else RunScope.ACCOUNT


class Reconcile:
    """One run.

    Args:
        report: takes each difference.

    Raises:
        ConfigurationError: a setting is missing or wrong.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap: str,
        options: RunOptions,
        report: Callable[[Difference], object],
    ) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._options = options
        self._report = report
        self._token = _token(settings)
        self._metrics = RunMetrics(settings.reconcile_metrics_file, options.scope)
        self._client: CanvasClient | None = None
        self.progress = Progress()
        self.summary = Summary()
        self.notices: list[str] = []
        """What the user should know, though nothing is wrong."""

    @property
    def calls(self) -> int:
        """Requests to Canvas so far."""
        return 0 if self._client is None else self._client.calls

    async def run(self) -> None:
        """Run. The result is in :attr:`summary`.

        Raises:
            RollcallError: an operator must act.
        """
        started, settings, options = time.monotonic(), self._settings, self._options
        rights = reconcile_rights(
            settings, is_dry=options.is_dry, is_triggered=options.is_triggered
        )
        await check_rights(settings, self._bootstrap, rights)
        self.progress.step = "rosters"
        folder = settings.data / FOLDER
        assert settings.canvas_url is not None
        async with AsyncExitStack() as stack:
            replica = await stack.enter_async_context(
                followed_replica(settings, self._bootstrap, folder / "replica.sqlite")
            )
            rows = RosterRows(replica.path)
            stack.callback(rows.close)
            self._client = await stack.enter_async_context(
                CanvasClient(settings.canvas_url, self._token)
            )
            await self._run(stack, replica, rows, self._client)
        if not options.is_dry:
            self._metrics.write(self.summary, self.calls, time.monotonic() - started)

    async def _run(
        self,
        stack: AsyncExitStack,
        replica: FollowedReplica,
        rows: RosterRows,
        client: CanvasClient,
    ) -> None:
        settings, options = self._settings, self._options
        self.progress.step = "rights of the token"
        view = await examine(client)
        self._note_clock(view)
        if view.root is None and not options.courses:
            raise CanvasRefusesError(
                "the token has no rights on the root account: --account and --triggered need a "
                "token of an administrator of the root account; check ROLLCALL_CANVAS_TOKEN_FILE"
            )
        triggers, triggers_read = Triggers(), None
        if options.is_triggered:
            self.progress.step = "events since the last run"
            triggers_read = await self._read_triggers(triggers, view)
        courses = triggers.courses(rows) if options.is_triggered else options.courses
        shard, scope, permitted = self._scope(rows, courses)
        root = root_account(view.root or await _root_of(client, scope), shard)
        if triggers.imports:
            scope = Scope(account=root)
        name = "triggered" if options.is_triggered else "run"
        checkpoint = Checkpoint(
            settings.data / FOLDER / f"{'dry-run' if options.is_dry else name}.sqlite",
            scope=f"{settings.canvas_url}, {scope}",
            run=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
            is_resumed=options.is_resumed and not options.is_dry,
        )
        stack.callback(checkpoint.close)
        margin = round(settings.reconcile_margin_seconds * MICROSECONDS)
        writer: Writer = NoWriter()
        is_mine: Callable[[], Awaitable[None]] = _do_nothing
        lock = None
        if not options.is_dry:
            lock = await stack.enter_async_context(
                RunLock(settings, self._bootstrap, checkpoint.run)
            )
            is_mine = lock.check
            sink = await stack.enter_async_context(KafkaSink(settings, self._bootstrap))
            writer = SnapshotWriter(
                sink, raw_keys(settings), root_account_id=root, run=checkpoint.run
            )
        await ReconcileRun(
            reader=CanvasReader(client, shard=shard, margin=margin, summary=self.summary),
            comparer=Comparer(
                rows=rows,
                writer=writer,
                summary=self.summary,
                margin=margin,
                report=self._report,
                on_lag=self._metrics.lag.observe,
            ),
            checkpoint=checkpoint,
            view=view,
            scope=scope,
            permitted=permitted,
            confirm_seconds=settings.reconcile_confirm_seconds,
            is_dry=options.is_dry,
            catch_up=replica.catch_up,
            pause=asyncio.sleep,
            is_mine=is_mine,
            progress=self.progress,
        ).run()
        if lock is not None and triggers_read is not None and self.summary.is_settled:
            await lock.check(triggers_read.places)

    async def _read_triggers(self, triggers: Triggers, view: View) -> TriggersRead:
        now = round((time.time() + view.clock_seconds) * MICROSECONDS)
        found = await read_triggers(self._settings, self._bootstrap, triggers, now)
        if found.missing:
            self.notices.append(
                f"nothing is triggered by {', '.join(found.missing)}: Kafka has no such topics. "
                "ROLLCALL_EVENTS selects event types"
            )
        if triggers.imports:
            self.notices.append(
                f"all courses of the root account are read: {len(triggers.imports)} SIS imports "
                "have ended since the last run"
            )
        return found

    def _scope(self, rows: RosterRows, courses: Collection[str]) -> tuple[int, Scope, set[str]]:
        """The shard, the scope, and the courses whose rosters may shrink."""
        options, configured = self._options, self._settings.shard
        given = [*([options.account] if options.account else []), *courses]
        shard = shard_of_run(configured, [_id(text, configured) for text in given], rows.shards())
        scope = Scope(
            account=None if options.account is None else _id(options.account, shard),
            terms=options.terms,
            courses=tuple(_id(course, shard) for course in courses),
        )
        return (
            shard,
            scope,
            {text if text == ALL else _id(text, shard) for text in options.permitted},
        )

    def _note_clock(self, view: View) -> None:
        if view.clock_seconds > self._settings.reconcile_margin_seconds:
            self.summary.add_reason(
                "",
                f"this machine's clock is {view.clock_seconds:.0f} s behind Canvas's, so that "
                "differences count as recent: set it",
            )
        elif abs(view.clock_seconds) > CLOCK_SECONDS:
            self.notices.append(
                f"Canvas's clock and this machine's differ by {abs(view.clock_seconds):.0f} s; the "
                "earlier one counts, so that no newer event is lost. Look at this machine's time"
            )


async def _root_of(client: CanvasClient, scope: Scope) -> str:
    """The root account, for a token without rights on it."""
    for course in scope.courses:
        try:
            found = (await client.one(f"courses/{course}")).content
        except CanvasError:
            continue
        if found.get("root_account_id"):
            return str(found["root_account_id"])
    raise CanvasRefusesError(
        "the token has no rights on the root account, and sees none of these courses; it must be "
        "a token of an administrator of the root account: check ROLLCALL_CANVAS_TOKEN_FILE"
    )


async def _do_nothing() -> None:
    """A dry run has no lock."""


def _id(text: str, shard: int | None) -> str:
    identity = parse_id(text, shard)
    if identity is None:
        raise ConfigurationError(
            f"{text!a} is no id: give one such as 21070000000001533, 1533 or 2107~1533"
        )
    return identity


def _token(settings: Settings) -> str:
    """The token. No message shows it.

    Raises:
        ConfigurationError: a setting is missing, or the file has no token.
    """
    if settings.canvas_url is None:
        raise ConfigurationError("there is no Canvas: set ROLLCALL_CANVAS_URL, https://HOST")
    file = settings.canvas_token_file
    if file is None:
        raise ConfigurationError(
            "there is no token for Canvas: write one into a file, and set "
            "ROLLCALL_CANVAS_TOKEN_FILE to it"
        )
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text of ASCII"
        raise ConfigurationError(
            f"ROLLCALL_CANVAS_TOKEN_FILE: {str(file)!a} cannot be read ({reason})"
        ) from None
    if not token or not token.isprintable() or " " in token:
        raise ConfigurationError(f"ROLLCALL_CANVAS_TOKEN_FILE: {str(file)!a} holds no token")
    return token
