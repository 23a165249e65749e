"""Detection of complaints in a log."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from rollcall.process.logs import JsonFormatter, TextFormatter
from tests.healthy import complaints

TRACEBACK = """\
Traceback (most recent call last):
  File "x.py", line 1, in f
    g()
TypeError: a mistake"""

QUIET = """\
{"time":"2026-01-01T00:00:00.000Z","level":"warning","logger":"aiokafka","message":\
"Unable connect to \\"127.0.0.1:1\\""}
00:00:00 info     router started http=http://127.0.0.1:9101
rollcall: no Kafka broker answers
"""


def test_a_healthy_process_has_no_complaint() -> None:
    assert complaints(QUIET) == []
    assert complaints("") == []


@pytest.mark.parametrize("level", [logging.ERROR, logging.CRITICAL])
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_errors_of_both_forms(formatter: logging.Formatter, level: int) -> None:
    line = formatter.format(
        logging.LogRecord(
            "rollcall.x", level, "x.py", 1, "the partition is not consumed any more", (), None
        )
    )
    assert complaints(QUIET + line) == [line]
    assert complaints(QUIET + line, ["not consumed any more"]) == []
    assert complaints(QUIET + line, ["anything else"]) == [line]


@pytest.mark.parametrize(
    "line",
    [
        "Future exception was never retrieved",
        "Task was destroyed but it is pending!",
        "Unclosed AIOKafkaProducer",
    ],
)
def test_what_was_left_lying(line: str) -> None:
    assert complaints(f"{QUIET}{line}\n{QUIET}") == [line]


def test_a_traceback_is_one_complaint() -> None:
    assert complaints(f"{QUIET}{TRACEBACK}\n{QUIET}") == [TRACEBACK]
    assert complaints(f"{QUIET}{TRACEBACK}") == [TRACEBACK]
    assert complaints(f"{QUIET}{TRACEBACK}\n{QUIET}", ["a mistake"]) == []


async def test_what_happens_in_a_test_is_overheard(overheard: list[str]) -> None:
    asyncio.get_running_loop().create_future().set_exception(ValueError("nobody looks"))
    gc.collect()
    assert len(overheard) == 1
    assert "Future exception was never retrieved" in overheard.pop()
