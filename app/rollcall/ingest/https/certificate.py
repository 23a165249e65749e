"""The webhook's TLS certificate, read again after a change of its files."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from rollcall.errors import ConfigurationError

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""Interval in which the files are checked for changes."""


class Certificate:
    """A certificate with its key, as a TLS context for a server.

    Args:
        key_file: None: the key is in the certificate's file.

    Raises:
        ConfigurationError: the files cannot be used.
    """

    def __init__(self, cert_file: Path, key_file: Path | None) -> None:
        self._files = (cert_file, key_file or cert_file)
        self._stamp = self._read_stamp()
        try:
            self.context = self._new_context()
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(self._message(error)) from None
        self.problem: str | None = None
        """Why the changed files cannot be used. Meanwhile the previous certificate is used."""

    def reload(self) -> None:
        """Use changed files for new connections."""
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            # Fails before anything changes, such as for a key that is not the certificate's.
            self._new_context()
            self.context.load_cert_chain(*self._files)
            self.problem = None
            log.info("the webhook has a new certificate")
        except Exception as error:
            self.problem = self._message(error)
            is_expected = isinstance(error, OSError | ssl.SSLError)
            log.warning(
                "%s; the previous certificate is used", self.problem, exc_info=not is_expected
            )

    async def keep_fresh(self) -> None:
        """Look for changed files again and again. Runs until it is cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.reload()

    def _new_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(*self._files, password=_no_passphrase)
        return context

    def _read_stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(map(_stamp, self._files))

    def _message(self, error: Exception) -> str:
        return (
            f"the webhook's certificate cannot be used ({error}); see "
            "ROLLCALL_WEBHOOK_TLS_CERT_FILE and ROLLCALL_WEBHOOK_TLS_KEY_FILE"
        )


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _no_passphrase() -> str:
    """Called for an encrypted key. Without this function, OpenSSL would ask at the terminal."""
    raise ssl.SSLError("the key has a passphrase; store it without one")
