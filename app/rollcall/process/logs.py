"""Logs: one line for each incident, JSON when nobody watches, never personal data.

A line at level error asks somebody to do something, and says what. A traceback is a fault of the
program. What passes by itself is a warning.
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

_MOST_SAYINGS = 1_000

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_CLIENTS = (
    "faust",
    "mode",
    "aiokafka",
    "rollcall.streaming.faust.tables",
    "rollcall.streaming.faust.transport",
    "rollcall.streaming.faust.consumer_thread",
)
"""Clients of Kafka, and the services that ours are for Faust."""

_QUIET = (*_CLIENTS, "asyncio", "aiohttp")
"""Libraries that narrate. Their warnings are kept; aiokafka tells there of brokers that do not
answer.
"""

_CONDITIONS = (KafkaError, OSError, RollcallError, asyncio.CancelledError)
"""Errors of the surroundings: a broker that is away or refuses, a full disk, a service of Faust
that is ended while the group rebalances (``faust/transport/consumer.py:181`` calls that a crash).
No line of code is their cause.
"""

_FAULTS = (IllegalStateError, IllegalArgumentError)
"""Errors of Kafka's clients that say that they are used wrongly."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the fields given as ``extra``, and the
    error if there is one.
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
            line["error"] = _error_of(self, record)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """For a terminal: time, level, message and the fields given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        extras = "".join(f" {name}={value}" for name, value in extra_fields(record).items())
        line = f"{moment} {record.levelname.lower():8} {record.getMessage()}{extras}"
        return f"{line}\n{_error_of(self, record)}" if record.exc_info else line


class RepeatFilter(logging.Filter):
    """One line for each incident: while a broker is down, a client library says so many times a
    second.

    Of the same saying, told apart by its template and its partition, one line passes in
    :data:`REPEAT_SECONDS`; the next one tells how many were left out. Of Rollcall's own lines this
    goes for warnings only.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line passes."""
        if (
            record.levelno != logging.WARNING
            and record.name.startswith("rollcall.")
            and record.name not in _QUIET
        ):
            return True
        saying = (record.name, str(record.msg), getattr(record, "partition", None))
        now = self._clock()
        if len(self._seen) > _MOST_SAYINGS:
            self._seen.clear()
        since, left_out = self._seen.get(saying, (-REPEAT_SECONDS, 0))
        if now - since < REPEAT_SECONDS:
            self._seen[saying] = (since, left_out + 1)
            return False
        self._seen[saying] = (now, 0)
        if left_out:
            record.left_out = left_out
        return True


class KafkaLevelFilter(logging.Filter):
    """Makes a warning of what aiokafka calls an error, and Faust the crash of a service, unless it
    is a fault of the program.

    They try again, or raise an error to Rollcall, which tries again, or ends and says why.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """True: each line passes."""
        passes = (
            is_condition(record.exc_info[1])
            if record.exc_info
            else record.name.split(".")[0] == "aiokafka"
        )
        if record.levelno > logging.WARNING and record.name.startswith(_CLIENTS) and passes:
            record.levelno, record.levelname = (
                logging.WARNING,
                logging.getLevelName(logging.WARNING),
            )
        return True


def is_condition(error: BaseException | None) -> bool:
    """Whether an error comes from the surroundings, so that its traceback would tell nothing."""
    return isinstance(error, _CONDITIONS) and not isinstance(error, _FAULTS)


def _error_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The error: with its traceback only if that tells anything."""
    assert record.exc_info is not None
    error = record.exc_info[1]
    return describe(error) if is_condition(error) else formatter.formatException(record.exc_info)


def extra_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as ``extra``."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def configure_logging(settings: Settings) -> None:
    """Log to standard error, as the settings say. Replaces whatever was configured."""
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
