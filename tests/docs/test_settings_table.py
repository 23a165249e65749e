"""docs/settings.md has all settings, as they are."""

from __future__ import annotations

from rollcall.settings import ENV_PREFIX, Settings
from tests.docs.markdown import code
from tests.docs.settings_table import DOCUMENT, tables, written


def test_the_tables_are_as_the_settings_have_them() -> None:
    """``python -m tests.docs.settings_table`` writes them anew."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert written(text) == text


def test_no_setting_is_missing() -> None:
    named = [code(line)[0] for line in tables().splitlines() if line.startswith(f"| `{ENV_PREFIX}")]
    assert named == [ENV_PREFIX + name.upper() for name in Settings.model_fields]
