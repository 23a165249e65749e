"""Files that are read."""

from __future__ import annotations

import os
from pathlib import Path

from rollcall.ingest.file.reading import EventFile


def test_the_size_is_known_after_the_end(tmp_path: Path) -> None:
    """Also if another file has the descriptor by then."""
    path = tmp_path / "events"
    path.write_bytes(b"{}")
    with EventFile(str(path)) as file:
        assert file.size == 2
    other = os.open(os.devnull, os.O_RDONLY)
    try:
        assert file.size == 2
    finally:
        os.close(other)
