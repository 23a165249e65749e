"""The command itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rollcall.version import package_version
from tests.waiting import run

LIBRARIES = (
    "aiokafka",
    "asyncio",
    "faust",
    "fastapi",
    "jsonschema_rs",
    "logging",
    "markdown_it",
    "orjson",
    "pydantic",
    "pygments",
    "uvicorn",
    "uvloop",
)
"""What takes a while to load."""

LOADED = f"""
import atexit, os, sys
os._exit = sys.exit  # which runs what is registered for the end
def show():
    print([name for name in {LIBRARIES} if name in sys.modules], file=sys.stderr)
atexit.register(show)
from rollcall.__main__ import main
sys.argv[0] = "rollcall"
main()
"""
"""``rollcall``, which says in the end what it has loaded."""


def test_it_tells_its_version() -> None:
    result = run([sys.executable, "-m", "rollcall", "--version"], check=True)
    assert result.stdout == f"rollcall {package_version()}\n"


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [
        (["--help"], []),
        (["--version"], []),
        (["topics", "--help"], ["pydantic"]),
        (["dead-letters", "replay", "--help"], ["pydantic"]),
        (["router", "--help"], ["pydantic"]),
        (["schemas", "list"], ["asyncio", "jsonschema_rs", "logging", "orjson", "pydantic"]),
        (
            ["schemas", "show", "common"],
            ["asyncio", "jsonschema_rs", "logging", "orjson", "pydantic"],
        ),
        (["token", "list"], ["asyncio", "logging", "pydantic"]),
        (["simulate", "--steps", "0"], ["jsonschema_rs", "orjson", "pydantic"]),
    ],
    ids=" ".join,
)
def test_a_command_loads_what_it_runs_with(
    arguments: list[str], loaded: list[str], tmp_path: Path
) -> None:
    """Typer itself looks at options by pydantic, from the second word on."""
    (tmp_path / "tokens").touch()
    environment = {**os.environ, "ROLLCALL_TOKENS_FILE": str(tmp_path / "tokens")}
    result = run([sys.executable, "-c", LOADED, *arguments], env=environment, check=True)
    assert result.stderr == f"{loaded}\n"


def test_typer_takes_what_stands_in() -> None:
    """That Typer imports both, and that they are what they stand for once they are used."""
    check = """
import sys
from rollcall.cli.light_help import UNUSED, install_lazy_modules
install_lazy_modules()
import typer.rich_utils
for module, name in UNUSED.items():
    loaded = sys.modules[module]
    print(getattr(typer.rich_utils, name) is getattr(loaded, name), loaded.__spec__ is None)
print(type(typer.rich_utils.Markdown("*text*")), "rich.markdown" in sys.modules)
"""
    result = run([sys.executable, "-c", check], check=True)
    assert result.stdout.splitlines() == [
        "True True",
        "True True",
        "<class 'rich.markdown.Markdown'> True",
    ]
