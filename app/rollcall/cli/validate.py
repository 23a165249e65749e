"""``rollcall validate``: judge the events in a file like the router."""

from __future__ import annotations

import json
import sys
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rollcall.events.outcomes import DeadLetter
    from rollcall.events.schemas.validation import EventValidator
    from rollcall.ingest.file.splitting import Place

_MAX_NAME_CHARACTERS = 100


def validate(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A file of events, or - for standard input.")
    ],
) -> None:
    """Report whether each event is valid, and for an invalid event, every rule that it breaks.

    Reads one JSON event, JSON lines, concatenated events, or an array of events. Exit code 1 if an
    event is invalid or there is no event, 2 if the file cannot be read. An event without a schema
    is unknown, not invalid. Of an event's values, only an unknown event_name is printed.
    """
    from rollcall.events.outcomes import DeadLetter, Routed, Unknown
    from rollcall.events.pipeline import Pipeline
    from rollcall.ingest.file.splitting import Broken, Splitter
    from rollcall.process.event_types import validators_of
    from rollcall.settings import load_settings

    data = _read(file)
    if data.startswith(BOM_UTF8):
        typer.echo(
            "note: the text begins with a byte order mark; the router would not accept it as JSON"
        )
    validators = validators_of(load_settings())
    pipeline = Pipeline(validators)
    counts = Counter[str]()
    splitter = Splitter()
    for value in chain(splitter.feed(data), splitter.close()):
        if isinstance(value, Broken):
            counts["not JSON"] += 1
            typer.echo(f"line {value.line}, column {value.column}: not JSON: {value.message}")
            continue
        counts["events"] += 1
        place = f"event {counts['events']}, {_place(value.place)}"
        match pipeline(value.text):
            case Routed(event_type=event_type):
                counts["valid"] += 1
                typer.echo(
                    f"{place}: valid {event_type.name} ({validators[event_type.name].schema_id})"
                )
            case Unknown():
                counts["unknown"] += 1
                typer.echo(f"{place}: unknown event_name {_unknown_name(value.text)}")
            case DeadLetter() as dead_letter:
                counts["invalid"] += 1
                validator = validators.get(dead_letter.event_name or _event_name(value.text))
                typer.echo(
                    f"{place}: invalid "
                    f"{'event' if validator is None else validator.event_type.name}"
                )
                for path, reason in _faults(dead_letter, value.text, validator):
                    typer.echo(f"  {path or '(the event)'}: {reason}")
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in ("valid", "invalid", "unknown"))
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


def _place(place: Place) -> str:
    return f"line {place.line}" if place.item is None else f"line {place.line}, item {place.item}"


def _unknown_name(text: bytes) -> str:
    """The event_name of an event with a valid envelope, escaped for a terminal."""
    name = _event_name(text)
    is_short = len(name) <= _MAX_NAME_CHARACTERS
    return json.dumps(name if is_short else name[:_MAX_NAME_CHARACTERS] + "...")


def _event_name(text: bytes) -> str:
    """The unchecked event_name in a JSON text; empty if there is none."""
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
    dead_letter: DeadLetter, text: bytes, validator: EventValidator | None
) -> Iterator[tuple[str, str]]:
    """Path and reason of each fault: all violations of the schema, or else the router's reason."""
    import orjson

    violations = [] if validator is None else validator.violations(orjson.loads(text))
    yield from (
        (violation.path, f"{violation.message} [{violation.rule}]") for violation in violations
    )
    if not violations:
        rule, colon, message = dead_letter.message.partition(": ")
        yield dead_letter.path, f"{message} [{rule}]" if colon else rule
