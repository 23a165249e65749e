"""Log lines and their levels."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

import pytest
from aiokafka.errors import (
    IllegalStateError,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)

from rollcall.errors import BrokerUnavailableError
from rollcall.process.logs import REPEAT_SECONDS, JsonFormatter, KafkaLevelFilter, RepeatFilter


def record(
    name: str, level: int, error: BaseException | None = None, *, message: str = "what happened"
) -> logging.LogRecord:
    """A log record; with an error, raised and caught."""
    if error is None:
        return logging.LogRecord(name, level, __file__, 1, message, (), None)
    try:
        raise error
    except BaseException:
        return logging.LogRecord(name, level, __file__, 1, message, (), sys.exc_info())


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (record("aiokafka", logging.ERROR), "WARNING"),
        (record("aiokafka.consumer.fetcher", logging.ERROR), "WARNING"),
        (
            record("aiokafka.consumer.fetcher", logging.ERROR, KafkaConnectionError("gone")),
            "WARNING",
        ),
        (record("aiokafka.consumer.fetcher", logging.ERROR, TypeError("a mistake")), "ERROR"),
        (
            record("aiokafka.consumer.fetcher", logging.ERROR, IllegalStateError("a mistake")),
            "ERROR",
        ),
        (record("aiokafka.client", logging.INFO), "INFO"),
        (
            record("faust.transport.consumer", logging.ERROR, TopicAuthorizationFailedError()),
            "WARNING",
        ),
        (record("faust.transport.consumer", logging.ERROR, asyncio.CancelledError()), "WARNING"),
        (
            record(
                "rollcall.streaming.faust.consumer_thread", logging.ERROR, TypeError("a mistake")
            ),
            "ERROR",
        ),
        (record("rollcall.streaming.faust.consumer_thread", logging.ERROR), "ERROR"),
        (record("rollcall.streaming.lane", logging.ERROR, KafkaConnectionError("gone")), "ERROR"),
        (record("asyncio", logging.ERROR), "ERROR"),
    ],
)
def test_what_a_client_tries_again_is_a_warning(line: logging.LogRecord, level: str) -> None:
    assert KafkaLevelFilter().filter(line)
    assert line.levelname == level == logging.getLevelName(line.levelno)


def test_a_line_that_wants_no_traceback_passes() -> None:
    """As in asyncio's own lines."""
    line = record("asyncio", logging.ERROR)
    line.exc_info = False  # type: ignore[assignment]
    assert KafkaLevelFilter().filter(line)
    assert json.loads(JsonFormatter().format(line))["level"] == "error"


@pytest.mark.parametrize(
    "error",
    [
        KafkaConnectionError("gone"),
        OSError(28, "No space left on device"),
        BrokerUnavailableError("no broker"),
        asyncio.CancelledError("ended"),
    ],
)
def test_a_condition_has_no_traceback(error: BaseException) -> None:
    error.add_note("topic t, partition 3")
    said = json.loads(
        JsonFormatter().format(record("rollcall.streaming.lane", logging.ERROR, error))
    )["error"]
    assert said == f"{type(error).__name__}: {error}; topic t, partition 3"


def test_a_fault_of_the_program_has_one() -> None:
    said = json.loads(
        JsonFormatter().format(
            record("rollcall.streaming.lane", logging.ERROR, TypeError("a mistake"))
        )
    )["error"]
    assert said.startswith("Traceback (most recent call last)")
    assert said.endswith("TypeError: a mistake")
    assert "Traceback" not in JsonFormatter().format(
        record("rollcall.streaming.lane", logging.ERROR, MessageSizeTooLargeError())
    )


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("rollcall.serve.middleware.access_log", logging.INFO),
        ("rollcall.streaming.position", logging.ERROR),
    ],
)
def test_what_rollcall_itself_notes_is_never_left_out(name: str, level: int) -> None:
    repeats = RepeatFilter(lambda: 0.0)
    assert [repeats.filter(record(name, level)) for _ in range(3)] == [True, True, True]


def test_the_same_saying_comes_once_in_a_while() -> None:
    now = 0.0
    repeats = RepeatFilter(lambda: now)
    assert [repeats.filter(record("aiokafka.client", logging.WARNING)) for _ in range(4)] == [
        True,
        False,
        False,
        False,
    ]
    now = REPEAT_SECONDS
    later = record("aiokafka.client", logging.WARNING)
    assert repeats.filter(later)
    assert vars(later)["left_out"] == 3
