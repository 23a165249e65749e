"""A stored record as one JSON object, for a line of an export. Pure."""

from __future__ import annotations

import base64
from typing import Any

from rollcall.dead_letters.outline import outline
from rollcall.dead_letters.tally import event_name_label
from rollcall.dead_letters.view import StoredRecord, error_fields, event_name_of, format_time
from rollcall.process.dead_letter_records import attempts_of


def export_object(record: StoredRecord, words: frozenset[str], *, raw: bool) -> dict[str, Any]:
    """Place, error and an outline of the value; ``raw``: key, headers and value instead.

    Bytes are a string if they are UTF-8, else ``{"base64": "…"}``. Null means no bytes.

    Args:
        words: texts that may be shown (:func:`rollcall.dead_letters.outline.known_words`).
    """
    error = error_fields(record.headers)
    common: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": format_time(-1 if record.timestamp is None else record.timestamp),
        **{name: error.get(name, "") for name in ("code", "message", "path", "schema")},
        "attempt": attempts_of(record.headers),
        "from": {name: error.get(name, "") for name in ("topic", "partition", "offset")},
    }
    if raw:
        headers = [[name, _encode(content)] for name, content in record.headers]
        return common | {
            "event_name": event_name_of(record) or "",
            "key": _encode(record.key),
            "headers": headers,
            "value": _encode(record.value),
        }
    value_outline = outline(record.value, words)
    return common | {
        "event_name": event_name_label(record, words),
        "kind": value_outline.kind,
        "lines": [[*line] for line in value_outline.lines],
    }


def _encode(content: bytes | None) -> str | dict[str, str] | None:
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
