"""A record as one JSON object, for a line of an export. Pure."""

from __future__ import annotations

import base64
from typing import Any

from rollcall.dead_letters.letter import StoredRecord, event_name_of, said_of, written_time
from rollcall.dead_letters.outline import outline
from rollcall.dead_letters.tally import event_name_to_show
from rollcall.process.dead_letter_records import attempts_of


def exported(record: StoredRecord, words: frozenset[str], *, raw: bool) -> dict[str, Any]:
    """The object: where the record is, what it says of itself, and an outline of its value;
    ``raw``: key, headers and value themselves instead.

    Bytes are a string if they are UTF-8, else ``{"base64": "…"}``, and null if there are none.

    Args:
        words: texts that are shown as they are (:func:`rollcall.dead_letters.outline.known_words`).
    """
    said = said_of(record.headers)
    shown: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": written_time(-1 if record.timestamp is None else record.timestamp),
        **{name: said.get(name, "") for name in ("code", "message", "path", "schema")},
        "attempt": attempts_of(record.headers),
        "from": {name: said.get(name, "") for name in ("topic", "partition", "offset")},
    }
    if raw:
        headers = [[name, _written(content)] for name, content in record.headers]
        return shown | {
            "event_name": event_name_of(record) or "",
            "key": _written(record.key),
            "headers": headers,
            "value": _written(record.value),
        }
    view = outline(record.value, words)
    return shown | {
        "event_name": event_name_to_show(record, words),
        "kind": view.kind,
        "lines": [[*line] for line in view.lines],
    }


def _written(content: bytes | None) -> str | dict[str, str] | None:
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
