"""Writes the generated parts of the documents. ``make docs`` runs ``python -m
tests.docs.generated``. Some files are generated as a whole, others between two markers only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rollcall.catalogue.asyncapi import asyncapi_text
from rollcall.catalogue.markdown import page
from rollcall.catalogue.topics import catalogue
from tests.docs.markdown import ROOT, documents
from tests.docs.tables import DEFAULTS, TABLES

_MARKED = re.compile(
    r"^<!-- make docs: (?P<name>[a-z ]+) -->\n.*?^<!-- end -->\n", re.MULTILINE | re.DOTALL
)


def generated() -> Mapping[Path, str]:
    """The content of the files by path, with the default settings."""
    described = catalogue(DEFAULTS)
    return {
        ROOT / "docs" / "asyncapi.json": asyncapi_text(described),
        ROOT / "docs" / "topics.md": page(described),
    } | {
        path: _MARKED.sub(_marked, text)
        for path in documents()
        if tables_of(text := path.read_text(encoding="utf-8"))
    }


def tables_of(text: str) -> list[str]:
    """The names of the generated tables in a document."""
    return [found["name"] for found in _MARKED.finditer(text)]


def text_by_hand(text: str) -> str:
    """A document without its generated tables."""
    return _MARKED.sub("", text)


def _marked(found: re.Match[str]) -> str:
    name = found["name"]
    lines = "\n".join(TABLES[name]()).strip()
    return f"<!-- make docs: {name} -->\n\n{lines}\n\n<!-- end -->\n"


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
