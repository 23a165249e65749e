"""What the tests read out of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from rollcall.resources import resource_path

ROOT = resource_path("schemas").parent

_FENCE = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str


def documents() -> list[Path]:
    """All Markdown of the project."""
    return sorted(
        [
            *ROOT.glob("*.md"),
            *ROOT.glob("docs/**/*.md"),
            *ROOT.glob("deploy/**/*.md"),
            *ROOT.glob("schemas/**/*.md"),
        ]
    )


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [
        match["text"]
        for match in _FENCE.finditer(document.read_text(encoding="utf-8"))
        if match["language"] == language
    ]


def links(document: Path) -> Iterator[str]:
    """The targets of the links outside of fenced blocks."""
    yield from links_of(_FENCE.sub("", document.read_text(encoding="utf-8")))


def links_of(text: str) -> list[str]:
    """The targets of the links in a text."""
    return [match["target"] for match in _LINK.finditer(text)]


def anchors(document: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = (
        match["text"]
        for match in _HEADING.finditer(_FENCE.sub("", document.read_text(encoding="utf-8")))
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(document: Path, first: str) -> list[list[str]]:
    """The cells of the table whose head begins with this cell, without the head."""
    lines = iter(document.read_text(encoding="utf-8").splitlines())
    assert any(line.startswith(f"| {first} |") for line in lines), (
        f"{document.name} has a table that begins with {first!r}"
    )
    table = takewhile(lambda line: line.startswith("|"), lines)
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in table
        if not line.startswith("|-")
    ]


def code(cell: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", cell)
