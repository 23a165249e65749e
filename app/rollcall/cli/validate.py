"""``rollcall validate``: what the router makes of the events in a file."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rollcall.events.outcomes import DeadLetter
    from rollcall.events.reading import Parsed
    from rollcall.events.schemas.validation import EventValidator

_LONGEST_NAME = 100


def validate(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A file of events, or - for standard input.")
    ],
) -> None:
    """Say of each event whether it is valid, and if not, every rule that it breaks.

    Reads one JSON event, JSON lines, events one after the other, or an array of events. Exit code 1
    if one is invalid or there is none, 2 if the file cannot be read. An event whose name has no
    schema is not invalid. No value of an event is printed, but an unknown event_name.
    """
    from rollcall.events.outcomes import DeadLetter, Routed, Unknown
    from rollcall.events.pipeline import Pipeline
    from rollcall.events.reading import Broken, has_byte_order_mark, read_values
    from rollcall.events.schemas.validation import load_validators

    data = _read(file)
    if has_byte_order_mark(data):
        typer.echo(
            "note: the text begins with a byte order mark; the router would not read it as JSON"
        )
    validators = load_validators()
    pipeline = Pipeline(validators)
    counts = Counter[str]()
    for found in read_values(data):
        if isinstance(found, Broken):
            counts["not JSON"] += 1
            typer.echo(f"line {found.line}, column {found.column}: not JSON: {found.message}")
            continue
        counts["events"] += 1
        place = f"event {counts['events']}, {_place(found)}"
        match pipeline(found.text):
            case Routed(event_type=event_type):
                counts["valid"] += 1
                typer.echo(
                    f"{place}: valid {event_type.name} ({validators[event_type.name].schema_id})"
                )
            case Unknown():
                counts["unknown"] += 1
                typer.echo(f"{place}: unknown event_name {_unknown_name(found.text)}")
            case DeadLetter() as letter:
                counts["invalid"] += 1
                validator = validators.get(letter.event_name or _event_name(found.text))
                typer.echo(
                    f"{place}: invalid "
                    f"{'event' if validator is None else validator.event_type.name}"
                )
                for path, reason in _faults(letter, found.text, validator):
                    typer.echo(f"  {path or '(the event)'}: {reason}")
    summary = ", ".join(f"{counts[what]} {what}" for what in ("valid", "invalid", "unknown"))
    typer.echo(
        f"{counts['events']} event{'' if counts['events'] == 1 else 's'}: {summary}, "
        f"{counts['not JSON']} not JSON"
    )
    if counts["invalid"] or counts["not JSON"] or not counts["events"]:
        raise typer.Exit(1)


def _read(file: str) -> bytes:
    from rollcall.errors import ConfigurationError

    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(f"cannot read {file!a}: {reason}") from None


def _place(found: Parsed) -> str:
    return f"line {found.line}" if found.item is None else f"line {found.line}, item {found.item}"


def _unknown_name(text: bytes) -> str:
    """The event_name of an event with a good envelope. It may be anything, and no terminal misreads
    what is returned.
    """
    name = _event_name(text)
    return json.dumps(name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "...")


def _event_name(text: bytes) -> str:
    """The event_name in a JSON text, whatever it is; empty if there is none."""
    import orjson

    event = orjson.loads(text)
    metadata = (
        event.get("metadata" if "metadata" in event else "attributes")
        if isinstance(event, dict)
        else None
    )
    name = metadata.get("event_name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _faults(
    letter: DeadLetter, text: bytes, validator: EventValidator | None
) -> Iterator[tuple[str, str]]:
    """Path and reason of each fault: all violations of the schema, or the one thing that the router
    says of the event.
    """
    import orjson

    violations = [] if validator is None else validator.violations(orjson.loads(text))
    yield from (
        (violation.path, f"{violation.message} [{violation.rule}]") for violation in violations
    )
    if not violations:
        rule, colon, message = letter.message.partition(": ")
        yield letter.path, f"{message} [{rule}]" if colon else rule
