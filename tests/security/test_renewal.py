"""Certificates, keys and tokens that are renewed while processes run, and secrets that come from
files.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from rollcall.cli.topics import _inspect
from rollcall.kafka.client import client_options
from rollcall.settings import load_settings
from tests.kafka_client import Sent, create_topic, read_all, send
from tests.processes import RouterProcess, wait_until
from tests.security.certificates import Authority, Identity
from tests.security.cluster import PASSWORD, USER, SecuredCluster
from tests.security.test_ways_in import EVENT
from tests.waiting import DEADLINE_SECONDS


async def _connect(options: dict[str, Any]) -> None:
    client = AIOKafkaAdminClient(**options)
    try:
        await client.start()
    finally:
        await client.close()


def test_certificate_and_key_are_read_anew_for_each_connection(
    secured: SecuredCluster, tmp_path: Path
) -> None:
    """Also by a client that was there before."""
    certificate, key, authorities = tmp_path / "crt", tmp_path / "key", tmp_path / "ca"

    def renew(identity: Identity) -> None:
        certificate.write_bytes(identity.certificate.read_bytes())
        key.write_bytes(identity.key.read_bytes())

    async def use() -> None:
        renew(secured.client)
        authorities.write_bytes(secured.stranger.certificate.read_bytes())
        settings = load_settings(
            security_protocol="SSL",
            ssl_ca_file=authorities,
            ssl_cert_file=certificate,
            ssl_key_file=key,
        )
        options = client_options(settings, secured.bootstrap("MUTUAL"))
        with pytest.raises(KafkaConnectionError):
            await _connect(options)
        authorities.write_bytes(secured.authority.certificate.read_bytes())
        await _connect(options)
        renew(secured.authority.issue(USER, expired=True))
        with pytest.raises(KafkaConnectionError):
            await _connect(options)
        certificate.write_bytes(b"half of a")
        with pytest.raises(KafkaConnectionError):
            await _connect(options)
        renew(secured.authority.issue(USER))
        await _connect(options)
        # An authority that is no longer in the file is no longer trusted.
        authorities.write_bytes(secured.stranger.certificate.read_bytes())
        with pytest.raises(KafkaConnectionError):
            await _connect(options)

    asyncio.run(use())


def test_no_thread_changes_the_context_of_another(tmp_path: Path) -> None:
    """Two threads that read the files into one context, while one of them starts a connection,
    crash the process within seconds: a segmentation fault in OpenSSL.
    """
    authority = Authority(tmp_path, "authority")
    identity = authority.issue(USER)
    settings = load_settings(
        security_protocol="SSL",
        ssl_ca_file=authority.certificate,
        ssl_cert_file=identity.certificate,
        ssl_key_file=identity.key,
    )
    context = client_options(settings, "localhost:9093")["ssl_context"]

    def used() -> ssl.SSLContext:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session: ssl.SSLObject = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        return session.context

    first = used()
    assert used() is first
    with ThreadPoolExecutor(1) as other_thread:
        assert other_thread.submit(used).result() not in (first, context)
    authority.issue(USER)
    renewed = used()
    assert renewed not in (first, context)
    assert used() is renewed


def test_a_router_outlives_a_token_that_is_renewed_late(
    secured: SecuredCluster, prefix: str, tmp_path: Path
) -> None:
    """The broker ends connections whose time is over. The file holds a token that is refused for a
    while, and then one that is not.
    """
    access = secured.access("SASLTLS", "OAUTHBEARER")
    file = secured.token_file("renewed", secured.issuer.token(USER))
    create_topic(secured.admin, f"{prefix}.raw", 1)
    send(secured.admin, f"{prefix}.raw", [Sent(EVENT)])
    with RouterProcess(
        tmp_path,
        access.bootstrap,
        prefix,
        partitions=1,
        **{**access.settings, "sasl_token_file": file},
    ) as router:
        router.wait_ready()
        read_all(secured.admin, [f"{prefix}.events.course_created"], at_least=1)
        refused = secured.issuer.token("somebody", seconds=-500)
        secured.token_file("renewed", refused)
        wait_until(
            lambda: "SaslAuthenticationFailed" in router.log_file.read_text(),
            what="a connection that is refused",
        )
        send(secured.admin, f"{prefix}.raw", [Sent(EVENT)] * 3)
        valid = secured.issuer.token(USER)
        secured.token_file("renewed", valid)
        read_all(secured.admin, [f"{prefix}.events.course_created"], at_least=4)
        assert router.end() == 0
        text = router.log_file.read_text()
    assert len(read_all(secured.admin, [f"{prefix}.events.course_created"])) == 4
    assert refused not in text
    assert valid not in text


def test_a_connection_ends_without_waiting_for_the_broker(secured: SecuredCluster) -> None:
    """A broker that is slow to say goodbye, or has another answer on its way, must not hold up the
    end of a process.
    """
    access = secured.access("TLS")
    context = client_options(load_settings(**access.settings), access.bootstrap)["ssl_context"]
    host, _, port = access.bootstrap.partition(":")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=host)
    with socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS) as broker:
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                broker.sendall(outgoing.read())
                incoming.write(broker.recv(65_536))
    outgoing.read()
    session.unwrap()  # would raise SSLWantReadError, for which event loops wait
    assert outgoing.read(), "that it ends is said all the same"


@pytest.mark.parametrize("listener", ["MUTUAL", "SASLTLS"])
def test_secrets_come_from_files(secured: SecuredCluster, listener: str, tmp_path: Path) -> None:
    """A key with a passphrase, and a password."""
    (tmp_path / "secret").write_text(f"{PASSWORD}\n", encoding="utf-8")
    access = secured.access(listener, "SCRAM-SHA-512" if listener == "SASLTLS" else None)
    if listener == "MUTUAL":
        locked = secured.authority.issue(USER, passphrase=PASSWORD)
        told: dict[str, Any] = {
            **access.settings,
            "ssl_cert_file": locked.certificate,
            "ssl_key_file": locked.key,
            "ssl_key_password_file": tmp_path / "secret",
        }
    else:
        told = {"sasl_password": None, "sasl_password_file": tmp_path / "secret"}
    assert asyncio.run(_inspect(load_settings(**{**access.settings, **told}), access.bootstrap))
