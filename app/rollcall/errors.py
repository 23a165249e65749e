"""The base of every error that a user of Rollcall can meet."""

from __future__ import annotations


class RollcallError(Exception):
    """Something went wrong that a person can mend.

    The message says what happened, where, and what to do. The command line prints it as one line,
    without a traceback, and ends with ``exit_code``.
    """

    exit_code = 1


class ConfigurationError(RollcallError):
    """A setting or an argument cannot be used."""

    exit_code = 2


class BrokerUnavailableError(RollcallError):
    """No Kafka broker can be reached or started."""

    exit_code = 3


def describe(error: BaseException | None) -> str:
    """An error in one line: its type, what it says, and its notes."""
    if error is None:
        return "no reason was given"
    return "; ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
