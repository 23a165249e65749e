"""A Kafka broker with everything closed that Kafka can close: TLS, mutual TLS, SASL and ACLs."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from rollcall.kafka.rights import Acl
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.broker.node import free_port
from tests.kafka_client import admin_client, in_time
from tests.processes import wait_until
from tests.security.certificates import Authority, Identity, TokenIssuer

HOST = "127.0.0.1"
AUDIENCE = "kafka"

USER = "rollcall"
"""May do everything, however it is authenticated."""

PASSWORD = "pass,word=7f3a9c"
"""With the characters that SCRAM escapes in names, and that nothing may do anything to here."""

OTHER_USERS = ("router", "rosters", "serve", "topics", "roster", "bridge", "reader", "reconcile")
"""May do what ACLs say."""

PROTOCOLS = {
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "EXPIRED": "SSL",
    "SASL": "SASL_PLAINTEXT",
    "SASLTLS": "SASL_SSL",
    "PLAINONLY": "SASL_PLAINTEXT",
}
"""Of the listeners, beside the one without anything for the tests themselves."""

REAUTHENTICATION_MS = 3_000
"""So long a connection by OAUTHBEARER lives over SASL_SSL, whatever its token says."""


@dataclass(frozen=True)
class Access:
    """A way in."""

    bootstrap: str
    settings: dict[str, str | Path]
    """Rollcall's, by name."""
    security: dict[str, Any]
    """librdkafka's."""


@dataclass(frozen=True)
class SecuredCluster:
    """Where it is, and what is needed to be let in."""

    admin: str
    """Without encryption and authentication. ``User:ANONYMOUS``, who comes there, may do
    everything.
    """
    ports: dict[str, int]
    authority: Authority
    stranger: Authority
    """Nobody trusts it."""
    client: Identity
    """Of :data:`USER`."""
    issuer: TokenIssuer
    folder: Path

    def bootstrap(self, listener: str, host: str = HOST) -> str:
        """Where a listener is."""
        return f"{host}:{self.ports[listener]}"

    def access(self, listener: str, mechanism: str | None = None, user: str = USER) -> Access:
        """How a user comes in by a listener; with a SASL listener, by a mechanism."""
        protocol = PROTOCOLS[listener]
        settings: dict[str, str | Path] = {"security_protocol": protocol}
        security: dict[str, Any] = {"security.protocol": protocol}
        if protocol.endswith("SSL"):
            settings["ssl_ca_file"] = self.authority.certificate
            security["ssl.ca.location"] = str(self.authority.certificate)
        if listener == "MUTUAL":
            settings |= {"ssl_cert_file": self.client.certificate, "ssl_key_file": self.client.key}
            security |= {
                "ssl.certificate.location": str(self.client.certificate),
                "ssl.key.location": str(self.client.key),
            }
        if mechanism is not None:
            settings["sasl_mechanism"] = security["sasl.mechanism"] = mechanism
        if mechanism == "OAUTHBEARER":
            token, until = self.issuer.token(user), time.time() + 600
            settings["sasl_token_file"] = self.token_file(f"{user}.token", token)
            security["oauth_cb"] = lambda _configuration: (token, until)
        elif mechanism is not None:
            settings |= {"sasl_username": user, "sasl_password": PASSWORD}
            security |= {"sasl.username": user, "sasl.password": PASSWORD}
        return Access(self.bootstrap(listener), settings, security)

    def token_file(self, name: str, token: str) -> Path:
        """A file with a token, put there at once, as sidecars do."""
        file = self.folder / name
        file.with_suffix(".new").write_text(f"{token}\n", encoding="ascii")
        return file.with_suffix(".new").rename(file)

    def allow(self, user: str, acls: Collection[Acl]) -> None:
        """Grant rights, and wait until the broker knows of them."""
        bindings = {_acl(AclBinding, user, acl) for acl in acls}
        for done in admin_client(self.admin).create_acls(list(bindings)).values():
            in_time(done.result, what="the rules")
        wait_until(lambda: bindings <= self._known(user), what="the ACLs")

    def forbid(self, user: str, acls: Collection[Acl]) -> None:
        """Take rights back, and wait until the broker knows of it."""
        for done in (
            admin_client(self.admin)
            .delete_acls([_acl(AclBindingFilter, user, acl) for acl in acls])
            .values()
        ):
            assert in_time(done.result, what="the end of the rules"), "there was no such ACL"
        wait_until(
            lambda: not {_acl(AclBinding, user, acl) for acl in acls} & self._known(user),
            what="the end of the ACLs",
        )

    def _known(self, user: str) -> set[Any]:
        whatever: Any = None
        of_user = AclBindingFilter(
            ResourceType.ANY,
            whatever,
            ResourcePatternType.ANY,
            f"User:{user}",
            whatever,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        return set(
            in_time(admin_client(self.admin).describe_acls(of_user).result, what="the rules")
        )


@contextmanager
def secured_cluster(folder: Path, jars: Path) -> Iterator[SecuredCluster]:
    """A cluster of one broker, with its files in a folder."""
    authority, stranger = Authority(folder, "authority"), Authority(folder, "stranger")
    issuer = TokenIssuer(folder, AUDIENCE)
    server = authority.issue("broker", hosts=[f"IP:{HOST}"])
    expired = authority.issue("broker", hosts=[f"IP:{HOST}"], expired=True)
    ports: dict[str, int] = {}
    for listener in PROTOCOLS:
        ports[listener] = next(
            port for port in iter(lambda: free_port(HOST), 0) if port not in ports.values()
        )
    listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
    properties = {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": ",".join(
            f"{name}:{protocol}" for name, protocol in PROTOCOLS.items()
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:ANONYMOUS;User:{USER}",
        "sasl.oauthbearer.jwks.endpoint.url": issuer.keys.as_uri(),
        "sasl.oauthbearer.expected.audience": AUDIENCE,
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
        "listener.name.sasltls.oauthbearer.connections.max.reauth.ms": str(REAUTHENTICATION_MS),
    }
    for listener, protocol in PROTOCOLS.items():
        own = f"listener.name.{listener.lower()}"
        if protocol.endswith("SSL"):
            properties |= {
                f"{own}.ssl.keystore.type": "PEM",
                f"{own}.ssl.keystore.location": str(
                    (expired if listener == "EXPIRED" else server).keystore
                ),
                f"{own}.ssl.truststore.type": "PEM",
                f"{own}.ssl.truststore.location": str(authority.certificate),
            }
        if protocol.startswith("SASL"):
            properties |= _sasl(
                own,
                "PLAIN"
                if listener == "PLAINONLY"
                else "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            )
    with pytest.MonkeyPatch.context() as patch:
        others = os.environ.get("JDK_JAVA_OPTIONS", "")
        patch.setenv(
            "JDK_JAVA_OPTIONS",
            f"{others} -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={issuer.keys.as_uri()}",
        )
        with EmbeddedBroker(folder / "kafka", jars=jars, properties=properties) as broker:
            _make_users(admin_client(broker.bootstrap))
            yield SecuredCluster(
                broker.bootstrap, ports, authority, stranger, authority.issue(USER), issuer, folder
            )


def _acl(kind: Any, user: str, acl: Acl) -> Any:
    pattern = ResourcePatternType.PREFIXED if acl.prefixed else ResourcePatternType.LITERAL
    return kind(
        ResourceType[acl.resource.name],
        acl.name,
        pattern,
        f"User:{user}",
        "*",
        AclOperation[acl.operation.name],
        AclPermissionType.ALLOW,
    )


def _sasl(own: str, mechanisms: str) -> dict[str, str]:
    security = "org.apache.kafka.common.security"
    known = f'user_{USER}="{PASSWORD}"'
    return {
        f"{own}.sasl.enabled.mechanisms": mechanisms,
        f"{own}.plain.sasl.jaas.config": f"{security}.plain.PlainLoginModule required {known};",
        f"{own}.scram-sha-256.sasl.jaas.config": f"{security}.scram.ScramLoginModule required;",
        f"{own}.scram-sha-512.sasl.jaas.config": f"{security}.scram.ScramLoginModule required;",
        f"{own}.oauthbearer.sasl.jaas.config": f"{security}.oauthbearer.OAuthBearerLoginModule "
        "required;",
        f"{own}.oauthbearer.sasl.server.callback.handler.class": (
            f"{security}.oauthbearer.OAuthBearerValidatorCallbackHandler"
        ),
    }


def _make_users(admin: AdminClient) -> None:
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        information = ScramCredentialInfo(mechanism, 4096)
        users: list[Any] = [
            UserScramCredentialUpsertion(user, information, PASSWORD.encode())
            for user in (USER, *OTHER_USERS)
        ]
        for made in admin.alter_user_scram_credentials(users).values():
            in_time(made.result, what="the users")
