"""Logs: one line per incident, JSON unless on a terminal, never personal data.

An error line asks somebody to act, and says how. A traceback is a bug. A warning is a passing
problem.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka.errors import IllegalArgumentError, IllegalStateError, KafkaError

from rollcall.errors import RollcallError, describe
from rollcall.settings import Settings

REPEAT_SECONDS = 30.0

_MAX_TEMPLATES = 1_000

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's: the message once more, with colours and placeholders
}

_CLIENTS = (
    "faust",
    "mode",
    "aiokafka",
    "rollcall.streaming.faust.tables",
    "rollcall.streaming.faust.transport",
    "rollcall.streaming.faust.consumer_thread",
)
"""Kafka clients, and our subclasses of Faust's services."""

_QUIET = (*_CLIENTS, "asyncio", "aiohttp", "botocore", "aiobotocore", "urllib3")
"""Verbose libraries; those of AWS log bodies and session tokens. Their warnings are kept: aiokafka
reports brokers that do not answer.
"""

_ENVIRONMENT_ERRORS = (KafkaError, OSError, RollcallError, asyncio.CancelledError)
"""Errors of the environment, not of the code: an unreachable or refusing broker, a full disk, a
Faust service that a rebalance ends (``faust/transport/consumer.py:181`` calls that a crash).
"""

_USAGE_ERRORS = (IllegalStateError, IllegalArgumentError)
"""Errors of Kafka's clients about their wrong use."""


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, ``extra`` fields, and the error if
    there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        } | extra_fields(record)
        if record.exc_info:
            line["error"] = _format_error(self, record)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """For a terminal: time, level, message and ``extra`` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        extras = "".join(f" {name}={value}" for name, value in extra_fields(record).items())
        line = f"{moment} {record.levelname.lower():8} {record.getMessage()}{extras}"
        return f"{line}\n{_format_error(self, record)}" if record.exc_info else line


class RepeatFilter(logging.Filter):
    """One line per incident: while a broker is down, client libraries repeat a line many times a
    second.

    Of lines with the same template, partition and message id, one passes per
    :data:`REPEAT_SECONDS`; the next one counts the lines left out. Of Rollcall's own lines only
    warnings are filtered.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line passes."""
        if (
            record.levelno != logging.WARNING
            and record.name.startswith("rollcall.")
            and record.name not in _QUIET
        ):
            return True
        template = (
            record.name,
            str(record.msg),
            getattr(record, "partition", None),
            getattr(record, "message_id", None),
        )
        now = self._clock()
        if len(self._seen) > _MAX_TEMPLATES:
            self._seen.clear()
        since, left_out = self._seen.get(template, (-REPEAT_SECONDS, 0))
        if now - since < REPEAT_SECONDS:
            self._seen[template] = (since, left_out + 1)
            return False
        self._seen[template] = (now, 0)
        if left_out:
            record.left_out = left_out
        return True


class KafkaLevelFilter(logging.Filter):
    """Downgrades aiokafka's errors and crashes of Faust's services to warnings, unless they are
    bugs.

    The libraries retry, or raise an error to Rollcall, which retries or ends with an explanation.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True."""
        is_downgraded = (
            is_environment_error(record.exc_info[1])
            if record.exc_info
            else record.name.split(".")[0] == "aiokafka"
        )
        if record.levelno > logging.WARNING and record.name.startswith(_CLIENTS) and is_downgraded:
            record.levelno, record.levelname = (
                logging.WARNING,
                logging.getLevelName(logging.WARNING),
            )
        return True


def is_environment_error(error: BaseException | None) -> bool:
    """Whether an error comes from the environment, so that its traceback is useless."""
    return isinstance(error, _ENVIRONMENT_ERRORS) and not isinstance(error, _USAGE_ERRORS)


def _format_error(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The error, with a traceback only if it is useful."""
    assert record.exc_info is not None
    error = record.exc_info[1]
    return (
        describe(error)
        if is_environment_error(error)
        else formatter.formatException(record.exc_info)
    )


def extra_fields(record: logging.LogRecord) -> dict[str, Any]:
    """The ``extra`` fields of a log call."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def configure_logging(settings: Settings) -> None:
    """Log to standard error, as the settings say. Replaces any earlier configuration."""
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(KafkaLevelFilter())
    handler.addFilter(RepeatFilter())
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(
            max(logging.WARNING, logging.getLevelName(settings.log_level))
        )
    logging.captureWarnings(True)
