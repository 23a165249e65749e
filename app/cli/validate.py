"""``rollcall validate``: what the schemas say of the events in a file."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.events.reading import Parsed

_LONGEST_NAME = 100


def validate(file: Annotated[str, typer.Argument(metavar="FILE", help="A file of events, or - for standard input.")]) -> None:
    """Say of each event whether it is valid, and if not, every rule that it breaks.

    Reads one JSON event, JSON lines, events one after the other, or an array of events. Exit code 1 if one is invalid or there is none, 2 if the file
    cannot be read. An event whose name has no schema is not invalid. No value of an event is printed, but an unknown event_name.
    """
    from app.events.reading import Broken, has_byte_order_mark, read_values
    from app.events.validation import load_validators
    from app.events.verdict import Invalid, Unknown, Valid, judge

    data = _read(file)
    if has_byte_order_mark(data):
        typer.echo("note: the text begins with a byte order mark; the router would not read it as JSON")
    validators = load_validators()
    counts = Counter[str]()
    for found in read_values(data):
        if isinstance(found, Broken):
            counts["not JSON"] += 1
            typer.echo(f"line {found.line}, column {found.column}: not JSON: {found.message}")
            continue
        counts["events"] += 1
        place = f"event {counts['events']}, {_place(found)}"
        match judge(found.value, validators):
            case Valid(event_name, schema_id):
                counts["valid"] += 1
                typer.echo(f"{place}: valid {event_name} ({schema_id})")
            case Unknown(event_name):
                counts["unknown"] += 1
                typer.echo(f"{place}: unknown event_name {_printable(event_name)}")
            case Invalid(event_name, violations):
                counts["invalid"] += 1
                typer.echo(f"{place}: invalid {event_name or 'event'}")
                for violation in violations:
                    typer.echo(f"  {violation.path or '(the event)'}: {violation.message} [{violation.rule}]")
    summary = ", ".join(f"{counts[what]} {what}" for what in ("valid", "invalid", "unknown"))
    typer.echo(f"{counts['events']} event{'' if counts['events'] == 1 else 's'}: {summary}, {counts['not JSON']} not JSON")
    if counts["invalid"] or counts["not JSON"] or not counts["events"]:
        raise typer.Exit(1)


def _read(file: str) -> bytes:
    from app.errors import ConfigurationError

    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(f"cannot read {file!a}: {reason}") from None


def _place(found: Parsed) -> str:
    return f"line {found.line}" if found.item is None else f"line {found.line}, item {found.item}"


def _printable(event_name: str) -> str:
    """A name that may be anything, as one that no terminal misreads."""
    return json.dumps(event_name if len(event_name) <= _LONGEST_NAME else event_name[:_LONGEST_NAME] + "...")
