"""docs/topics.md and docs/asyncapi.json are what the code says of its topics."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.generated import generated

FILES = generated()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_file_is_as_the_code_writes_it(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == FILES[path], "write it anew: make docs"
