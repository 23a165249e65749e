"""The files in docs/ that the code writes: ``python -m tests.docs.generated`` writes them anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rollcall.catalogue.asyncapi import asyncapi_text
from rollcall.catalogue.page import page
from rollcall.catalogue.topics import catalogue
from rollcall.settings import Settings
from tests.docs.markdown import ROOT


def generated() -> Mapping[Path, str]:
    """What they must say, by path: all with the default settings."""
    described = catalogue(Settings.model_construct())
    return {
        ROOT / "docs" / "asyncapi.json": asyncapi_text(described),
        ROOT / "docs" / "topics.md": page(described),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
