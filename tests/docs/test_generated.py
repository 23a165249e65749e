"""What the code writes in docs/ is as the code writes it."""

from __future__ import annotations

import re

from rollcall.events.registry import REGISTRY
from rollcall.settings import ENV_PREFIX, Settings
from tests.docs.generated import generated, tables_of, text_by_hand
from tests.docs.markdown import ROOT, code, documents
from tests.docs.settings_table import settings_tables
from tests.docs.tables import TABLES


def test_the_files_are_as_the_code_writes_them() -> None:
    outdated = [
        path.name for path, text in generated().items() if path.read_text(encoding="utf-8") != text
    ]
    assert outdated == [], "write them anew: make docs"


def test_each_table_is_in_one_document() -> None:
    names = [name for path in documents() for name in tables_of(path.read_text(encoding="utf-8"))]
    assert sorted(names) == sorted(TABLES)


def test_no_setting_is_missing() -> None:
    lines = settings_tables()
    named = [code(line)[0] for line in lines if line.startswith(f"| `{ENV_PREFIX}")]
    assert named == [ENV_PREFIX + name.upper() for name in Settings.model_fields]


def test_nobody_writes_the_number_of_event_types_by_hand() -> None:
    """It changes with each new schema. The changelog is about a release, and may name it."""
    number = sum(each.family != "rollcall_snapshot" for each in REGISTRY.values())
    numbers = re.compile(
        rf"\b{number}\b(?= (?:event |typed )?(?:types|topics|schemas|files|batches))"
    )
    sources = set(documents()) - {ROOT / "CHANGELOG.md", ROOT / "docs" / "topics.md"}
    assert any(numbers.search(path.read_text(encoding="utf-8")) for path in sources)
    assert [
        path.name
        for path in sorted(sources)
        if numbers.search(text_by_hand(path.read_text(encoding="utf-8")))
    ] == []
