"""The command line's border: commands that need no broker, with whatever arguments, files and
settings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import NamedTuple

import orjson
from typer.testing import CliRunner

from rollcall.cli.main import cli
from rollcall.errors import RollcallError
from rollcall.settings import ENV_PREFIX, Settings
from tests.events.schemas.events import NAMES
from tests.fuzz.inputs import MARK, ODD_TEXTS, any_input

REAL = 0.01
"""Of the commands are run as processes of their own."""

COMMAND_SECONDS = 60
EXIT_CODES = (0, 1, 2, 3)

_IDS = (
    "1533",
    "21070000000001533",
    "2107~1533",
    "~5",
    "account:1",
    "account:",
    "0",
    "-1",
    "1e5",
    "9" * 30,
    "--help",
    "--json",
)
_VALUES = (
    "", "0", "1", "-1", "7", "36501", "1.5", "true", "perhaps", "a b", "canvas", "client_ip,url",
    "event_time", "http://x/metrics", "SSL", "/nowhere/x",
)  # fmt: skip
_SETTINGS = tuple(name for name in Settings.model_fields if name != "kafka")  # there is no broker
_NO_NUL = tuple(text for text in ODD_TEXTS if "\x00" not in text)


class Command(NamedTuple):
    """What somebody types."""

    arguments: list[str]
    settings: dict[str, str]
    file: bytes
    """What is in the file that is named FILE in the arguments."""


class CommandBorder:
    """Nobody sees a traceback, and the exit code is one of those that are documented."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._runner = CliRunner()

    def make(self, random: Random) -> Command:
        """A command."""
        settings = {
            random.choice(_SETTINGS): random.choice((*_VALUES, *_NO_NUL))
            for _ in range(random.randrange(3))
        }
        odd = random.choice((*_IDS, *_NO_NUL))
        arguments = random.choice(
            (
                *(["validate", "FILE"],) * 8,
                *(["roster", odd],) * 3,
                ["roster", odd, "--state", odd, "--json"],
                ["schemas", random.choice(("list", "show", "lint", odd))],
                ["schemas", "show", random.choice((*NAMES, "common", "../common", odd))],
                ["topics", "plan"],
                ["topics", random.choice(("check", "apply", odd))],
                ["token", random.choice(("new", "list", "revoke")), *random.choice(([], [odd]))],
                [
                    "simulate",
                    "--courses",
                    random.choice(("1", MARK)),
                    "--steps",
                    random.choice(("0", "-1", "")),
                    "--class-size",
                    "2",
                    "--output",
                    "OUT",
                ],
                ["broker", "status"],
                [odd, odd],
            )
        )
        count = random.randrange(4)
        return Command(
            arguments,
            {} if random.random() < 0.6 else settings,
            b"\n".join(any_input(random) or b"" for _ in range(count)),
        )

    def check(self, command: Command, random: Random) -> str:
        """Run it; the exit code."""
        folder = Path(self._folder.name)
        (folder / "file").write_bytes(command.file)
        places = {"FILE": str(folder / "file"), "OUT": str(folder / "out")}
        arguments = [places.get(word, word) for word in command.arguments]
        given = {"data": str(folder), "tokens_file": str(folder / "tokens"), **command.settings}
        environment = {f"{ENV_PREFIX}{name.upper()}": value for name, value in given.items()}
        code, output = (self._run_really if random.random() < REAL else self._run)(
            arguments, environment
        )
        assert code in EXIT_CODES, (code, output[-2_000:])
        assert "Traceback" not in output, output[-2_000:]
        if arguments[0] == "validate" and not _may_name(command.file):
            assert MARK not in output, "no value of an event is printed"
        return f"exit code {code}"

    def _run(self, arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """In this process, as rollcall.cli.main.main does."""
        others: dict[str, str | None] = dict.fromkeys(
            name for name in os.environ if name.upper().startswith(ENV_PREFIX)
        )
        result = self._runner.invoke(cli, arguments, env=others | environment)
        if isinstance(result.exception, RollcallError):
            return result.exception.exit_code, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(
            result.exception
        )
        return result.exit_code, result.output

    def _run_really(self, arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
        others = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(ENV_PREFIX)
        }
        command = [sys.executable, "-m", "rollcall", *arguments]
        done = subprocess.run(
            command,
            env=others | environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def _may_name(text: bytes) -> bool:
    """Whether a text may have the mark for an event_name, which is printed when it is unknown."""
    return (
        b"event_name" in text
        and text.count(MARK.encode()) > 0
        and any(_is_name(line) for line in (text, *text.splitlines()))
    )


def _is_name(text: bytes) -> bool:
    try:
        event = orjson.loads(text)
        return MARK in str((event.get("metadata") or event["attributes"])["event_name"])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return True
