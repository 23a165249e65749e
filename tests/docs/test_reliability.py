"""The failure tables of docs/reliability.md name tests that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.docs.markdown import ROOT, code

HEAD = re.compile(r"^\| \w+ \| \w+ \| tests in `(tests/[\w/]+/)` \|$")
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def _rows() -> Iterator[tuple[str, int, str]]:
    """Folder of tests, number and named tests of each failure."""
    folder = ""
    for line in TEXT.splitlines():
        if head := HEAD.match(line):
            folder = head[1]
        elif not line.startswith("|"):
            folder = ""
        elif folder and not line.startswith("|-"):
            failure, _, tests = line.strip("|").split(" | ")
            yield folder, int(failure.strip().partition(".")[0]), tests


ROWS = list(_rows())


def test_failures_are_numbered() -> None:
    for folder in ("tests/ingest/", "tests/ingest/https/", "tests/reconcile/"):
        numbers = [number for found, number, _ in ROWS if found == folder]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > 5


@pytest.mark.parametrize(("folder", "number", "tests"), ROWS)
def test_each_failure_has_its_tests(folder: str, number: int, tests: str) -> None:
    named = code(tests)
    assert named, f"failure {number} names no test"
    for each in named:
        file, separator, test = each.partition("::")
        assert separator, f"{each} is not FILE::TEST"
        assert f"def {test}(" in (ROOT / folder / file).read_text(encoding="utf-8"), each
