"""First connection to the cluster, with an explanation that names the setting to check if it
fails.
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
"""Time limit for a broker's answer. A healthy broker answers in milliseconds."""

MIN_METADATA_VERSION = 12
"""Version of the metadata request by which Rollcall reads topics and their ids (KIP-516). A broker
without it is older than any supported one.
"""

_FAILURES = (KafkaError, OSError, EOFError, TimeoutError)

_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAME = (62, 64)
"""OpenSSL's codes for a certificate of another host name or address."""

_TLS_ALERT = 0x15
"""First byte of a TLS port's answer to a client without TLS."""


@asynccontextmanager
async def broker_connection(
    settings: Settings, bootstrap: str
) -> AsyncIterator[AIOKafkaConnection]:
    """A connection to the first broker that accepts this client, preferably one in
    ``ROLLCALL_KAFKA``. Closed at the end.

    Raises:
        BrokerUnavailableError: no broker answers.
        ConfigurationError: a broker refuses this client, or has the wrong identity.
    """
    options = client_options(settings, bootstrap)
    problems: list[RollcallError] = []
    known = options.pop("bootstrap_servers")
    for host, port, _family in collect_hosts(known, randomize=False):
        connection = None
        try:
            try:
                connection = await create_conn(host, port, request_timeout_ms=CONNECT_MS, **options)
                # a broker that requires authentication disconnects here, not before
                answer = await connection.send(MetadataRequest([]))
            except _FAILURES as error:
                problems.append(
                    _explain(error, settings, f"{host}:{port}", answered=connection is not None)
                )
                continue
            known.update((host, port) for _node, host, port, *_ in answer.brokers)
            if connection._versions[MetadataRequest.API_KEY][1] < MIN_METADATA_VERSION:
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


def _explain(
    error: BaseException, settings: Settings, address: str, *, answered: bool
) -> RollcallError:
    """The error for a user: its cause, and the setting to check.

    Args:
        answered: the broker has answered before.
    """
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return ConfigurationError(
                    f"the certificate of the broker at {address} is not accepted: "
                    f"{_trust_advice(cause, settings)}"
                )
            case ssl.SSLError(reason=str(reason)) if "ALERT" in reason:
                return ConfigurationError(
                    f"the broker at {address} ended the TLS connection ({_alert_name(reason)}): "
                    f"{_certificate_advice(settings)}"
                )
            case UnsupportedSaslMechanismError():
                return ConfigurationError(
                    f"the broker at {address} does not offer {settings.sasl_mechanism}; check "
                    "ROLLCALL_SASL_MECHANISM"
                )
            case SaslAuthenticationFailed() | AuthenticationFailedError():
                return ConfigurationError(
                    f"the broker at {address} does not let this client in: "
                    f"{_credentials_advice(settings)}"
                )
            case IllegalSaslStateError():
                return ConfigurationError(
                    f"the broker at {address} does not authenticate by SASL; "
                    f"{_protocol_advice(settings)}"
                )
            case asyncio.IncompleteReadError(expected=int(size)) if size >> 24 == _TLS_ALERT:
                return ConfigurationError(
                    f"the broker at {address} speaks TLS, and "
                    f"ROLLCALL_SECURITY_PROTOCOL={settings.security_protocol} does not; check it"
                )
            case socket.gaierror():
                return BrokerUnavailableError(
                    f"no Kafka broker answers at {address}: there is no such host; check "
                    "ROLLCALL_KAFKA"
                )
            case ConnectionRefusedError():
                return BrokerUnavailableError(
                    f"no Kafka broker answers at {address}: nobody listens there; start one, or "
                    "check ROLLCALL_KAFKA"
                )
    if answered:
        return ConfigurationError(
            f"the broker at {address} wants clients to authenticate; {_protocol_advice(settings)}"
        )
    if isinstance(error, TimeoutError):
        return BrokerUnavailableError(
            f"no Kafka broker answers at {address} within {CONNECT_MS // 1000} s; check "
            "ROLLCALL_KAFKA, and the network in between"
        )
    if settings.security_protocol.endswith("SSL"):
        return BrokerUnavailableError(
            f"no Kafka broker answers at {address}: the connection ended before TLS began; "
            f"{_protocol_advice(settings)}"
        )
    return BrokerUnavailableError(
        f"no Kafka broker answers at {address} ({type(error).__name__}); check ROLLCALL_KAFKA and "
        "ROLLCALL_SECURITY_PROTOCOL"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _alert_name(reason: str) -> str:
    """Readable name of an OpenSSL alert, such as ``SSLV3_ALERT_BAD_CERTIFICATE``."""
    return reason.partition("ALERT_")[2].replace("_", " ").lower()


def _trust_advice(error: ssl.SSLCertVerificationError, settings: Settings) -> str:
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


def _certificate_advice(settings: Settings) -> str:
    if settings.ssl_cert_file is None:
        return (
            "it may want a client certificate; check ROLLCALL_SSL_CERT_FILE and "
            "ROLLCALL_SSL_KEY_FILE; neither is set"
        )
    return (
        "it may not trust the client certificate; check ROLLCALL_SSL_CERT_FILE: its authority, "
        "and whether it has expired"
    )


def _credentials_advice(settings: Settings) -> str:
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


def _protocol_advice(settings: Settings) -> str:
    return f"check ROLLCALL_SECURITY_PROTOCOL={settings.security_protocol}, and the port"
