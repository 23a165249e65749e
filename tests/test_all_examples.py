"""Long cut of the property tests: draws all of their examples, where ``make test`` draws a part."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import VARIABLE, examples

HERE = Path(__file__).parent
FILES = sorted(
    str(file.relative_to(HERE))
    for file in HERE.rglob("test_*.py")
    if "max_examples=examples(" in file.read_text(encoding="utf-8")
)


def test_a_part_of_them_and_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert (examples(300), examples(500, part=2)) == (100, 250)
    monkeypatch.setenv(VARIABLE, "1")
    assert (examples(300), examples(500, part=2)) == (300, 500)


@pytest.mark.slow
@pytest.mark.parametrize("file", [file for file in FILES if file != Path(__file__).name])
def test_all_examples(file: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "hypothesis",
        "-p",
        "no:cacheprovider",
        "-n",
        "0",
        str(HERE / file),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, VARIABLE: "1"},
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
