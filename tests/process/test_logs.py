"""Log lines and their levels."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator

import pytest
from aiokafka.errors import (
    IllegalStateError,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)

from rollcall.errors import BrokerUnavailableError
from rollcall.process.logs import (
    _QUIET,
    REPEAT_SECONDS,
    JsonFormatter,
    KafkaLevelFilter,
    RepeatFilter,
    TextFormatter,
    configure_logging,
)
from rollcall.settings import load_settings


def record(
    name: str, level: int, error: BaseException | None = None, *, message: str = "it happened"
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
def test_retried_errors_of_clients_are_warnings(line: logging.LogRecord, level: str) -> None:
    assert KafkaLevelFilter().filter(line)
    assert line.levelname == level == logging.getLevelName(line.levelno)


def test_a_line_without_traceback_passes() -> None:
    """exc_info may be False, as in asyncio's lines."""
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
def test_expected_errors_have_no_traceback(error: BaseException) -> None:
    error.add_note("topic t, partition 3")
    text = json.loads(
        JsonFormatter().format(record("rollcall.streaming.lane", logging.ERROR, error))
    )["error"]
    assert text == f"{type(error).__name__}: {error}; topic t, partition 3"


def test_programming_errors_have_a_traceback() -> None:
    text = json.loads(
        JsonFormatter().format(
            record("rollcall.streaming.lane", logging.ERROR, TypeError("a mistake"))
        )
    )["error"]
    assert text.startswith("Traceback (most recent call last)")
    assert text.endswith("TypeError: a mistake")
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
def test_rollcall_s_own_lines_are_never_left_out(name: str, level: int) -> None:
    repeats = RepeatFilter(lambda: 0.0)
    assert [repeats.filter(record(name, level)) for _ in range(3)] == [True, True, True]


def test_repeated_lines_are_left_out_for_some_time() -> None:
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


def test_lines_about_different_messages_are_no_repetition() -> None:
    repeats = RepeatFilter(lambda: 0.0)
    lines = [record("rollcall.ingest.sqs.source", logging.WARNING) for _ in range(3)]
    for line, message_id in zip(lines, ("m1", "m2", "m1"), strict=True):
        line.message_id = message_id
    assert [repeats.filter(line) for line in lines] == [True, True, False]


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """The logging of the tests, afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in _QUIET}
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, former in levels.items():
        logging.getLogger(name).setLevel(former)


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_fields_are_shown_but_for_a_message_in_colours(formatter: logging.Formatter) -> None:
    line = record("uvicorn.error", logging.INFO)
    line.color_message = "\x1b[36mit happened\x1b[0m"
    line.port = 8090
    text = formatter.format(line)
    assert "8090" in text
    assert text.count("it happened") == 1


@pytest.mark.usefixtures("logging_restored")
def test_libraries_of_aws_log_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    """With DEBUG, they log bodies and session tokens."""
    configure_logging(load_settings(log_level="DEBUG", log_format="json"))
    for name in ("botocore.endpoint", "aiobotocore.httpsession", "urllib3.connectionpool"):
        logging.getLogger(name).debug("a marked body, and a marked token")
        logging.getLogger(name).warning("a warning of %s", name)
    logging.getLogger("rollcall.ingest").debug("a line of Rollcall")
    found = capsys.readouterr().err
    assert "marked" not in found
    assert found.count("a warning of") == 3
    assert "a line of Rollcall" in found
