"""The limit of open files, of which each connection is one: raised as far as a process needs and
may, and said where that is not enough.
"""

from __future__ import annotations

import errno
import logging
import os
import resource

from rollcall.errors import RollcallError

log = logging.getLogger(__name__)

OTHER_FILES = 100
"""Beside connections to brokers: the log, libraries, event loops, and whoever asks for health and
metrics.
"""


class OpenFilesError(RollcallError):
    """A connection could not be made, because the process has as many files open as it may."""


class _State:
    needed = 0
    exhausted = False


def make_room(needed: int) -> None:
    """Raise the soft limit to what is needed, or to the hard limit if that is less, which is said
    in the log. What a process once needed it may always use.
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
    """A connection could not be made: find out whether that is for want of files."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            _State.exhausted = True


def raise_if_exhausted() -> None:
    """End whatever would try again and again.

    Raises:
        OpenFilesError: a connection could not be made for want of files.
    """
    if _State.exhausted:
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        needed = f", and may need {_State.needed}" if _State.needed else ""
        raise OpenFilesError(
            "too many open files: this process, or this machine, has no more than it may have "
            f"(here {soft}{needed}); {_ADVICE}"
        )


_ADVICE = (
    "raise the hard limit (LimitNOFILE= of systemd, ulimit -n of a shell, the container's), "
    "or run more processes with fewer partitions each"
)
