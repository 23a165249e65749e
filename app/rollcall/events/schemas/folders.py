"""Reads Rollcall's schema files together with those that a user adds."""

from __future__ import annotations

from pathlib import Path

from rollcall.events.schemas.files import SchemaError, SchemaFile, read_schema_folder
from rollcall.events.schemas.names import clash_problems, name_problems


def read_schemas(folder: Path | None = None, added: Path | None = None) -> dict[str, SchemaFile]:
    """All schema files by name.

    Args:
        folder: default: the project's schemas.
        added: a user's folder, whose files stand beside those of ``folder``.

    Raises:
        SchemaError: a folder has no file, or a file cannot be read, or clashes with another.
    """
    files = read_schema_folder(folder)
    if added is None:
        return files
    beside = read_schema_folder(added)
    for problem in clash_problems(files, beside):
        raise SchemaError(f"schema file {problem}")
    files |= beside
    for problem in name_problems(files):
        raise SchemaError(f"schema file {problem}")
    return files
