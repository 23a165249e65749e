"""The webhook's certificate, and limits of TLS."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rollcall.errors import ConfigurationError
from rollcall.http import server
from rollcall.ingest.https.certificate import Certificate
from tests.ingest.https.certificates import CertificateFiles, new_certificate, write_certificate
from tests.ingest.https.hosting import Hosted, hosting, signed
from tests.ingest.https.test_webhook import answer_on_204, raw_post
from tests.serve.client import DEADLINE, connected, received
from tests.serve.wire import status_of


@contextmanager
def secured(hosted: Hosted, files: CertificateFiles) -> Iterator[ssl.SSLSocket]:
    """A connection with TLS to a server with this certificate."""
    context = ssl.create_default_context(cafile=str(files.cert))
    with connected(hosted.url) as plain:
        address = urlsplit(hosted.url)
        with context.wrap_socket(plain, server_hostname=address.hostname) as connection:
            yield connection


def status(hosted: Hosted, files: CertificateFiles) -> int:
    """Status of the answer to an event."""
    with secured(hosted, files) as connection:
        connection.sendall(raw_post(signed()))
        return status_of(answer_on_204(connection))


def test_a_new_certificate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is used for new connections. A broken one is not, and the previous one stays."""
    caplog.set_level(logging.INFO)
    (tmp_path / "foreign").mkdir()
    foreign = write_certificate(tmp_path / "foreign")
    files = write_certificate(tmp_path)
    certificate = Certificate(files.cert, files.key)
    with hosting(certificate=certificate) as hosted:
        assert status(hosted, files) == 204
        with pytest.raises(ssl.SSLCertVerificationError):
            status(hosted, foreign)
        old = CertificateFiles(tmp_path / "old.pem", files.key)
        old.cert.write_bytes(files.cert.read_bytes())
        with secured(hosted, files) as lasting:
            write_certificate(tmp_path)
            hosted.loop.call_soon_threadsafe(certificate.reload)
            lasting.sendall(raw_post(signed()))
            assert status_of(answer_on_204(lasting)) == 204
        certificate.reload()
        assert status(hosted, files) == 204
        with pytest.raises(ssl.SSLCertVerificationError):
            status(hosted, old)
        files.key.write_bytes(new_certificate("other")[1])
        certificate.reload()
        assert "ROLLCALL_WEBHOOK_TLS_KEY_FILE" in str(certificate.problem)
        assert status(hosted, files) == 204
        write_certificate(tmp_path)
        certificate.reload()
        assert str(certificate.problem) == "None"
        assert status(hosted, files) == 204
    assert "the webhook has a new certificate" in caplog.messages


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    for cert, key in (
        (tmp_path / "none", files.key),
        (files.cert, None),
        (files.key, files.cert),
        (tmp_path, tmp_path),
    ):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            Certificate(cert, key)
    both = tmp_path / "both.pem"
    both.write_bytes(files.cert.read_bytes() + files.key.read_bytes())
    assert Certificate(both, None).problem is None


def test_an_unexpected_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The previous certificate stays, and the next change is looked at."""
    files = write_certificate(tmp_path)
    certificate = Certificate(files.cert, files.key)

    def fail() -> ssl.SSLContext:
        raise LookupError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(certificate, "_new_context", fail)
        write_certificate(tmp_path)
        certificate.reload()
    assert "a fault" in str(certificate.problem)
    write_certificate(tmp_path)
    certificate.reload()
    assert str(certificate.problem) == "None"


def test_old_versions_of_tls(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    assert Certificate(files.cert, files.key).context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_handshake_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed, however much of the handshake has come."""
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 1.0)
    files = write_certificate(tmp_path)
    with hosting(certificate=Certificate(files.cert, files.key)) as hosted:
        address = urlsplit(hosted.url)
        idle = [
            socket.create_connection((address.hostname, address.port), timeout=DEADLINE)
            for _ in range(20)
        ]
        for number, connection in enumerate(idle):
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[: number % 11])
        assert status(hosted, files) == 204
        for connection in idle:
            assert b"".join(received(connection)) == b""
            connection.close()
