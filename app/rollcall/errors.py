"""Base classes of all errors for users."""

from __future__ import annotations


class RollcallError(Exception):
    """A problem that a user can correct.

    The message says what happened, where, and what to do. The command line prints it as one line,
    without a traceback, and exits with ``exit_code``.
    """

    exit_code = 1


class ConfigurationError(RollcallError):
    """A setting or argument is invalid."""

    exit_code = 2


class BrokerUnavailableError(RollcallError):
    """No Kafka broker can be reached or started."""

    exit_code = 3


def how_to_install(extra: str) -> str:
    """What to do if a package of an extra is missing. On PyPI, ``rollcall`` is another program."""
    return f"pip install '.[{extra}]' in Rollcall's checkout"


def describe(error: BaseException | None) -> str:
    """One line for an error: type, message and notes."""
    if error is None:
        return "no reason was given"
    return "; ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
