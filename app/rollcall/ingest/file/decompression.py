"""Decompresses streams of gzip and Zstandard. Pure, in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

from backports.zstd import ZstdDecompressor, ZstdError

MOST_BYTES = 256 * 1024
"""Most bytes of a decompressed piece."""

MAGIC_BYTES = 4
"""Bytes that tell the form of a stream."""

_GZIP = b"\x1f\x8b"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = tuple(bytes([byte]) + b"\x2a\x4d\x18" for byte in range(0x50, 0x60))
"""Zstandard frames without data may be the first ones."""


class Decompressor(Protocol):
    """Decompresses one stream. It may consist of several members, one after another."""

    is_seekable: bool
    """Whether a part of the stream can be left out."""

    @property
    def damage(self) -> str | None:
        """Why the rest of the stream cannot be read; at the end of the stream, also that a part is
        missing. None: the stream is complete.
        """

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decompressed pieces of the next bytes."""


def decompressor(beginning: bytes) -> Decompressor:
    """The decompressor for a stream, by its first :data:`MAGIC_BYTES` bytes."""
    if beginning.startswith(_GZIP):
        return _Gzip()
    if beginning.startswith((_ZSTANDARD, *_SKIPPABLE)):
        return _Zstandard()
    return _Uncompressed()


class _Uncompressed:
    is_seekable = True
    damage = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if data:
            yield data


class _Gzip:
    is_seekable = False

    def __init__(self) -> None:
        self._member = self._new()
        self._is_between = False
        self._error: str | None = None

    @staticmethod
    def _new() -> zlib._Decompress:
        return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def damage(self) -> str | None:
        if self._error is None and not self._is_between:
            return "the gzip data ends too early; the end of the file is missing"
        return self._error

    def feed(self, data: bytes) -> Iterator[bytes]:
        while self._error is None:
            if self._is_between:
                data = data.lstrip(b"\0")  # gzip allows zeros as padding
                if not data:
                    return
                self._member, self._is_between = self._new(), False
            try:
                piece = self._member.decompress(data, MOST_BYTES)
            except zlib.error as error:
                self._error = f"the gzip data is damaged from here on ({error})"
                return
            if piece:
                yield piece
            if self._member.eof:
                data, self._is_between = self._member.unused_data, True
            elif (data := self._member.unconsumed_tail) or len(piece) == MOST_BYTES:
                continue
            else:
                return


class _Zstandard:
    is_seekable = False

    def __init__(self) -> None:
        self._frame = ZstdDecompressor()
        self._is_between = False
        self._error: str | None = None

    @property
    def damage(self) -> str | None:
        if self._error is None and not self._is_between:
            return "the Zstandard data ends too early; the end of the file is missing"
        return self._error

    def feed(self, data: bytes) -> Iterator[bytes]:
        while self._error is None:
            if self._is_between:
                if not data:
                    return
                self._frame, self._is_between = ZstdDecompressor(), False
            try:
                piece = self._frame.decompress(data, MOST_BYTES)
            except ZstdError as error:
                self._error = f"the Zstandard data is damaged from here on ({error})"
                return
            if piece:
                yield piece
            data = b""
            if self._frame.eof:
                data, self._is_between = self._frame.unused_data, True
            elif self._frame.needs_input:
                return
