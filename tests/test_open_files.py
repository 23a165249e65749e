"""Limit of open files: raised as far as needed, and explained if it is too low."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import PROGRAM, RollcallProcess
from tests.waiting import run

DEADLINE = 90.0


def python(code: str, soft: int, hard: int) -> subprocess.CompletedProcess[str]:
    """Run code with limits."""
    head = (
        "import os, resource\nfrom rollcall.open_files import make_room, note_failure, "
        "raise_if_exhausted\n"
    )
    shell = [
        "sh",
        "-c",
        f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"',
        "sh",
        sys.executable,
        "-c",
        head + code,
    ]
    return run(shell)


@pytest.mark.parametrize(
    ("needed", "soft", "told"), [(50, 100, False), (150, 150, False), (250, 200, True)]
)
def test_the_soft_limit_is_raised_as_far_as_may_be(needed: int, soft: int, told: bool) -> None:
    result = python(
        f"make_room({needed})\nprint(resource.getrlimit(resource.RLIMIT_NOFILE))", 100, 200
    )
    assert result.stdout == f"({soft}, 200)\n"
    assert (
        f"this process may need {needed} open files, and may have no more than 200" in result.stderr
    ) is told


def test_a_failure_is_told_apart() -> None:
    result = python("note_failure()\nraise_if_exhausted()\nprint('fine')\nfiles = []\ntry:\n  "
"while True: files.append(os.open(os.devnull, os.O_RDONLY))\n"
                    "except OSError: note_failure()\nwhile files: "
"os.close(files.pop())\nraise_if_exhausted()", 50, 200)  # fmt: skip
    assert result.stdout == "fine\n"
    assert "OpenFilesError: too many open files" in result.stderr.splitlines()[-1]


def limited(limits: str) -> list[str]:
    """The program with limits."""
    return ["sh", "-c", f'{limits} && exec "$@"', "sh", *PROGRAM]


def test_rosters_raise_the_limit(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """Twenty lanes with two connections each, and more while they open."""
    with RollcallProcess(
        "rosters", tmp_path, bootstrap, prefix, program=limited("ulimit -Sn 56"), partitions=4
    ) as rosters:
        rosters.wait_ready(DEADLINE)
        assert rosters.get("/livez")[0] == 200
        assert rosters.end() == 0


def test_rosters_that_may_not_have_enough_end(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    with RollcallProcess(
        "rosters", tmp_path, bootstrap, prefix, program=limited("ulimit -n 56"), partitions=4
    ) as rosters:
        assert rosters.process.wait(DEADLINE) == 1
        assert any(
            "may need" in str(line["message"]) and "LimitNOFILE" in str(line["message"])
            for line in rosters.log
        )
        assert (
            rosters.log_file.read_text()
            .splitlines()[-1]
            .startswith("rollcall: too many open files")
        )
