"""docs/adr/: each page has its parts and its place in docs/architecture.md, and what it says of the
code is so.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rollcall.rosters.internal import MOST_SLOTS
from rollcall.rosters.registry import stages
from rollcall.rosters.topics import roster_topics
from rollcall.serve.replica.rebuild_reasons import MOST_AWAY_SECONDS
from rollcall.settings import Settings
from tests.docs.markdown import ROOT
from tests.rosters.test_stages import HISTORIES

PAGES = sorted((ROOT / "docs" / "adr").glob("*.md"))
PARTS = ["Context", "Decision", "Consequences", "Alternatives"]
DEFAULTS = Settings.model_construct()


@pytest.mark.parametrize(
    ("number", "page"),
    list(enumerate(PAGES, start=1)),
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_the_parts(number: int, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    (title,) = re.findall(r"^# (.+)$", text, re.MULTILINE)
    assert page.name.startswith(f"{number:04d}-")
    assert title.startswith(f"{number}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    row = f"| {number} | [{title.partition('. ')[2]}](adr/{page.name}) |"
    assert row in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines()


def test_the_numbers_and_names() -> None:
    text = {
        int(page.name[:4]): " ".join(page.read_text(encoding="utf-8").split()) for page in PAGES
    }
    names = roster_topics(DEFAULTS)
    assert f"`{names.group}-<stage>-<partition>`" in text[1]
    assert f"`{DEFAULTS.group('router')}-<partition>`" in text[1]
    words = {5: "five"}
    assert f"With {words[len(stages(None))]} stages and {DEFAULTS.partitions} partitions" in text[1]
    assert f"has {len(stages(None)) * DEFAULTS.partitions}." in text[1]
    assert f"of {HISTORIES} random histories" in text[1]
    assert f"of {HISTORIES} random histories" in text[4]
    assert f"{MOST_SLOTS} at most (`MOST_SLOTS`)" in text[4]
    assert f"{MOST_AWAY_SECONDS // 86_400} days away" in text[7]
