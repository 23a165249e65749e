"""What the code writes in docs/ is as the code writes it."""

from __future__ import annotations

from rollcall.settings import ENV_PREFIX, Settings
from tests.docs.generated import generated, tables_of
from tests.docs.markdown import code, documents
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
