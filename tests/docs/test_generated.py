"""What the code writes in docs/ is as the code writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcall.settings import ENV_PREFIX, Settings
from tests.docs.generated import generated, tables_of
from tests.docs.markdown import code
from tests.docs.settings_table import settings_tables
from tests.docs.tables import TABLES

FILES = generated()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_file_is_as_the_code_writes_it(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == FILES[path], "write it anew: make docs"


def test_each_table_is_in_one_document() -> None:
    assert sorted(name for text in FILES.values() for name in tables_of(text)) == sorted(TABLES)


def test_no_setting_is_missing() -> None:
    lines = settings_tables()
    named = [code(line)[0] for line in lines if line.startswith(f"| `{ENV_PREFIX}")]
    assert named == [ENV_PREFIX + name.upper() for name in Settings.model_fields]
