"""Reads the folder of schemas. Checks only that files are JSON objects; lint.py checks the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from rollcall.errors import RollcallError
from rollcall.resources import resource_path

Schema = dict[str, Any]
"""A JSON Schema that is an object. Boolean schemas are not used by Rollcall."""

KNOWN_VALUES = "x-known-values"
"""Annotation with the known values of a field. Other values are valid, and are counted."""

ENVELOPE = "envelope"
"""Name of the schema that all schemas of events refer to."""

RELEASED = "released.json"
"""The file, in the folder of the schemas, with all schemas by name as they were last released."""

Resolver = Any  # referencing's own type is private: what Registry.resolver() returns


class SchemaError(RollcallError):
    """A schema file is invalid. The message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """One file of the folder."""

    name: str
    """Path relative to the folder, with forward slashes and without ``.json``:
    ``enrollment_created``, ``bodies/enrollment``.
    """

    raw: bytes
    document: Schema

    @property
    def id(self) -> str:
        """The ``$id``, or an empty string."""
        value = self.document.get("$id")
        return value if isinstance(value, str) else ""

    @property
    def is_event(self) -> bool:
        """Whether the file is the schema of an event, not a shared part."""
        return "/" not in self.name and self.name not in ("common", ENVELOPE)


def schema_folder() -> Path:
    """The folder of the schemas, in a checkout or in the installed package."""
    return resource_path("schemas")


def schema_paths(folder: Path) -> Iterator[tuple[str, Path]]:
    """Names and paths of the schema files of a folder, in order of name. The file of the released
    schemas is none of them, and neither are hidden files and folders: a ConfigMap of Kubernetes
    keeps its content in one, and editors keep copies there.
    """
    for path in sorted(folder.rglob("*.json")):
        relative = path.relative_to(folder)
        if path != folder / RELEASED and not any(part.startswith(".") for part in relative.parts):
            yield relative.with_suffix("").as_posix(), path


def read_schema_file(name: str, path: Path) -> SchemaFile:
    """Read one file.

    Raises:
        SchemaError: the file cannot be read, or is not a JSON object.
    """
    try:
        raw = path.read_bytes()
        document = orjson.loads(raw)
    except (OSError, orjson.JSONDecodeError) as error:
        raise SchemaError(f"schema file {name}.json cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise SchemaError(f"schema file {name}.json is not a JSON object")
    return SchemaFile(name, raw, document)


def read_schema_folder(folder: Path | None = None) -> dict[str, SchemaFile]:
    """All schema files by name; ``folder`` defaults to the project's own.

    Raises:
        SchemaError: there is no file, or a file cannot be read.
    """
    folder = schema_folder() if folder is None else folder
    files = {name: read_schema_file(name, path) for name, path in schema_paths(folder)}
    if not files:
        raise SchemaError(f"no schema files in {folder}; the folder must hold <event_name>.json")
    return files


@cache
def own_schema_files() -> Mapping[str, SchemaFile]:
    """The project's own schema files by name, read once for the process.

    Raises:
        SchemaError: like :func:`read_schema_folder`.
    """
    return MappingProxyType(read_schema_folder())


def reference_registry(documents: Iterable[Schema]) -> Registry[Any]:
    """Registry for ``$ref``: every schema by its ``$id``. It never fetches a schema."""
    resources = (
        (document["$id"], DRAFT202012.create_resource(document))
        for document in documents
        if isinstance(document.get("$id"), str)
    )
    return Registry().with_resources(resources)
