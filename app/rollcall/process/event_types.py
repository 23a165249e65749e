"""The event types of an installation: those of Rollcall and those that a user adds, of which the
settings select some.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from rollcall.errors import ConfigurationError
from rollcall.events.event_type import EventType
from rollcall.events.schemas.annotations import read_event_types
from rollcall.events.schemas.files import (
    SchemaError,
    SchemaFile,
    own_schema_files,
    read_schema_folder,
    schema_folder,
)
from rollcall.events.schemas.validation import EventValidator, load_validators
from rollcall.events.selection import VARIABLE, EventSelection, names_in_words
from rollcall.settings import ENV_PREFIX, Settings

FOLDER_VARIABLE = f"{ENV_PREFIX}SCHEMAS"


class EventTypes(NamedTuple):
    """Event types by event_name."""

    known: Mapping[str, EventType]
    """Those with a schema file."""

    selected: Mapping[str, EventType]
    """Those with a typed topic."""

    @property
    def not_selected(self) -> frozenset[str]:
        """The event_names without a typed topic."""
        return frozenset(self.known.keys() - self.selected.keys())


def event_types(settings: Settings) -> EventTypes:
    """The event types of an installation, in order of family and name.

    Raises:
        ConfigurationError: the settings select none, or what they name does not exist, or the
            added schemas are not usable.
    """
    known = _known(settings.schemas)
    return EventTypes(known, EventSelection(settings.events).select(known))


@lru_cache(maxsize=8)
def schema_files(added: Path | None) -> Mapping[str, SchemaFile]:
    """The schema files of Rollcall and those that the user adds, by name. Added files are checked
    as ``rollcall schemas lint`` does: the router relies on all that it finds.

    Args:
        added: ``ROLLCALL_SCHEMAS``.

    Raises:
        ConfigurationError: an added file is not usable.
    """
    if added is None:
        return own_schema_files()
    from rollcall.events.schemas.lint import lint  # takes 0.2 s to import, and a second to run

    try:
        files = {**own_schema_files(), **read_schema_folder(added)}
    except SchemaError as error:  # Rollcall's own files are tested
        raise ConfigurationError(f"{FOLDER_VARIABLE}: {error}") from None
    if problems := lint(schema_folder(), added):
        more = f" (the first of {len(problems)} problems)" if len(problems) > 1 else ""
        raise ConfigurationError(
            f"{FOLDER_VARIABLE}: schema file {problems[0]}{more}; 'rollcall schemas lint' checks "
            f"all files of {added}"
        )
    return files


def validators_of(
    settings: Settings, names: Collection[str] | None = None
) -> Mapping[str, EventValidator]:
    """The validators by event_name.

    Args:
        names: event_names. Default: all known ones.

    Raises:
        ConfigurationError: an added file is not usable.
    """
    return _validators(settings.schemas, None if names is None else frozenset(names))


def require_selected(settings: Settings, needed: Iterable[str], reader: str) -> None:
    """Check that the event types that a process reads are selected.

    Args:
        needed: event_names.
        reader: the process, in the plural.

    Raises:
        ConfigurationError: one is not.
    """
    if missing := missing_types(settings, needed):
        raise ConfigurationError(
            f"{VARIABLE}: it leaves out {names_in_words(missing)}, which the {reader} read; add "
            f"{'it' if len(missing) == 1 else 'them'}, or do not run the {reader}"
        )


def missing_types(settings: Settings, needed: Iterable[str]) -> list[str]:
    """Those of the needed event types that are not selected."""
    selected = event_types(settings).selected
    return sorted(name for name in needed if name not in selected)


@lru_cache(maxsize=8)
def _validators(added: Path | None, names: frozenset[str] | None) -> Mapping[str, EventValidator]:
    return load_validators(schema_files(added), names)


@lru_cache(maxsize=8)
def _known(added: Path | None) -> Mapping[str, EventType]:
    return read_event_types(schema_files(added))
