"""Options of Kafka clients: servers, encryption and authentication."""

from __future__ import annotations

import contextlib
import ssl
import threading
from pathlib import Path
from typing import Any, Self

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from rollcall.errors import ConfigurationError
from rollcall.kafka import patches as patches
from rollcall.kafka.known_brokers import known_brokers
from rollcall.settings import Settings

REFUSALS = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
"""Kafka's errors for a missing right."""


def client_options(settings: Settings, bootstrap: str) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client: servers, encryption and authentication. Except for
    the servers, :mod:`rollcall.kafka.connection` passes them to aiokafka's ``create_conn``, too: an
    option that ``create_conn`` does not know belongs to the clients that need it.

    Raises:
        ConfigurationError: a certificate, key or token file cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": known_brokers(bootstrap),
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    if settings.security_protocol.startswith("SASL_"):
        options |= {"sasl_mechanism": settings.sasl_mechanism, **_credentials(settings)}
    return options


def _credentials(settings: Settings) -> dict[str, Any]:
    if settings.sasl_mechanism == "OAUTHBEARER":
        assert settings.sasl_token_file is not None
        provider = TokenFile(settings.sasl_token_file)
        try:
            provider.read()
        except (OSError, AuthenticationFailedError) as error:
            raise ConfigurationError(
                f"there is no token ({error}); check ROLLCALL_SASL_TOKEN_FILE"
            ) from None
        return {"sasl_oauth_token_provider": provider}
    assert settings.sasl_password is not None
    return {
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": settings.sasl_password.get_secret_value(),
    }


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    context = RenewedContext(settings)
    try:
        context.current()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the TLS files cannot be used ({error}); check ROLLCALL_SSL_CA_FILE, "
            "ROLLCALL_SSL_CERT_FILE, ROLLCALL_SSL_KEY_FILE and ROLLCALL_SSL_KEY_PASSWORD"
        ) from None
    return context


class _ClosedAtOnce(ssl.SSLObject):
    """Sends its TLS close notification without waiting for the broker's.

    uvloop waits 30 s if a late answer of the broker comes in between, and the process would not end
    for that time. Kafka's protocol marks the end of its messages itself.
    """

    def unwrap(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            super().unwrap()


class RenewedContext(ssl.SSLContext):
    """Reads its files again for each connection: certificates are renewed while processes run.

    A context of OpenSSL must not change while another thread uses it: the process would crash. Some
    clients have a thread of their own, and share their options with the main thread. So each thread
    has its own context, and changed files make a new one.
    """

    _settings: Settings
    _of_thread: threading.local

    def __new__(cls, settings: Settings) -> Self:
        """A context with the settings' files."""
        self = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        self._settings = settings
        self._of_thread = threading.local()
        return self

    def current(self) -> ssl.SSLContext:
        """This thread's context with the current certificates and key. Raises OSError or ValueError
        if they cannot be used.
        """
        settings = self._settings
        files = (settings.ssl_ca_file, settings.ssl_cert_file, settings.ssl_key_file)
        contents = [None if file is None else file.read_bytes() for file in files]
        latest: tuple[list[bytes | None], ssl.SSLContext] | None
        latest = getattr(self._of_thread, "latest", None)
        if latest is None or latest[0] != contents:
            # If a file changes just now, its content differs from the one above next time.
            latest = contents, _new_context(settings)
            self._of_thread.latest = latest
        return latest[1]

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Start a connection; called by event loops."""
        return self.current().wrap_bio(*arguments, **options)


def _new_context(settings: Settings) -> ssl.SSLContext:
    """Raises OSError or ValueError if the files cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslobject_class = _ClosedAtOnce
    if settings.ssl_ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(settings.ssl_ca_file)
    if settings.ssl_cert_file is not None:
        # Without a password, OpenSSL would ask for one on the terminal.
        password = (
            settings.ssl_key_password.get_secret_value()
            if settings.ssl_key_password is not None
            else ""
        )
        context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file, lambda: password)
    return context


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """Provides the current token in a file, as sidecars and Kubernetes maintain one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str:
        """The token.

        Raises:
            OSError: there is no such file.
            aiokafka.errors.AuthenticationFailedError: the file holds no token. aiokafka treats that
                as a failed connection, and retries.
        """
        token = self._path.read_text(encoding="ascii", errors="replace").strip()
        if not token or not token.isprintable() or " " in token:
            raise AuthenticationFailedError(f"{str(self._path)!a} holds no token")
        return token

    async def token(self) -> str:
        """See :meth:`read`."""
        return self.read()
