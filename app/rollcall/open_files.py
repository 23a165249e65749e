"""Limit of open files: raised as far as possible, with an explanation if it is too low. Each
connection is an open file.
"""

from __future__ import annotations

import errno
import logging
import os
import resource

from rollcall.errors import RollcallError

log = logging.getLogger(__name__)

OTHER_FILES = 100
"""Open files besides connections to brokers: log, libraries, event loops, HTTP clients."""


class OpenFilesError(RollcallError):
    """A connection failed at the limit of open files."""


class _State:
    needed = 0
    exhausted = False


def make_room(needed: int) -> None:
    """Raise the soft limit to ``needed``, or to the hard limit if that is lower, with a warning.
    Never lowers it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if needed <= _State.needed:
        return
    _State.needed = needed
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        log.warning(
            "this process may need %d open files, and its limit of %d cannot be raised (%s); %s",
            needed,
            soft,
            error,
            _ADVICE,
        )
        return
    if wanted < needed:
        log.warning(
            "this process may need %d open files, and may have no more than %d; %s",
            needed,
            hard,
            _ADVICE,
        )


def note_failure() -> None:
    """Check, after a failed connection, whether the limit of open files is the reason."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            _State.exhausted = True


def raise_if_exhausted() -> None:
    """Fail if retrying is useless.

    Raises:
        OpenFilesError: a connection failed at the limit of open files.
    """
    if _State.exhausted:
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        needed = f", and may need {_State.needed}" if _State.needed else ""
        raise OpenFilesError(
            "too many open files: the limit of this process, or of this machine, is reached "
            f"(here {soft}{needed}); {_ADVICE}"
        )


_ADVICE = (
    "raise the hard limit (LimitNOFILE= of systemd, ulimit -n of a shell, the container's), "
    "or run more processes with fewer partitions each"
)
