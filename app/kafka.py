"""How to reach the Kafka cluster, for every client library that Rollcall uses."""

from __future__ import annotations

import ssl
from typing import Any

from app.errors import ConfigurationError
from app.settings import Settings


def client_options(settings: Settings, bootstrap: str) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client: servers, encryption and authentication.

    Raises:
        ConfigurationError: a certificate file cannot be read.
    """
    options: dict[str, Any] = {"bootstrap_servers": bootstrap, "security_protocol": settings.security_protocol}
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    if settings.security_protocol.startswith("SASL_"):
        assert settings.sasl_password is not None
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return options


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
        if settings.ssl_cert_file is not None:
            context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file)
    except OSError as error:
        raise ConfigurationError(
            f"the TLS files cannot be used ({error}); check ROLLCALL_SSL_CA_FILE, ROLLCALL_SSL_CERT_FILE and ROLLCALL_SSL_KEY_FILE"
        ) from None
    return context
