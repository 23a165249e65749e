"""CONTRIBUTING.md: the places for common changes exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, code, links_of, rows

DOCUMENT = ROOT / "CONTRIBUTING.md"
CHANGES = {change: (begin, then) for change, begin, then in rows(DOCUMENT, "change")}


@pytest.mark.parametrize("change", CHANGES)
def test_where_to_change_what(change: str) -> None:
    """Files and folders exist, and contain the names that the row gives."""
    begin, then = CHANGES[change]
    assert links_of(begin), "a row links the file to begin in"
    files = _files(begin)
    _check_names(begin, files)
    _check_names(then, files + _files(then))


def _files(cell: str) -> list[Path]:
    """The linked files; the document itself for a link to a part of it."""
    files = [
        (ROOT / (target.partition("#")[0] or DOCUMENT.name)).resolve() for target in links_of(cell)
    ]
    assert [path for path in files if not path.is_file()] == []
    return files


def _check_names(cell: str, files: list[Path]) -> None:
    names = [name for name in code(cell) if not name.startswith("make ")]
    folders = [name for name in names if name.endswith("/")]
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert [name for name in names if name not in folders and name not in text] == []


def test_every_client_of_kafka_has_a_place() -> None:
    """The rows about options name each file of the product that makes a client."""
    named = {file for begin, _then in CHANGES.values() for file in _files(begin)}
    product = ROOT / "app" / "rollcall"
    clients = {
        path
        for path in product.rglob("*.py")
        if not path.is_relative_to(product / "sandbox")
        and re.search(
            r"(?<!class )\bAIOKafka(Consumer|Producer|AdminClient)\(",
            path.read_text(encoding="utf-8"),
        )
    }
    assert clients, "the pattern finds clients"
    assert clients - named == set()
