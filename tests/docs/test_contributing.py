"""CONTRIBUTING.md: the places for common changes exist."""

from __future__ import annotations

import pytest

from tests.docs.markdown import ROOT, code, links_of, rows

DOCUMENT = ROOT / "CONTRIBUTING.md"
CHANGES = {change: (begin, then) for change, begin, then in rows(DOCUMENT, "change")}


@pytest.mark.parametrize("change", CHANGES)
def test_where_to_change_what(change: str) -> None:
    """Files and folders exist, and the first ones contain the names that the row gives."""
    begin, _then = CHANGES[change]
    files = [(ROOT / target).resolve() for target in links_of(begin)]
    assert files, "a row links the file to begin in"
    assert [path for path in files if not path.is_file()] == []
    named = code(begin)
    folders = [name for name in named if name.endswith("/")]
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert [name for name in named if name not in folders and name not in text] == []
