"""Where the key set is: an https address, or a file. One bounded read, without redirects."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiohttp

FETCH_SECONDS = 5.0
"""Time for a whole fetch. Canvas waits for an answer for 15 s, Rollcall for 10."""

MOST_BYTES = 256 * 1024
"""Largest key set. Canvas's has three keys, and less than 3 KB."""


class FetchError(Exception):
    """The key set could not be read. The message says why."""


class KeySource(Protocol):
    """Reads the key set."""

    async def read(self) -> bytes:
        """The document. Ends within :data:`FETCH_SECONDS`.

        Raises:
            FetchError: it could not be read.
        """


def key_source(url: str) -> KeySource:
    """The source of a valid ``ROLLCALL_WEBHOOK_JWKS_URL``."""
    parts = urlsplit(url)
    return FileSource(Path(unquote(parts.path))) if parts.scheme == "file" else HttpsSource(url)


class FileSource:
    """A key set in a file, which may be replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes:
        """The file's content."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return _within_limit(await asyncio.to_thread(self._read))
        except TimeoutError:
            raise FetchError(f"{self._path}: not read within {FETCH_SECONDS:g} s") from None
        except OSError as error:
            raise FetchError(f"{self._path}: {error.strerror or error}") from None

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(MOST_BYTES + 1)


class HttpsSource:
    """A key set behind an https address."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def read(self) -> bytes:
        """The answer's body."""
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS),
                    connector=aiohttp.TCPConnector(
                        # aiohttp's own was made before SSL_CERT_FILE could be seen
                        ssl=ssl.create_default_context()
                    ),
                    trust_env=True,  # proxies
                ) as session,
                session.get(self._url, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise FetchError(f"the key server answered with status {response.status}")
                return _within_limit(await _beginning(response.content))
        except TimeoutError:
            raise FetchError(f"the key server did not answer within {FETCH_SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchError(f"the key server cannot be reached ({error})") from None


async def _beginning(stream: aiohttp.StreamReader) -> bytes:
    """The body, or more of it than is allowed."""
    found = bytearray()
    async for part in stream.iter_chunked(65_536):
        found += part
        if len(found) > MOST_BYTES:
            break
    return bytes(found)


def _within_limit(document: bytes) -> bytes:
    if len(document) > MOST_BYTES:
        raise FetchError(f"the key set has more than {MOST_BYTES} bytes")
    return document
