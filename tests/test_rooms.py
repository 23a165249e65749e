"""Order of the package's rooms in compiled modules: import-linter checks Python modules only."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "app" / "rollcall"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
FLOORS = {
    room: number
    for number, floor in enumerate(reversed(CONTRACTS[0]["layers"]))
    for room in floor.split(" | ")
}
"""Number of each room's floor, from the bottom."""


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.p[xy][xdi]")), ids=lambda path: path.name)
def test_imports_of_a_compiled_module_go_down_only(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    imported = re.findall(
        r"^\s*(?:from|import|cimport)\s+rollcall\.(\w+)",
        path.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert [other for other in imported if other != room and FLOORS[other] >= FLOORS[room]] == []
