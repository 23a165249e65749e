"""What Rollcall is made of: every distribution pinned with hashes, installed as it is pinned, and
under a licence that is allowed.

Known vulnerabilities are another matter: they change by the day, and are looked up in a database
(docs/operations.md).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from tests.docs.markdown import ROOT

LOCK = ROOT / "requirements.lock"
NPM_LOCKS = tuple(
    ROOT / "tests" / folder / "package-lock.json" for folder in ("serve/browser", "docs/asyncapi")
)
LICENCES = Path(__file__).with_name("licences.toml")

NOT_LOCKED = frozenset({"rollcall", "pip"})
"""Rollcall itself, and what a virtual environment comes with."""

_ENTRY = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\\n]+?))?\s*(?P<hashes>(?:\\\n\s+--hash=\S+\s*)*)$",
    re.MULTILINE,
)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?=\s|$)")
_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+")
_OPERATORS = frozenset({"AND", "OR", "WITH"})


class Locked(NamedTuple):
    """An entry of the lock."""

    version: str
    hashes: int
    needed_here: bool


class Part(NamedTuple):
    """A distribution or package, with what is wrong with it; nothing when it is as it should be."""

    name: str
    version: str
    licence: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Licences:
    """What licences.toml says."""

    allowed: frozenset[str]
    written: Mapping[str, str]
    by_name: Mapping[str, str]

    @classmethod
    def read(cls, path: Path = LICENCES) -> Licences:
        """The file."""
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(frozenset(said["allowed"]), said["written"], said["by-name"])

    def of(self, name: str, metadata: Message) -> str:
        """The licence of a distribution, as far as it can be told: an SPDX expression, or what it
        wrote itself.
        """
        if name in self.by_name:
            return self.by_name[name]
        if expression := metadata.get("License-Expression"):
            return str(expression)
        prefix = "License :: "
        classifiers = [
            text.removeprefix(prefix)
            for text in metadata.get_all("Classifier") or []
            if text.startswith(prefix)
        ]
        said = classifiers or [str(metadata.get("License") or "")]
        return " AND ".join(self.written.get(text, text) for text in said)

    def refuses(self, licence: str) -> list[str]:
        """What of an expression is not allowed. Also of alternatives, each must be: simpler to read
        than which of them is chosen.
        """
        names = [word for word in _IDENTIFIER.findall(licence) if word not in _OPERATORS]
        return [name for name in names if name not in self.allowed] or (
            [] if names else ["none that is told"]
        )


def read_lock(text: str) -> dict[str, Locked]:
    """The entries of a lock that pip-compile wrote, by normal name."""
    return {
        canonicalize_name(entry["name"]): Locked(
            entry["version"],
            len(_HASH.findall(entry["hashes"])),
            entry["marker"] is None or Marker(entry["marker"]).evaluate(),
        )
        for entry in _ENTRY.finditer(text)
    }


def requirement_lines(text: str) -> int:
    """How many requirements a lock has, whether or not they are pinned."""
    return len(re.findall(r"^[^\s#]", text, re.MULTILINE))


def audit_distributions(
    lock: Mapping[str, Locked], installed: Mapping[str, Message], licences: Licences
) -> Iterator[Part]:
    """All that are locked or installed."""
    for name in sorted(lock.keys() | installed.keys()):
        entry, metadata = lock.get(name), installed.get(name)
        if entry is None:
            if name not in NOT_LOCKED:
                yield Part(
                    name,
                    str(metadata and metadata["Version"]),
                    "",
                    ("is installed and not in requirements.lock",),
                )
            continue
        problems = [] if entry.hashes else ["has no hash in requirements.lock"]
        licence = ""
        if metadata is not None:
            licence = licences.of(name, metadata)
            problems += [
                f"licence {refused!r} is not in {LICENCES.name}"
                for refused in licences.refuses(licence)
            ]
            if metadata["Version"] != entry.version:
                problems.append(f"{metadata['Version']} is installed")
        elif entry.needed_here:
            problems.append("is not installed")
        yield Part(name, entry.version, licence, tuple(problems))


def audit_npm(lock: Any, licences: Licences) -> Iterator[Part]:
    """The packages of a package-lock.json."""
    for path, package in lock["packages"].items():
        if not path:
            continue  # what is locked for
        licence = str(package.get("license", ""))
        problems = [
            f"licence {refused!r} is not in {LICENCES.name}"
            for refused in licences.refuses(licence)
        ]
        if not re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package.get("integrity", "")):
            problems.append("has no integrity in package-lock.json")
        yield Part(
            path.removeprefix("node_modules/"),
            str(package.get("version")),
            licence,
            tuple(problems),
        )


def audit() -> list[Part]:
    """Everything."""
    text = LOCK.read_text(encoding="utf-8")
    lock, licences = read_lock(text), Licences.read()
    installed: dict[str, Any] = {
        canonicalize_name(distribution.name): distribution.metadata
        for distribution in distributions()
    }
    parts = [*audit_distributions(lock, installed, licences)]
    for npm_lock in NPM_LOCKS:
        parts += audit_npm(json.loads(npm_lock.read_text(encoding="utf-8")), licences)
    if len(lock) != requirement_lines(text):
        parts.append(
            Part(
                LOCK.name,
                "",
                "",
                (f"{requirement_lines(text) - len(lock)} lines are not of the form name==version",),
            )
        )
    return parts


def table(parts: Iterable[Part]) -> Iterator[str]:
    """For people."""
    parts = list(parts)
    for part in parts:
        problems = "; ".join(part.problems)
        yield f"{part.name:30} {part.version:20} {part.licence:42} {problems}".rstrip()
    faulty = sum(bool(part.problems) for part in parts)
    yield f"{len(parts)} distributions and packages, {faulty} with problems"
