"""The texts that a release changes: the version, the changelog, the released schemas. All pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

VERSIONED = (
    "pyproject.toml",
    "deploy/compose/docker-compose.yml",
    "deploy/container/Containerfile",
    "deploy/kubernetes/base/kustomization.yaml",
    "deploy/kubernetes/overlays/example/kustomization.yaml",
    "docs/deployment.md",
)
"""The files that name Rollcall's version, relative to the checkout."""

UNRELEASED = "## [Unreleased]\n"

Version = tuple[int, int, int]

_NUMBER = r"(?:0|[1-9][0-9]*)"
_VERSION = rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
_PLACE = re.compile(
    rf'(?P<before>rollcall[:-]|newTag: |^version = ")(?P<version>{_VERSION})', re.MULTILINE
)
_HEADING = re.compile(rf"^## \[(?P<version>{_VERSION})\]", re.MULTILINE)


class ReleaseError(Exception):
    """There can be no release. The message is one line, and says what to do."""


def parse_version(text: str) -> Version:
    """The three numbers.

    Raises:
        ReleaseError: the text is not ``x.y.z``.
    """
    if not re.fullmatch(_VERSION, text):
        raise ReleaseError(f"VERSION is {text!a}: write three numbers, such as 1.2.0")
    major, minor, patch = map(int, text.split("."))
    return major, minor, patch


def project_version(pyproject: str) -> str:
    """The version in ``pyproject.toml``.

    Raises:
        ReleaseError: there is none.
    """
    if not (found := re.search(rf'^version = "({_VERSION})"$', pyproject, re.MULTILINE)):
        raise ReleaseError('pyproject.toml has no line version = "x.y.z"')
    return found[1]


def check_version(version: str, *, current: str, changelog: str) -> None:
    """Whether ``version`` may follow.

    Raises:
        ReleaseError: it is no version, was released already, or is lower than a released or the
            current one.
    """
    wanted = parse_version(version)
    released = max(map(parse_version, _HEADING.findall(changelog)), default=None)
    if released is not None and wanted <= released:
        last = ".".join(map(str, released))
        raise ReleaseError(f"VERSION is {version}, and {last} is released: write a higher one")
    if wanted < parse_version(current):
        raise ReleaseError(
            f"VERSION is {version}, and pyproject.toml has {current}: write that or a higher one"
        )


def with_version(path: str, text: str, version: str) -> str:
    """A file of :data:`VERSIONED` with the version in each place.

    Raises:
        ReleaseError: the file has no such place.
    """
    changed, places = _PLACE.subn(rf"\g<before>{version}", text)
    if not places:
        raise ReleaseError(f"{path} names no version of Rollcall: correct VERSIONED in {__file__}")
    return changed


def names_version(text: str) -> bool:
    """Whether a text has a place for :func:`with_version`."""
    return _PLACE.search(text) is not None


def dated_changelog(changelog: str, version: str, day: date) -> str:
    """The changelog with its unreleased section as that of ``version``, below an empty one.

    Raises:
        ReleaseError: there is no such section, or nothing in it.
    """
    if changelog.count(UNRELEASED) != 1:
        raise ReleaseError(f"CHANGELOG.md needs one line {UNRELEASED.strip()!r}")
    before, rest = changelog.split(UNRELEASED)
    section = rest.partition("\n## ")[0]
    if not re.search(r"^- ", section, re.MULTILINE):
        raise ReleaseError(
            "CHANGELOG.md has nothing below [Unreleased]: say there what a user notices"
        )
    return f"{before}{UNRELEASED}\n## [{version}] - {day.isoformat()}\n{rest}"


def schema_bundle(schemas: Mapping[str, Any]) -> str:
    """``schemas/released.json``: the schemas by name, one line each, so that a change is one line
    of a diff.
    """

    def lines() -> Iterator[str]:
        for name in sorted(schemas):
            document = json.dumps(schemas[name], ensure_ascii=False, sort_keys=True)
            yield f"{json.dumps(name)}: {document}"

    return "{\n" + ",\n".join(lines()) + "\n}\n"
