"""Reads files and standard input, decompressed, without a thread: a pipe blocks nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from rollcall.errors import ConfigurationError
from rollcall.ingest.file.decompression import MAGIC_BYTES, Decompressor, decompressor

STANDARD_INPUT = "-"

CHUNK_BYTES = 256 * 1024
DIGEST_BYTES = 64 * 1024
"""Bytes at the beginning of a file that identify it, with its size."""


class Identity(NamedTuple):
    """What tells a file from an earlier one of the same name."""

    size: int
    digest: str
    """SHA-256 of the first :data:`DIGEST_BYTES`, in hexadecimal."""


def check_readable(name: str, *, is_resumed: bool) -> None:
    """Check that a path can be read, before anything is sent.

    Args:
        is_resumed: reading goes on where an earlier command stopped.

    Raises:
        ConfigurationError: it cannot.
    """
    try:
        mode = None if name == STANDARD_INPUT else Path(name).stat().st_mode
        if mode is not None and stat.S_ISREG(mode):
            Path(name).open("rb").close()
            return
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from None
    if mode is not None and stat.S_ISDIR(mode):
        raise ConfigurationError(f"{name!a} is a folder; name its files")
    if is_resumed:
        raise ConfigurationError(
            f"{name!a} is no file, so --resume cannot go on in it; leave --resume out, or write "
            "the events to a file first"
        )


class EventFile:
    """A file of events, or standard input. Use it in a ``with`` statement.

    Raises:
        ConfigurationError: it cannot be opened.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.consumed_bytes = 0
        """Bytes of the file, as it is stored, that were read."""
        self.damage: str | None = None
        """Why the rest cannot be read. Valid at the end of :meth:`pieces`."""
        self._is_open = False
        self._last_size: int | None = None

    def __enter__(self) -> Self:
        """Open it."""
        try:
            self._descriptor = (
                os.dup(sys.stdin.fileno())
                if self.name == STANDARD_INPUT
                else os.open(self.name, os.O_RDONLY | os.O_CLOEXEC)
            )
            self._is_regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        except (OSError, ValueError) as error:
            raise _unreadable(self.name, error) from None
        self._is_open = True
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self._last_size, self._is_open = self.size, False
        os.close(self._descriptor)

    @property
    def title(self) -> str:
        """Its name, for messages."""
        return "(standard input)" if self.name == STANDARD_INPUT else self.name

    @property
    def is_resumable(self) -> bool:
        """Whether reading can go on in another process."""
        return self._is_regular and self.name != STANDARD_INPUT

    @property
    def size(self) -> int | None:
        """Bytes of the file, as it is stored; None: unknown. Of a closed file, those at its end:
        the progress is shown after it, too.
        """
        if not self._is_open:
            return self._last_size
        return os.fstat(self._descriptor).st_size if self._is_regular else None

    def identity(self) -> Identity:
        """What identifies a regular file."""
        beginning = os.pread(self._descriptor, DIGEST_BYTES, 0)
        return Identity(os.fstat(self._descriptor).st_size, hashlib.sha256(beginning).hexdigest())

    async def pieces(self, offset: int = 0) -> AsyncIterator[bytes]:
        """The content from an offset on, decompressed."""
        beginning = await self._read(MAGIC_BYTES)
        while 0 < len(beginning) < MAGIC_BYTES and (more := await self._read(MAGIC_BYTES)):
            beginning += more
        stream = decompressor(beginning)
        if stream.is_seekable and self._is_regular and offset > len(beginning):
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            self.consumed_bytes = offset
            beginning, offset = b"", 0
        async for piece in self._decompressed(stream, beginning):
            if offset >= len(piece):
                offset -= len(piece)
            else:
                yield piece[offset:]
                offset = 0
        self.damage = self.damage or stream.damage

    async def _decompressed(self, stream: Decompressor, data: bytes) -> AsyncIterator[bytes]:
        while True:
            for piece in stream.feed(data):
                yield piece
            try:
                data = await self._read(CHUNK_BYTES)
            except OSError as error:
                self.damage = f"the file cannot be read any further ({error.strerror})"
                return
            if not data:
                return

    async def _read(self, size: int) -> bytes:
        if not self._is_regular:
            await _readable(self._descriptor)
        data = os.read(self._descriptor, size)
        self.consumed_bytes += len(data)
        return data


async def _readable(descriptor: int) -> None:
    """Wait until a pipe, socket or terminal has bytes, or its end."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        loop.add_reader(descriptor, wake)
    except (OSError, ValueError):  # such as /dev/null, which never blocks
        return
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _unreadable(name: str, error: Exception) -> ConfigurationError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigurationError(f"cannot read {name!a}: {reason}")
