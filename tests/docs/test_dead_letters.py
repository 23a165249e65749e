"""docs/dead-letters.md: its commands and options are those of the command line, its tables those of
the code, and exported records can be restored.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from rollcall.cli.dead_letters import DEFAULT_ATTEMPTS
from rollcall.cli.main import cli
from rollcall.dead_letters.export import export_object
from rollcall.dead_letters.outline import known_words
from rollcall.dead_letters.report import record_report
from rollcall.events.outcomes import DeadLetter, ErrorCode
from rollcall.events.pipeline import Pipeline
from rollcall.events.publishing import ERROR_PREFIX
from rollcall.kafka.topic_reading import STALL_SECONDS
from rollcall.process.dead_letter_records import dead_letter_headers
from tests.dead_letters.records import Stored, error_headers, event
from tests.docs.markdown import ROOT, blocks, code, rows
from tests.events.schemas.events import VALIDATORS
from tests.kafka_client import create_topic, headers, read_all
from tests.waiting import run

DOCUMENT = ROOT / "docs" / "dead-letters.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = typer.main.get_command(cli).commands["dead-letters"].commands  # type: ignore[attr-defined]

FILTERS = {code(option)[0] for option, _chooses in rows(DOCUMENT, "option")}
OWN = {
    "list": {"--json"},
    "show": {"--limit", "--raw"},
    "replay": {code(option)[0] for option, _meaning in rows(DOCUMENT, "option of `replay`")},
    "export": {"--output", "--raw"},
}


def test_the_options() -> None:
    """All filters, for all commands, and no others; what is special to a command is told of."""
    assert COMMANDS.keys() == OWN.keys()
    for name, command in COMMANDS.items():
        assert {option for parameter in command.params for option in parameter.opts} - {
            "--help"
        } == FILTERS | OWN[name], name
    for option in set[str]().union(*OWN.values()) - {"--limit"}:
        assert option in TEXT, option


def commands() -> list[str]:
    """Those in the shell's blocks."""
    lines = [
        line.split(" #")[0].split(" | ")[0].strip()
        for block in blocks(DOCUMENT, "sh")
        for line in block.splitlines()
    ]
    return [line.removeprefix("rollcall dead-letters ") for line in lines]


@pytest.mark.parametrize("line", commands())
def test_the_commands(line: str) -> None:
    """They are understood, with their values."""
    name, *arguments = shlex.split(line)
    COMMANDS[name].make_context(name, arguments).close()


def test_the_tables() -> None:
    assert [code(row[0])[0] for row in rows(DOCUMENT, "code")] == list(ErrorCode)
    record = Stored(b"", error_headers())
    fields = set().union(*(export_object(record, frozenset(), raw=raw) for raw in (False, True)))
    assert {name for row in rows(DOCUMENT, "field") for name in code(row[0])} == fields
    assert {int(row[0]) for row in rows(DOCUMENT, "exit code")} == {0, 1, 2, 3}


def test_the_numbers() -> None:
    (limit,) = (
        parameter.default for parameter in COMMANDS["show"].params if parameter.name == "limit"
    )
    assert limit == 5
    assert "# five of them" in TEXT
    assert f"failed this often: {DEFAULT_ATTEMPTS} unless" in TEXT
    assert f"or none for {STALL_SECONDS:.0f} s" in TEXT


def test_what_is_exported_can_be_had_back(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """By the program that the document has."""
    (source,) = blocks(DOCUMENT, "python")
    own = [("origin", b"\xff"), ("nothing", None)]
    records = [
        Stored(event("user_created"), error_headers(headers=own), key=b"\x00\xfe"),
        Stored(b"\xff\xfe", error_headers(), key=b"k"),
        Stored(None, [], key=b"unknown"),
    ]
    lines = [json.dumps(export_object(record, known_words(), raw=True)) for record in records]
    (tmp_path / "letters.jsonl").write_text("\n".join(lines), encoding="ascii")
    create_topic(bootstrap, f"{prefix}.raw", 1)
    program = source.replace('"canvas.raw"', f'"{prefix}.raw"')
    run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"ROLLCALL_KAFKA": bootstrap}, check=True
    )
    sent = read_all(bootstrap, [f"{prefix}.raw"], at_least=len(records))
    assert [(message.key(), message.value()) for message in sent] == [
        (record.key, record.value) for record in records
    ]
    assert headers(sent[0]) == dict(own)
    assert not [
        name for message in sent for name in headers(message) if name.startswith(ERROR_PREFIX)
    ]


def test_what_is_shown() -> None:
    """The example is what ``show`` says of the documented event with the typing error."""
    outcome = Pipeline(VALIDATORS)(
        (ROOT / "tests" / "fixtures" / "documented" / "user_updated.json").read_bytes()
    )
    assert isinstance(outcome, DeadLetter)
    record = Stored(
        outcome.value,
        dead_letter_headers(outcome, "canvas.raw", 1, 1),
        offset=17,
        timestamp=1_711_752_205_189,
    )
    console = Console(width=500)
    with console.capture() as captured:
        for part in record_report(record, known_words()):
            console.print(part)
    (example,) = re.findall(
        r"^    canvas\.dead-letter, partition.*?(?=\n\n)", TEXT, re.MULTILINE | re.DOTALL
    )
    for line, expected in zip(captured.get().splitlines(), example.splitlines(), strict=False):
        whole, cut, _ = expected[4:].partition("…")
        assert line.startswith(whole) if cut else line.rstrip() == whole
