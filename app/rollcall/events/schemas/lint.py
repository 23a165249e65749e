"""The checks of ``rollcall schemas lint`` on the schema files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator as Reference
from jsonschema_rs import Draft202012Validator
from referencing import Registry

from rollcall.events.event_type import Key
from rollcall.events.schemas.annotations import KEY, AnnotationError, EventTypeReader
from rollcall.events.schemas.compatibility import UNDERSTOOD, narrowings
from rollcall.events.schemas.files import (
    ENVELOPE,
    KNOWN_VALUES,
    RELEASED,
    Schema,
    SchemaError,
    SchemaFile,
    read_schema_file,
    reference_registry,
    schema_paths,
)
from rollcall.events.schemas.flatten import (
    LISTS_OF_SCHEMAS,
    MAPS_OF_SCHEMAS,
    SCHEMAS,
    Targets,
    flatten,
    is_annotation,
)
from rollcall.events.schemas.names import Problem, clash_problems, name_problems, version_of
from rollcall.events.schemas.reference import ecma_pattern, reference_validators
from rollcall.events.schemas.violations import describe, pointer

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_META_SCHEMA, _FAST_META_SCHEMA = (
    Reference(Reference.META_SCHEMA),
    Draft202012Validator(Reference.META_SCHEMA),
)
_STRUCTURE = frozenset({"$schema", "$id", "$defs", "$ref"})
_DIFFERS_BETWEEN_ENGINES = re.compile(r"\\[A-Za-z0-9]|\(\?[^:]")


def lint(folder: Path, added: Path | None = None) -> list[Problem]:
    """All problems of the schema files of a folder, the released schemas included, by file.

    Args:
        added: another folder, whose files stand beside those of ``folder``.
    """
    problems: list[Problem] = []
    own = _readable(schema_paths(folder), problems)
    beside = {} if added is None else _readable(schema_paths(added), problems)
    problems += clash_problems(own, beside)
    files = own | beside
    released = _released(folder, problems)
    for file in files.values():
        problems += _meta_schema_problems(file, f"{file.name}.json")
    for file in released.values():
        problems += _meta_schema_problems(file, RELEASED, pointer([file.name]))
    if problems:  # the other checks need valid files
        return sorted(set(problems))
    references = reference_registry(file.document for file in files.values())
    targets: Targets = {}
    for file in files.values():
        problems += _file_problems(file)
        problems += _reference_problems(file, references, targets)
    problems += name_problems(files)
    read_event_type = EventTypeReader(files)
    oracles = reference_validators(files)
    flat: dict[str, Schema] = {}
    for name, file in files.items():
        if file.is_event and (schema := _flat(file, references, targets)) is not None:
            flat[name] = schema
            problems += _envelope_problems(file, files)
            problems += _event_problems(file, schema, oracles[name], read_event_type)
    problems += _release_problems(files, flat, released)
    if not problems:
        problems += [
            Problem(f"{name}.json", "", "cannot be compiled", "look for very large repetitions")
            for name, file in files.items()
            if file.is_event and name not in flat
        ]
    return sorted(set(problems))


def _readable(paths: Iterable[tuple[str, Path]], problems: list[Problem]) -> dict[str, SchemaFile]:
    files = {}
    for name, path in paths:
        try:
            files[name] = read_schema_file(name, path)
            json.loads(files[name].raw, object_pairs_hook=_without_duplicates)
        except SchemaError as error:
            problems.append(Problem(f"{name}.json", "", str(error), "write one JSON object"))
        except (ValueError, RecursionError) as error:
            problems.append(
                Problem(f"{name}.json", "", str(error), "write every key once, and nest less")
            )
    return files


def _released(folder: Path, problems: list[Problem]) -> dict[str, SchemaFile]:
    """The schemas as they were last released. None if the file is not there."""
    path = folder / RELEASED
    files = {}
    for bundle in _readable([(path.stem, path)] if path.exists() else [], problems).values():
        for name, document in bundle.document.items():
            if isinstance(document, dict):
                files[name] = SchemaFile(name, b"", document)
            else:
                todo = "write the schema of the release"
                problems.append(Problem(RELEASED, pointer([name]), "is not a JSON object", todo))
    return files


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f'the key "{key}" is twice in one object')
    return dict(pairs)


def _meta_schema_problems(file: SchemaFile, path: str, at: str = "") -> Iterator[Problem]:
    if _FAST_META_SCHEMA.is_valid(file.document):  # saves two thirds of the time of lint
        return
    for error in _META_SCHEMA.iter_errors(file.document):
        fault = f"is no JSON Schema: {error.message[:200]}"
        where = at + pointer(error.absolute_path)
        yield Problem(path, where, fault, "see the specification of the keyword")


def _file_problems(file: SchemaFile) -> Iterator[Problem]:
    path, document = f"{file.name}.json", file.document
    if document.get("$schema") != DIALECT:
        yield Problem(path, "/$schema", "is not draft 2020-12", f"write {DIALECT}")
    for keyword in ("title", "description"):
        if not document.get(keyword):
            yield Problem(path, f"/{keyword}", "is missing", "say what the schema describes")
    for where, schema in _subschemas(document):
        for keyword, value in schema.items():
            if keyword not in UNDERSTOOD | _STRUCTURE and not is_annotation(keyword):
                yield Problem(
                    path,
                    f"{where}/{keyword}",
                    "is a keyword that compatibility.py cannot compare",
                    "use another, or teach it this one, with tests",
                )
            if keyword == "pattern":
                yield from _pattern_problems(path, f"{where}/pattern", value)
            if keyword == "$ref" and not value.startswith("urn:"):
                yield Problem(
                    path,
                    f"{where}/$ref",
                    "is not absolute",
                    "name the file by its $id: urn:rollcall:canvas:<name>:<version>#/<pointer>",
                )


def _subschemas(schema: Any, where: str = "") -> Iterator[tuple[str, Schema]]:
    if not isinstance(schema, dict):
        return
    yield where, schema
    for keyword, value in schema.items():
        at = where + pointer([keyword])
        if keyword in MAPS_OF_SCHEMAS or keyword == "$defs":
            for name, part in value.items():
                yield from _subschemas(part, at + pointer([name]))
        elif keyword in LISTS_OF_SCHEMAS:
            for index, part in enumerate(value):
                yield from _subschemas(part, f"{at}/{index}")
        elif keyword in SCHEMAS:
            yield from _subschemas(value, at)


def _pattern_problems(path: str, where: str, pattern: str) -> Iterator[Problem]:
    try:
        ecma_pattern(pattern)
        Draft202012Validator({"pattern": pattern})
    except ValueError as error:
        yield Problem(
            path, where, str(error).splitlines()[0][:200], "write a regular expression of ECMA 262"
        )
    if _DIFFERS_BETWEEN_ENGINES.search(pattern) or "." in re.sub(r"\\.|\[[^]]*\]", "", pattern):
        yield Problem(
            path,
            where,
            "means different things to different engines",
            r"write character classes such as [0-9] for \d and '.', and no look-around",
        )


def _reference_problems(
    file: SchemaFile, references: Registry[Any], targets: Targets
) -> Iterator[Problem]:
    for where, schema in _subschemas(file.document):
        if isinstance(reference := schema.get("$ref"), str):
            try:
                flatten({"$ref": reference}, references.resolver(file.id), targets)
            except SchemaError as error:
                yield Problem(
                    f"{file.name}.json",
                    f"{where}/$ref",
                    str(error).partition(";")[0],
                    "name an $id that a schema file has now",
                )


def _flat(file: SchemaFile, references: Registry[Any], targets: Targets) -> Schema | None:
    """The flat schema, or None if a file has faults, which other checks report."""
    try:
        schema = flatten(file.document, references.resolver(file.id), targets)
        Draft202012Validator(schema)
    except (SchemaError, ValueError, TypeError, AttributeError, KeyError):
        return None
    return schema


def _envelope_problems(file: SchemaFile, files: Mapping[str, SchemaFile]) -> Iterator[Problem]:
    """The recogniser relies on all that the envelope requires."""
    envelope = files[ENVELOPE].id if ENVELOPE in files else ""
    if file.document.get("$ref") != envelope:
        yield Problem(
            f"{file.name}.json",
            "/$ref",
            "is not the envelope of all events",
            f'write {{"$ref": "{envelope}"}}',
        )


def _event_problems(
    file: SchemaFile, schema: Schema, oracle: Any, read_event_type: EventTypeReader
) -> Iterator[Problem]:
    path = f"{file.name}.json"
    properties = schema.get("properties", {})
    for part in ("metadata", "attributes"):
        if (
            properties.get(part, {}).get("properties", {}).get("event_name", {}).get("const")
            != file.name
        ):
            at = f"/properties/{part}/properties/event_name/const"
            yield Problem(
                path, at, "is not the name of the file", f'write {{"const": "{file.name}"}}'
            )
    body = properties.get("body", {})
    for name in body.get("required", []):
        if name not in body.get("properties", {}):
            yield Problem(
                path,
                "/properties/body",
                f"requires {name} and does not describe it",
                "add it to the properties",
            )
    yield from _known_value_problems(path, body)
    try:
        key = read_event_type(file).key
    except AnnotationError as error:
        yield Problem(path, f"/{error.annotation}", error.fault, error.remedy)
    else:
        yield from _key_problems(path, key, schema)
        yield from _example_key_problems(path, file, key)
    yield from _example_problems(path, file, schema, oracle)


def _known_value_problems(path: str, body: Schema) -> Iterator[Problem]:
    for name, field in body.get("properties", {}).items():
        if KNOWN_VALUES not in field:
            continue
        at = f"/properties/body{pointer(['properties', name])}/{KNOWN_VALUES}"
        values = field[KNOWN_VALUES]
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            yield Problem(path, at, "is not a list of texts", "write the known texts")
        elif not _types(field) <= {"string", "null"}:
            yield Problem(
                path,
                at,
                "is on a field that may have another type than text",
                'write {"type": "string"} or {"type": ["string", "null"]} in the field',
            )


def _types(schema: Schema) -> frozenset[str]:
    """The JSON types that a flat schema allows; ``any`` if it names none."""
    types = schema.get("type", "any")
    return frozenset([types] if isinstance(types, str) else types)


def _key_problems(path: str, key: Key | None, schema: Schema) -> Iterator[Problem]:
    if key is None:
        return
    for name in key.path:
        schema = schema.get("properties", {}).get(name, {})
    if not _types(schema) - {"any"} <= {"string", "integer", "null"}:
        yield Problem(
            path, f"/{KEY}", "leads to a value that cannot be a key", "name an id or a text"
        )


def _example_key_problems(path: str, file: SchemaFile, key: Key | None) -> Iterator[Problem]:
    """A key need not be required. In an example of the event type it is there."""
    examples = file.document.get("examples")
    if key is None or not isinstance(examples, list):
        return
    if not any(_value_of(key, example) is not None for example in examples):
        yield Problem(
            path,
            f"/{KEY}",
            "leads to a field that no example has",
            "name the field that identifies the entity, or complete the example",
        )


def _value_of(key: Key, example: Any) -> Any:
    if not isinstance(example, dict):
        return None
    metadata = example.get("metadata" if "metadata" in example else "attributes")
    body = example.get("body")
    if not isinstance(metadata, dict) or not isinstance(body, dict):
        return None
    return key.value(metadata, body)


def _example_problems(
    path: str, file: SchemaFile, schema: Schema, oracle: Any
) -> Iterator[Problem]:
    examples = file.document.get("examples")
    if not isinstance(examples, list) or not examples:
        yield Problem(path, "/examples", "there is no example", "add a whole event")
        return
    fast = Draft202012Validator(schema)
    for index, example in enumerate(examples):
        for violation in describe(fast.iter_errors(example), schema):
            yield Problem(
                path,
                f"/examples/{index}{violation.path}",
                f"is not valid: {violation.message}",
                "correct the example or the schema",
            )
        try:
            agreed = oracle.is_valid(example) == fast.is_valid(example)
        except Exception:
            agreed = True  # other checks report references and patterns
        if not agreed:
            yield Problem(
                path,
                f"/examples/{index}",
                "jsonschema and jsonschema-rs disagree about it",
                "write the schema so that both agree",
            )


def _release_problems(
    files: Mapping[str, SchemaFile], flat: Mapping[str, Schema], released: Mapping[str, SchemaFile]
) -> Iterator[Problem]:
    references = reference_registry(file.document for file in released.values())
    targets: Targets = {}
    for name, before in released.items():
        path = f"{name}.json"
        now = files.get(name)
        if now is None:
            if before.is_event:
                yield Problem(
                    path,
                    "",
                    "was released and is gone, so events that were valid would be unknown",
                    f"restore it from {RELEASED}",
                )
            continue
        if now.document != before.document and (remedy := _version_remedy(before, now)):
            yield Problem(
                path, "/$id", f"the file has changed since {_version(before)} was released", remedy
            )
        if (
            before.is_event
            and name in flat
            and (old := _flat(before, references, targets)) is not None
        ):
            for narrowing in narrowings(old, flat[name]):
                fault = f"would reject what was accepted: {narrowing.path} {narrowing.change}"
                yield Problem(
                    path, "", fault, "undo it; a consumer that needs less can check that for itself"
                )


def _version(file: SchemaFile) -> str:
    return file.id.rpartition(":")[2]


def _version_remedy(before: SchemaFile, now: SchemaFile) -> str | None:
    old, new = version_of(before), version_of(now)
    if old is None or new is None or new > old:
        return None
    return f"give it a higher version than {_version(before)}, here and in the $refs to it"
