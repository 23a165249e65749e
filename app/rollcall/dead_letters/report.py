"""Tables and outlines of stored records for a terminal, without control characters."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rollcall.dead_letters.outline import field_name
from rollcall.dead_letters.sending import Replay, ReplayGroup
from rollcall.dead_letters.tally import Reason, Tally
from rollcall.dead_letters.view import DeadLetterView, StoredRecord, view_of
from rollcall.events.publishing import OUTCOME_PREFIXES
from rollcall.printable import printable

MAX_REASONS = 40
MAX_HOURS = 24

SCHEMA_PREFIX = "urn:rollcall:canvas:"
"""Prefix of every schema's ``$id``."""


def tally_report(tally: Tally, *, with_errors: bool) -> Iterator[RenderableType]:
    """Two tables: records by reason, the most frequent first, and records by hour.

    Args:
        with_errors: the records have error headers.
    """
    reasons = tally.by_reason()
    top = sorted(reasons, key=lambda reason: (-reasons[reason], reason))[:MAX_REASONS]
    hours: dict[Reason, list[str]] = {reason: [] for reason in top}
    for group in tally.counts:
        if group.hour is not None and group.reason in hours:
            hours[group.reason].append(group.hour)
    columns = ("records", "code", "event", "path", "first hour (UTC)", "last hour", "schema")
    table = _table(*(columns if with_errors else (columns[0], "reason", columns[2], *columns[4:6])))
    for reason, reason_hours in hours.items():
        first, last = (
            (_hour(min(reason_hours)), _hour(max(reason_hours))) if reason_hours else ("", "")
        )
        cells: tuple[str, ...] = (reason.code, reason.event_name, first, last)
        if with_errors:
            cells = (
                reason.code,
                reason.event_name,
                reason.path,
                first,
                last,
                reason.schema.removeprefix(SCHEMA_PREFIX),
            )
        table.add_row(_count(reasons[reason]), *map(_text, cells))
    yield table
    if len(reasons) > MAX_REASONS:
        yield Text(f"and {len(reasons) - MAX_REASONS:,} more reasons; --json lists all")
    yield ""
    by_hour = tally.by_hour()
    table = _table("hour (UTC)", "records")
    latest = sorted((hour for hour in by_hour if hour is not None), reverse=True)
    for hour in latest[:MAX_HOURS]:
        table.add_row(_text(_hour(hour)), _count(by_hour[hour]))
    if older := latest[MAX_HOURS:]:
        table.add_row(
            Text(f"{len(older):,} earlier hours"), _count(sum(by_hour[hour] for hour in older))
        )
    if by_hour[None]:
        table.add_row(Text("no time"), _count(by_hour[None]))
    yield table


def record_report(record: StoredRecord, words: frozenset[str]) -> Iterator[RenderableType]:
    """Place, error, headers and outline of one record, without its data."""
    view = view_of(record, words)
    yield Text(
        f"{record.topic}, partition {record.partition}, offset {record.offset}", style="bold"
    )
    head = Table.grid(padding=(0, 2))
    head.add_column(style="dim", no_wrap=True)
    head.add_column(overflow="fold")
    for name, value in _head(view, record):
        if value:
            head.add_row(f"  {name}", _text(value))
    yield head
    for depth, name, content in view.outline.lines:
        yield Text(
            f"  {'  ' * (depth + 1)}{printable(name)}{': ' if name else ''}{printable(content)}"
        )


def replay_report(replay: Replay) -> Iterator[RenderableType]:
    """Records by decision, event and expected outcome."""
    table = _table("records", "send", "event", "because it")
    for group, count in sorted(replay.counts.items(), key=_order):
        why = f"{group.outcome}{f' ({group.code})' if group.code else ''}"
        table.add_row(
            _count(count), "yes" if group.send else "no", _text(group.event_name), _text(why)
        )
    yield table


def _head(view: DeadLetterView, record: StoredRecord) -> Iterator[tuple[str, str]]:
    fields, error = view.as_json(), view.error
    yield "time", fields["at"] or ""
    for name in ("code", "message", "path", "schema", "attempt"):
        yield {"message": "rule"}.get(name, name), fields[name]
    if error.get("topic"):
        yield (
            "from",
            f"{error['topic']}, partition {error.get('partition', '?')}, offset "
            f"{error.get('offset', '?')}",
        )
    yield "event", view.event_name or ""
    yield "key", "none" if record.key is None else f"{len(record.key):,} bytes"
    own = [
        (name, len(content or b""))
        for name, content in record.headers
        if not name.startswith(OUTCOME_PREFIXES)
    ]
    yield "headers", ", ".join(f"{_name(name)} ({size:,} bytes)" for name, size in own)
    if "size" in error:
        yield "cut", f"the value had {error['size']} bytes"
    yield "value", view.outline.kind


def _name(name: str) -> str:
    """A header's name, each part between dots redacted like a field name."""
    return ".".join(map(field_name, name.split(".")))


def _order(item: tuple[ReplayGroup, int]) -> tuple[bool, str, int, str]:
    group, count = item
    return not group.send, str(group.outcome), -count, group.event_name


def _hour(hour: str) -> str:
    return hour[:16].replace("T", " ")


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(
            column, overflow="fold", justify="right" if column == "records" else "left"
        )
    return table


def _count(number: int) -> Text:
    return Text(f"{number:,}")


def _text(text: str) -> Text:
    return Text(printable(text))
