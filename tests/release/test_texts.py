"""The texts of a release."""

from __future__ import annotations

import json
from datetime import date

import pytest

from release.texts import (
    VERSIONED,
    ReleaseError,
    check_version,
    dated_changelog,
    names_version,
    parse_version,
    project_version,
    schema_bundle,
    with_version,
)
from rollcall.events.schemas.files import RELEASED, schema_folder
from tests.docs.markdown import ROOT

CHANGELOG = """# Changelog

## [Unreleased]

### Added

- A thing.

## [0.9.1] - 2026-01-02

### Fixed

- A fault.

## [0.10.0] - 2026-02-03
"""


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "1.2.3.4", "v1.2.3", "1.2.3rc1", "1.02.3", "1.2.x"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ReleaseError, match="write three numbers"):
        parse_version(text)


@pytest.mark.parametrize("version", ["0.10.1", "0.11.0", "1.0.0"])
def test_a_version_that_may_follow(version: str) -> None:
    check_version(version, current="0.10.0", changelog=CHANGELOG)


def test_the_first_release_may_have_the_current_version() -> None:
    check_version("0.1.0", current="0.1.0", changelog="## [Unreleased]\n")


@pytest.mark.parametrize(
    ("version", "current", "expected"),
    [
        ("0.10.0", "0.10.0", "0.10.0 is released"),
        ("0.9.9", "0.9.1", "0.10.0 is released"),
        ("0.11.0", "0.12.0", r"pyproject\.toml has 0\.12\.0"),
    ],
)
def test_a_version_that_may_not_follow(version: str, current: str, expected: str) -> None:
    with pytest.raises(ReleaseError, match=expected):
        check_version(version, current=current, changelog=CHANGELOG)


def test_the_unreleased_changes_become_those_of_the_version() -> None:
    dated = dated_changelog(CHANGELOG, "0.11.0", date(2026, 3, 4))
    head = "## [Unreleased]\n\n## [0.11.0] - 2026-03-04\n\n### Added\n\n- A thing.\n\n## [0.9.1]"
    assert head in dated
    with pytest.raises(ReleaseError, match=r"0\.11\.0 is released"):
        check_version("0.11.0", current="0.11.0", changelog=dated)


@pytest.mark.parametrize(
    ("changelog", "expected"),
    [
        ("# Changelog\n", "needs one line"),
        (CHANGELOG.replace("- A thing.\n\n", ""), r"has nothing below \[Unreleased\]"),
        (CHANGELOG.replace("### Added\n\n- A thing.\n\n", ""), r"has nothing below \[Unreleased\]"),
        ("## [Unreleased]\n", r"has nothing below \[Unreleased\]"),
    ],
)
def test_a_changelog_without_changes(changelog: str, expected: str) -> None:
    with pytest.raises(ReleaseError, match=expected):
        dated_changelog(changelog, "0.11.0", date(2026, 3, 4))


def test_the_changelog_of_this_checkout_can_be_dated() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.count("## [Unreleased]\n") == 1


def test_the_version_is_set_in_each_place() -> None:
    """And in no other: what it is set to twice is as what it is set to once, and back again."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    current = project_version(pyproject)
    assert project_version(with_version("pyproject.toml", pyproject, "12.3.4")) == "12.3.4"
    for name in VERSIONED:
        text = (ROOT / name).read_text(encoding="utf-8")
        changed = with_version(name, text, "12.3.4")
        assert "12.3.4" in changed
        assert with_version(name, changed, current) == text


def test_a_file_without_the_version_is_named() -> None:
    with pytest.raises(ReleaseError, match=r"README\.md names no version"):
        with_version("README.md", "rollcall", "1.2.3")


def test_no_other_file_names_the_version() -> None:
    paths = [ROOT / "README.md", ROOT / "pyproject.toml"]
    paths += [path for folder in ("deploy", "docs") for path in (ROOT / folder).rglob("*.*")]
    paths += (ROOT / "deploy").rglob("Containerfile")
    texts = {".md", ".toml", ".yml", ".yaml", "", ".service", ".env"}
    named = {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if path.suffix in texts and path.is_file() and names_version(path.read_text("utf-8"))
    }
    assert named == set(VERSIONED)


def test_each_schema_is_one_line() -> None:
    schemas = {"b": {"title": "ä", "$id": "urn:b"}, "a": {}, "bodies/c": {"type": "object"}}
    text = schema_bundle(schemas)
    assert json.loads(text) == schemas
    assert text.splitlines()[2] == '"b": {"$id": "urn:b", "title": "ä"},'
    assert [line[:3] for line in text.splitlines()] == ["{", '"a"', '"b"', '"bo', "}"]


def test_the_released_schemas_are_as_a_release_writes_them() -> None:
    text = (schema_folder() / RELEASED).read_text(encoding="utf-8")
    assert text == schema_bundle(json.loads(text))
