"""A record as one JSON object, for a line of an export. Pure."""

from __future__ import annotations

import base64
import json
from typing import Any

from app.dead_letters.letter import StoredRecord, letter_of


def exported(record: StoredRecord, words: frozenset[str], *, raw: bool) -> dict[str, Any]:
    """The object: what the letter says of itself, with an outline of its value; ``raw``: with key, headers and value themselves instead.

    Bytes are a string if they are UTF-8, else ``{"base64": "…"}``, and null if there are none.
    """
    shown = letter_of(record, words).shown()
    kind, lines = shown.pop("kind"), shown.pop("lines")
    content: dict[str, Any]
    if raw:
        headers = [[name, _written(value)] for name, value in record.headers]
        content = {"key": _written(record.key), "headers": headers, "value": _written(record.value)}
    else:
        content = {"outline": {"kind": kind, "lines": lines}}
    return {"topic": record.topic} | shown | content


def line_of(exported_record: dict[str, Any]) -> str:
    """The line, without its end: in ASCII, with nothing in it that a terminal would obey."""
    return json.dumps(exported_record).replace("\x7f", "\\u007f")


def _written(content: bytes | None) -> str | dict[str, str] | None:
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
