"""Records that were set aside, for people: tables and outlines, in which no text of others can
steer a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rollcall.dead_letters.letter import Letter, StoredRecord, letter_of
from rollcall.dead_letters.outline import field_name
from rollcall.dead_letters.sending import Replay, Sort
from rollcall.dead_letters.tally import Reason, Tally
from rollcall.events.pipeline import ERROR_PREFIX
from rollcall.printable import printable

MOST_REASONS = 40
MOST_HOURS = 24

SCHEMA_PREFIX = "urn:rollcall:canvas:"
"""Begins the ``$id`` of each schema."""


def tally_report(tally: Tally, *, with_errors: bool) -> Iterator[RenderableType]:
    """What there is, the most frequent first, and in which hours.

    Args:
        with_errors: the records say why they are where they are.
    """
    reasons = tally.by_reason()
    top = sorted(reasons, key=lambda reason: (-reasons[reason], reason))[:MOST_REASONS]
    hours: dict[Reason, list[str]] = {reason: [] for reason in top}
    for group in tally.counts:
        if group.hour is not None and group.reason in hours:
            hours[group.reason].append(group.hour)
    columns = ("records", "code", "event", "path", "first hour (UTC)", "last hour", "schema")
    table = _table(*(columns if with_errors else (columns[0], columns[2], *columns[4:6])))
    for reason, between in hours.items():
        first, last = (_hour(min(between)), _hour(max(between))) if between else ("", "")
        cells: tuple[str, ...] = (reason.event_name, first, last)
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
    if len(reasons) > MOST_REASONS:
        yield Text(f"and {len(reasons) - MOST_REASONS:,} reasons more, which --json has")
    yield ""
    by_hour = tally.by_hour()
    table = _table("hour (UTC)", "records")
    latest = sorted((hour for hour in by_hour if hour is not None), reverse=True)
    for hour in latest[:MOST_HOURS]:
        table.add_row(_text(_hour(hour)), _count(by_hour[hour]))
    if older := latest[MOST_HOURS:]:
        table.add_row(
            Text(f"{len(older):,} hours before"), _count(sum(by_hour[hour] for hour in older))
        )
    if by_hour[None]:
        table.add_row(Text("no time"), _count(by_hour[None]))
    yield table


def letter_report(record: StoredRecord, words: frozenset[str]) -> Iterator[RenderableType]:
    """One record, without what it says."""
    letter = letter_of(record, words)
    yield Text(
        f"{record.topic}, partition {record.partition}, offset {record.offset}", style="bold"
    )
    head = Table.grid(padding=(0, 2))
    head.add_column(style="dim", no_wrap=True)
    head.add_column(overflow="fold")
    for name, value in _head(letter, record):
        if value:
            head.add_row(f"  {name}", _text(value))
    yield head
    for depth, name, what in letter.outline.lines:
        yield Text(
            f"  {'  ' * (depth + 1)}{printable(name)}{': ' if name else ''}{printable(what)}"
        )


def replay_report(replay: Replay) -> Iterator[RenderableType]:
    """What became of the records, or would."""
    table = _table("records", "send", "event", "because it")
    for sort, count in sorted(replay.counts.items(), key=_order):
        why = f"{sort.prospect}{f' ({sort.code})' if sort.code else ''}"
        table.add_row(
            _count(count), "yes" if sort.send else "no", _text(sort.event_name), _text(why)
        )
    yield table


def _head(letter: Letter, record: StoredRecord) -> Iterator[tuple[str, str]]:
    shown, said = letter.shown(), letter.said
    yield "time", shown["at"] or ""
    for name in ("code", "message", "path", "schema", "attempt"):
        yield {"message": "rule"}.get(name, name), shown[name]
    if said.get("topic"):
        yield (
            "from",
            f"{said['topic']}, partition {said.get('partition', '?')}, offset "
            f"{said.get('offset', '?')}",
        )
    yield "event", letter.event_name or ""
    yield "key", "none" if record.key is None else f"{len(record.key):,} bytes"
    own = [
        (name, len(content or b""))
        for name, content in record.headers
        if not name.startswith(ERROR_PREFIX)
    ]
    yield "headers", ", ".join(f"{_name(name)} ({size:,} bytes)" for name, size in own)
    if "size" in said:
        yield "cut", f"the value had {said['size']} bytes"
    yield "value", letter.outline.kind


def _name(name: str) -> str:
    """Of a header. Names have dots where those of fields have none."""
    return ".".join(map(field_name, name.split(".")))


def _order(item: tuple[Sort, int]) -> tuple[bool, str, int, str]:
    sort, count = item
    return not sort.send, str(sort.prospect), -count, sort.event_name


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
