"""A first connection to the cluster, and what is wrong when there is none, in words that name the
setting to look at.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from rollcall.errors import BrokerUnavailableError, ConfigurationError, RollcallError
from rollcall.kafka.client import client_options
from rollcall.settings import Settings

CONNECT_MS = 5_000
"""How long a broker may take to answer. One that lives does so in milliseconds."""

LEAST_METADATA_VERSION = 12
"""Of the request by which Rollcall asks for topics and their ids (KIP-516). A broker that knows no
such version is older than any that is supported.
"""

_FAILURES = (KafkaError, OSError, EOFError, TimeoutError)

_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAME = (62, 64)
"""OpenSSL's codes for a certificate of another host, and of another address."""

_TLS_ALERT = 0x15
"""The first byte of what a port that speaks TLS answers to whoever does not."""


@asynccontextmanager
async def broker_connection(
    settings: Settings, bootstrap: str
) -> AsyncIterator[AIOKafkaConnection]:
    """A connection to the first broker that lets this client in, one that ``ROLLCALL_KAFKA`` names
    if possible; closed in the end.

    Raises:
        BrokerUnavailableError: nobody answers.
        ConfigurationError: somebody does, and does not let this client in, or is not who it should
            be.
    """
    options = client_options(settings, bootstrap)
    problems: list[RollcallError] = []
    known = options.pop("bootstrap_servers")
    for host, port, _family in collect_hosts(known, randomize=False):
        connection = None
        try:
            try:
                connection = await create_conn(host, port, request_timeout_ms=CONNECT_MS, **options)
                # whoever wants a client to authenticate hangs up at this, not before
                answer = await connection.send(MetadataRequest([]))
            except _FAILURES as error:
                problems.append(
                    _explained(error, settings, f"{host}:{port}", answered=connection is not None)
                )
                continue
            known.saw((host, port) for _node, host, port, *_ in answer.brokers)
            if connection._versions[MetadataRequest.API_KEY][1] < LEAST_METADATA_VERSION:
                raise ConfigurationError(
                    f"the broker at {host}:{port} is too old: Rollcall needs Kafka 3.6 or later"
                )
            yield connection
            return
        finally:
            if connection is not None:
                connection.close()
    raise next(
        (problem for problem in problems if isinstance(problem, ConfigurationError)), problems[0]
    )


def _explained(
    error: BaseException, settings: Settings, place: str, *, answered: bool
) -> RollcallError:
    """What is wrong, and what to look at.

    Args:
        answered: the broker has answered before.
    """
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return ConfigurationError(
                    f"the certificate of the broker at {place} is not accepted: "
                    f"{_untrusted(cause, settings)}"
                )
            case ssl.SSLError(reason=str(reason)) if "ALERT" in reason:
                return ConfigurationError(
                    f"the broker at {place} ended the TLS connection ({_words(reason)}): "
                    f"{_client_certificate(settings)}"
                )
            case UnsupportedSaslMechanismError():
                return ConfigurationError(
                    f"the broker at {place} does not offer {settings.sasl_mechanism}; check "
                    "ROLLCALL_SASL_MECHANISM"
                )
            case SaslAuthenticationFailed() | AuthenticationFailedError():
                return ConfigurationError(
                    f"the broker at {place} does not let this client in: {_refused(settings)}"
                )
            case IllegalSaslStateError():
                return ConfigurationError(
                    f"the broker at {place} does not authenticate by SASL; "
                    f"{_other_protocol(settings)}"
                )
            case asyncio.IncompleteReadError(expected=int(size)) if size >> 24 == _TLS_ALERT:
                return ConfigurationError(
                    f"the broker at {place} speaks TLS, and "
                    f"ROLLCALL_SECURITY_PROTOCOL={settings.security_protocol} does not; check it"
                )
            case socket.gaierror():
                return BrokerUnavailableError(
                    f"no Kafka broker answers at {place}: there is no such host; check "
                    "ROLLCALL_KAFKA"
                )
            case ConnectionRefusedError():
                return BrokerUnavailableError(
                    f"no Kafka broker answers at {place}: nobody listens there; start one, or "
                    "check ROLLCALL_KAFKA"
                )
    if answered:
        return ConfigurationError(
            f"the broker at {place} wants clients to authenticate; {_other_protocol(settings)}"
        )
    if isinstance(error, TimeoutError):
        return BrokerUnavailableError(
            f"no Kafka broker answers at {place} within {CONNECT_MS // 1000} s; check "
            "ROLLCALL_KAFKA, and the network in between"
        )
    if settings.security_protocol.endswith("SSL"):
        return BrokerUnavailableError(
            f"no Kafka broker answers at {place}: the connection ended before TLS began; "
            f"{_other_protocol(settings)}"
        )
    return BrokerUnavailableError(
        f"no Kafka broker answers at {place} ({type(error).__name__}); check ROLLCALL_KAFKA and "
        "ROLLCALL_SECURITY_PROTOCOL"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _words(reason: str) -> str:
    """OpenSSL's name of an alert, such as ``SSLV3_ALERT_BAD_CERTIFICATE``, in words."""
    return reason.partition("ALERT_")[2].replace("_", " ").lower()


def _untrusted(error: ssl.SSLCertVerificationError, settings: Settings) -> str:
    if error.verify_code in (_EXPIRED, _NOT_YET):
        return f"{error.verify_message}; renew it on the broker, or check the clock of this machine"
    if error.verify_code in _OTHER_NAME:
        return (
            f"{error.verify_message.rstrip('.')}; ROLLCALL_KAFKA, and the broker's "
            "advertised.listeners, must name it as its certificate does"
        )
    trusted = (
        "the system's authorities" if settings.ssl_ca_file is None else str(settings.ssl_ca_file)
    )
    return (
        f"{error.verify_message}; check ROLLCALL_SSL_CA_FILE, which must hold the authority "
        f"that signed it (now: {trusted})"
    )


def _client_certificate(settings: Settings) -> str:
    if settings.ssl_cert_file is None:
        return (
            "it may want a client certificate; check ROLLCALL_SSL_CERT_FILE and "
            "ROLLCALL_SSL_KEY_FILE, of which none is set"
        )
    return (
        "it may not trust the client certificate; check ROLLCALL_SSL_CERT_FILE: its authority, "
        "and whether it has expired"
    )


def _refused(settings: Settings) -> str:
    if settings.sasl_mechanism == "OAUTHBEARER":
        return (
            "the token is refused; check what ROLLCALL_SASL_TOKEN_FILE holds: its issuer and "
            "audience, and whether it has expired"
        )
    return (
        f"the user or the password is refused ({settings.sasl_mechanism}); check "
        f"ROLLCALL_SASL_USERNAME ({settings.sasl_username}), "
        "ROLLCALL_SASL_PASSWORD or ROLLCALL_SASL_PASSWORD_FILE, and ROLLCALL_SASL_MECHANISM"
    )


def _other_protocol(settings: Settings) -> str:
    return f"check ROLLCALL_SECURITY_PROTOCOL={settings.security_protocol}, and the port"
