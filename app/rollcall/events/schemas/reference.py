"""The oracle: the same schemas judged by ``jsonschema``, the reference implementation in Python.
For lint and tests; the hot path does not import it.

It reads the files as they are, with their references, so that it also checks
app/rollcall/events/schemas/flatten.py.

One keyword has to be told the specification: ``pattern`` is a regular expression of ECMA 262 (JSON
Schema core, 6.4), and ``jsonschema`` hands it to Python's ``re``, where ``$`` also matches before a
trailing newline and ``\\d`` matches digits of every script. Without that,
``"21070000000000565\\n"`` would be an id to the oracle and none to jsonschema-rs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from rollcall.events.schemas.files import Schema, SchemaFile, read_schema_folder, reference_registry

_TOKEN = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|.", re.DOTALL)


@cache
def ecma_pattern(pattern: str) -> re.Pattern[str]:
    """The Python equivalent of a regular expression of ECMA 262, for those that lint.py lets pass.

    Raises:
        ValueError: it is no regular expression.
    """
    # \Z is the end and nothing else. Inside a class or after a backslash, $ is a dollar. ASCII
    # makes \d and \w what they are in ECMA.
    translated = "".join(r"\Z" if part == "$" else part for part in _TOKEN.findall(pattern))
    try:
        return re.compile(translated, re.ASCII)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


def _pattern(
    validator: Any, pattern: str, instance: object, schema: Schema
) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not ecma_pattern(pattern).search(instance):
        yield ValidationError("does not match the pattern")


# the stubs leave extend untyped
ReferenceValidator: Any = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
"""The class of the oracle's validators. A schema with a ``$schema`` in it loses the class: see
:func:`reference_validators`.
"""


def reference_validators(files: Mapping[str, SchemaFile]) -> dict[str, Any]:
    """The oracles of the event schemas of a folder, by event_name. Ask one ``is_valid(event)``."""
    # A $schema behind a $ref makes jsonschema go on with its own class for that dialect, without
    # the pattern keyword above.
    documents = {
        name: {key: value for key, value in file.document.items() if key != "$schema"}
        for name, file in files.items()
    }
    references = reference_registry(documents.values())
    return {
        name: ReferenceValidator(documents[name], registry=references)
        for name, file in files.items()
        if file.is_event
    }


def reference_validator(name: str, folder: Path | None = None) -> Any:
    """The oracle of one event_name; ``folder`` defaults to the project's schemas.

    Raises:
        KeyError: there is no schema file of that name.
        SchemaError: the folder cannot be used.
    """
    return reference_validators(read_schema_folder(folder))[name]
