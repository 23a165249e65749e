"""The oracle: validators by ``jsonschema``, the Python reference implementation. Only for lint and
tests.

It uses the files with their references, and so also checks
app/rollcall/events/schemas/flatten.py.

The keyword ``pattern`` is overridden: it is a regular expression of ECMA 262 (JSON Schema core,
6.4), but ``jsonschema`` uses Python's ``re``, whose ``$`` also matches before a trailing newline
and whose ``\\d`` matches digits of every script. Without the override ``"21070000000000565\\n"``
would be an id for the oracle, but not for jsonschema-rs.
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
    """The Python equivalent of an ECMA 262 regular expression that lint.py accepts.

    Raises:
        ValueError: it is not a regular expression.
    """
    # \Z matches only at the end. In a class or after a backslash, $ is a dollar sign. With ASCII,
    # \d and \w are those of ECMA.
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
"""Class of the oracle's validators. ``$schema`` in a schema disables it: see
:func:`reference_validators`.
"""


def reference_validators(files: Mapping[str, SchemaFile]) -> dict[str, Any]:
    """The oracles of the event schemas of a folder, by event_name. They have
    ``is_valid(event)``.
    """
    # At a $schema behind a $ref, jsonschema switches to its own class, without the override.
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
        KeyError: there is no schema file with this name.
        SchemaError: the folder is invalid.
    """
    return reference_validators(read_schema_folder(folder))[name]
