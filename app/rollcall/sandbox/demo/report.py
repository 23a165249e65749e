"""The demo's results as tables and texts for rich, at any width. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rollcall.events.outcomes import ErrorCode
from rollcall.events.registry import REGISTRY
from rollcall.process.topics import TopicNames
from rollcall.sandbox.demo.arrivals import Arrivals
from rollcall.sandbox.demo.ledger import Difference, Ledger
from rollcall.sandbox.demo.reading import Outputs, Sample

SHOWN_EVENTS = 3
_FAVOURITES = ("enrollment_created", "course_section_updated", "redacted")
"""Typed events to show first: a simple one, one with a local id in the body and a global id in the
key, and one with a redacted credential.
"""

_LABEL = 9
_EXCERPT = 260
_URL_EXCERPT = 110

_WHY: dict[str, str] = {
    "empty": "null, or zero bytes",
    "not_json": "cut off, other encodings, error pages",
    "not_an_event": "no metadata, body, name or time",
    "caliper": "IMS Caliper, not Canvas's own format",
    "schema_violation": "a missing field, or one of a wrong type",
    "too_large": "larger than a topic accepts",
}


class WayIn(NamedTuple):
    """Events of one way in."""

    name: str
    arrivals: Arrivals
    finished: int
    """Deliveries that were finished: a message that comes twice is deleted twice."""
    verb: str
    """What was done with these."""

    @property
    def is_complete(self) -> bool:
        """Whether each event is on the raw topic, and its sender knows it."""
        arrivals = self.arrivals
        return not (arrivals.lost or arrivals.parted) and self.finished >= arrivals.sent.total()


def heading(text: str) -> Text:
    """A heading line."""
    return Text(text, style="bold")


def ways_in(names: TopicNames, ways: Sequence[WayIn], left: int) -> RenderableType:
    """Events that were sent, are on the raw topic, and are finished, by way in.

    Args:
        left: messages in the queue.
    """
    table = _table("", "sent", f"on {names.raw}", "", "")
    lines = []
    for way in ways:
        sent, found = way.arrivals.sent.total(), way.arrivals.found.total()
        lost = way.arrivals.lost
        table.add_row(
            way.name,
            f"{sent:,}",
            f"{found:,}",
            f"{way.finished:,} {way.verb}",
            Text("ok", style="green")
            if way.is_complete
            else Text("differs" if not lost else f"{lost:,} missing", style="bold red"),
        )
    twins, parted = (
        sum(way.arrivals.twins for way in ways),
        sum(way.arrivals.parted for way in ways),
    )
    text = Text("  twins    ", style="dim")
    if parted:
        text.append(f"{parted:,} of {twins:,} are in two partitions", style="not dim bold red")
    else:
        text.append(
            f"{twins:,} events came twice, each into the partition of its twin", style="not dim"
        )
    lines.append(text)
    if repeated := sum(way.arrivals.repeated for way in ways):
        lines.append(
            Text("  repeated ", style="dim").append(
                f"{repeated:,} deliveries: at least once is what a queue can give", style="not dim"
            )
        )
    rest = Text("  queue    ", style="dim")
    if left:
        rest.append(f"{left:,} messages are left", style="not dim bold red")
    else:
        rest.append("empty", style="not dim")
    return Group(table, *lines, rest)


def typed_topics(names: TopicNames, sent: Ledger, found: Ledger) -> RenderableType:
    """Sent and found records of the typed topics, by family, and of the topic of unknown events."""
    table = _table(f"{names.prefix}.events.*", "sent", "found", "")
    groups: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for name in sorted(sent.routed | found.routed):
        # A name that is only on the topics, or a wrong count, is an error, and must be visible.
        is_right = name in REGISTRY and sent.routed[name] == found.routed[name]
        groups[REGISTRY[name].family if is_right else name, is_right].append(name)
    rows: list[tuple[int, int, str]] = []
    for (label, is_right), members in groups.items():
        types = f"{len(members)} type{'' if len(members) == 1 else 's'}"
        rows.append(
            (
                sum(sent.routed[name] for name in members),
                sum(found.routed[name] for name in members),
                f"{label} ({types})" if is_right else label,
            )
        )
    for sent_count, found_count, label in sorted(rows, key=lambda row: (-row[0], row[2])):
        table.add_row(Text(label), *_counts(sent_count, found_count))
    table.add_section()
    table.add_row(Text(names.unknown), *_counts(sent.unknown, found.unknown))
    return table


def dead_letters(names: TopicNames, sent: Ledger, found: Ledger) -> RenderableType:
    """Sent and found dead letters, by code."""
    table = _table(f"on {names.dead_letter}", "sent", "found", "")
    for code in [*ErrorCode, *sorted(found.dead.keys() - {*ErrorCode})]:
        label = Text(f"{code:<18}")
        label.append(_WHY.get(code, ""), style="dim")
        table.add_row(label, *_counts(sent.dead[code], found.dead[code]))
    return table


def dead_letter(code: str, sample: Sample) -> RenderableType:
    """Place, error, and the beginning of the value of a dead letter."""
    error = {
        name.removeprefix("rollcall.error."): _text(content)
        for name, content in sample.headers.items()
        if name.startswith("rollcall.error.")
    }
    origin = (
        f"{error.get('topic')}, partition {error.get('partition')}, offset {error.get('offset')}, "
        f"attempt {error.get('attempt')}"
    )
    rows = [
        ("message", error.get("message", "")),
        ("path", error.get("path", "")),
        ("schema", error.get("schema", "")),
        ("came from", origin),
        ("size", error.get("size", "")),
    ]
    return _record(
        code,
        f"partition {sample.partition}, offset {sample.offset}",
        sample,
        [row for row in rows if row[1]],
    )


def typed_event(sample: Sample) -> RenderableType:
    """Place, key, headers and value of a typed event."""
    rows = [
        ("key", _text(sample.key)),
        *((name, _text(content)) for name, content in sample.headers.items()),
    ]
    return _record(
        sample.topic, f"partition {sample.partition}, offset {sample.offset}", sample, rows
    )


def chosen_events(found: Outputs) -> list[Sample]:
    """The typed events to show."""
    names = [name for name in _FAVOURITES if name in found.events]
    names += [name for name in sorted(found.events) if name not in names]
    return [found.events[name] for name in names[:SHOWN_EVENTS]]


def identity(observer: str, received: int, ledger: Ledger) -> Text:
    """The check "one in, one out" of an observer."""
    text = Text(f"  {observer:<{_LABEL}}", style="dim")
    parts = (
        f"routed {ledger.total_routed:,} + unknown {ledger.unknown:,} + dead letters "
        f"{ledger.total_dead:,}"
    )
    if received == ledger.total:
        return text.append(f"received {received:,} = {parts}", style="not dim")
    return text.append(
        f"received {received:,}, but {parts} = {ledger.total:,}", style="not dim bold red"
    )


def mismatches(observer: str, found: Sequence[Difference]) -> RenderableType:
    """The wrong counts of an observer."""
    lines = (
        Text(f"  {observer:<{_LABEL}}{label}: sent {sent:,}, found {number:,}", style="bold red")
        for label, sent, number in found
    )
    return Group(*lines)


def details(found: Outputs, documented: int) -> RenderableType:
    """The checks for unchanged documented events and for credentials."""
    unchanged = Text(f"  {'bytes':<{_LABEL}}", style="dim")
    if found.changed:
        unchanged.append(
            f"{len(found.changed)} of {documented} documented events were changed",
            style="not dim bold red",
        )
    else:
        unchanged.append(
            f"all {documented} documented events have exactly the bytes that were sent",
            style="not dim",
        )
    secret = Text(f"  {'secrets':<{_LABEL}}", style="dim")
    if found.leaked:
        secret.append(
            f"credentials were replaced in {found.redacted:,} records, and left in "
            f"{found.leaked:,}",
            style="not dim bold red",
        )
    else:
        secret.append(
            f"credentials were replaced in {found.redacted:,} records, and are left in none",
            style="not dim",
        )
    return Group(unchanged, secret)


def excerpt(value: bytes | None) -> str:
    """The beginning of a value as one line of printable text. For an event, the body and little of
    the metadata.
    """
    if value is None:
        return "null"
    if not value:
        return "0 bytes"
    text = _event_excerpt(value)
    if text is None:
        text = _printable(value[: _EXCERPT + 1].decode(errors="backslashreplace"))
    return (
        text if len(text) <= _EXCERPT else text[: _EXCERPT - 3].rstrip() + "..."
    ) + f" ({len(value):,} bytes)"


def _event_excerpt(value: bytes) -> str | None:
    """An event with little of its metadata; None if the value is not an event."""
    try:
        event: Any = json.loads(value)
        part = next(part for part in ("metadata", "attributes") if part in event)
        metadata, body = event[part], event["body"]
    except (ValueError, TypeError, KeyError, StopIteration):
        return None
    if not isinstance(metadata, dict):
        return None
    shown = {name: metadata[name] for name in ("event_name", "event_time") if name in metadata}
    url = metadata.get("url")
    if isinstance(url, str) and "REDACTED" in url:
        shown["url"] = url if len(url) <= _URL_EXCERPT else f"{url[:_URL_EXCERPT]}..."
    rest = len(metadata) - len(shown)
    inner = json.dumps(shown, ensure_ascii=False)[1:-1] + (f", ... {rest} more" if rest else "")
    return _printable(f'{{"{part}": {{{inner}}}, "body": {json.dumps(body, ensure_ascii=False)}}}')


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _text(content: bytes | None) -> str:
    return "null" if content is None else _printable(content.decode(errors="backslashreplace"))


def _record(
    title: str, place: str, sample: Sample, rows: Iterable[tuple[str, str]]
) -> RenderableType:
    head = Text("  ").append(title, style="bold cyan").append(f"  {place}", style="dim")
    grid = Table.grid(padding=(0, 1), expand=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, content in rows:
        grid.add_row(Text(name), Text(content))
    grid.add_row(Text("value"), Text(excerpt(sample.value)))
    return Group(head, Padding(grid, (0, 0, 1, 4)))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=True, padding=(0, 1))
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < position < 3 else "left", overflow="fold")
    return table


def _counts(sent: int, found: int) -> tuple[str, str, Text]:
    return (
        f"{sent:,}",
        f"{found:,}",
        Text("ok", style="green") if sent == found else Text("differs", style="bold red"),
    )
