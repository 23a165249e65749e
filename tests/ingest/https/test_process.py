"""``rollcall ingest https`` as a process, on a real broker."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rollcall.cli.running import _ingest_processes
from rollcall.ingest.https.certificate import Certificate
from rollcall.ingest.https.keys import Keys
from rollcall.ingest.https.process import WebhookProcess
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.canvas.signing import Signer, key_set
from rollcall.settings import load_settings
from tests.docs.markdown import ROOT
from tests.forks import Forks
from tests.ingest.https.certificates import CertificateFiles, write_certificate
from tests.ingest.https.hosting import EVENT, signer
from tests.ingest.https.key_server import serving_keys
from tests.ingest.https.test_webhook import answer_on_204, raw_post
from tests.kafka_client import headers, read_all, topics_of
from tests.processes import PROGRAM, RollcallProcess
from tests.serve.client import connected, fetch
from tests.serve.wire import status_of
from tests.waiting import DEADLINE_SECONDS, in_time, run, wait_until

EVENTS = 50


def webhook(folder: Path, bootstrap: str, prefix: str, **settings: Any) -> RollcallProcess:
    """A process with the keys in a file."""
    keys = folder / "keys.json"
    if not keys.exists():
        keys.write_bytes(key_set([signer()]))
    return RollcallProcess(
        "ingest https",
        folder,
        bootstrap,
        prefix,
        **{"webhook_port": 0, "webhook_jwks_url": keys.as_uri(), **settings},
    )


def address_of(process: RollcallProcess) -> str:
    """The webhook's address."""
    assert process.url
    return next(str(line["webhook"]) for line in process.log if "webhook" in line)


def signed(number: int, **claims: Any) -> bytes:
    """The body of a request with one of many events."""
    body = {**EVENT["body"], "number": number}
    return signer().request_body({**EVENT, "body": body, **claims}, int(time.time()))


def status(process: RollcallProcess, body: bytes) -> int:
    """Status of the answer to a body."""
    url = urlsplit(address_of(process))
    return fetch(f"http://{url.netloc}", url.path, "POST", body).status


def numbers_on(bootstrap: str, prefix: str, least: int) -> list[int]:
    """Numbers of the events on the raw topic."""
    records = read_all(bootstrap, [f"{prefix}.raw"], at_least=least)
    return sorted(json.loads(record.value() or b"")["body"]["number"] for record in records)


def test_events_reach_kafka(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """Each that was answered with 204 is there, with the router's key and its source. What is not
    signed is not. The log has neither events nor tokens.
    """
    with webhook(tmp_path, bootstrap, prefix) as process:
        process.wait_ready()
        url = address_of(process)
        with connected(url) as connection:
            for number in range(EVENTS):
                connection.sendall(raw_post(signed(number)))
                assert status_of(answer_on_204(connection)) == 204
        assert status(process, signed(0)) == 204
        forged = Signer(signer().key_id).request_body(EVENT, int(time.time()))
        assert status(process, forged) == 401
        assert status(process, json.dumps(EVENT).encode()) == 400
        records = read_all(bootstrap, [f"{prefix}.raw"], at_least=EVENTS + 1)
        bodies = [json.loads(record.value() or b"") for record in records]
        numbers = sorted(body["body"]["number"] for body in bodies)
        assert numbers == sorted([*range(EVENTS), 0])
        assert {record.key() for record in records} == {b"21070000000000565"}
        assert len({record.partition() for record in records}) == 1
        assert all(headers(record)["rollcall.source"] == b"https" for record in records)
        wait_until(
            lambda: process.metric("rollcall_ingest_produced_total") == EVENTS + 1, what="metrics"
        )
        assert process.metric("rollcall_ingest_webhook_requests_total", status="204") == EVENTS + 1
        assert process.metric("rollcall_ingest_tokens_refused_total", reason="signature") == 1
        assert process.metric("rollcall_ingest_tokens_refused_total", reason="not_a_token") == 1
        assert process.metric("rollcall_ingest_keys_age_seconds") >= 0
        assert process.metric("rollcall_ready") == 1
        assert process.end() == 0
    log = process.log_file.read_text()
    for secret in ("Linear Algebra", "eyJ", forged.decode()[-20:]):
        assert secret not in log


def test_the_end_answers_what_is_open(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """After SIGTERM, nobody is let in, and a request that has begun is answered."""
    with webhook(tmp_path, bootstrap, prefix) as process:
        process.wait_ready()
        url, request = address_of(process), raw_post(signed(7))
        with connected(url) as connection:
            connection.sendall(raw_post(signed(6)) + request[:-50])
            assert status_of(answer_on_204(connection)) == 204
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: is_refused(url), what="the end of listening")
            connection.sendall(request[-50:])
            assert status_of(answer_on_204(connection)) == 204
        assert process.wait_exit() == 0
    assert numbers_on(bootstrap, prefix, 2) == [6, 7]


def is_refused(url: str) -> bool:
    """Whether nobody listens any more."""
    try:
        with connected(url):
            return False
    except ConnectionRefusedError:
        return True


def test_the_end_with_a_request_that_never_ends(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """It is refused before the process ends, and the end is in order."""
    with webhook(tmp_path, bootstrap, prefix, drain_seconds=2) as process:
        process.wait_ready()
        with connected(address_of(process)) as connection:
            connection.sendall(raw_post(signed(6)) + raw_post(signed(7))[:-50])
            assert status_of(answer_on_204(connection)) == 204
            process.send_signal(signal.SIGTERM)
            assert status_of(connection.recv(1_000)) == 503
        assert process.wait_exit() == 0


def test_without_kafka(prefix: str, tmp_path: Path) -> None:
    """Events are refused for now, and readiness says why."""
    with webhook(tmp_path, "127.0.0.1:1", prefix) as process:
        wait_until(lambda: "broker answers" in process.get("/readyz")[1], what="the reason")
        assert process.get("/livez")[0] == 200
        wait_until(lambda: status(process, signed(1)) == 503, what="a refusal")
        assert process.metric("rollcall_ready") == 0
        assert process.metric("rollcall_ingest_kafka_away") == 1
        assert process.end() == 0


def test_a_kafka_that_gives_no_answer(prefix: str, tmp_path: Path) -> None:
    """Requests are answered nevertheless: Canvas would count a time-out."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        webhook(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}", prefix) as process,
    ):
        wait_until(lambda: status(process, signed(1)) == 503, what="a refusal")
        assert process.get("/readyz")[0] == 503
        assert process.end() == 0


@pytest.mark.parametrize("part", [Keys, Certificate])
async def test_a_background_task_that_ends(
    part: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends with its error: without the task, keys and certificate would grow old."""

    async def fail(_self: object) -> None:
        raise LookupError("a fault")

    monkeypatch.setattr(part, "keep_fresh", fail)
    (tmp_path / "keys.json").write_bytes(key_set([signer()]))
    files = write_certificate(tmp_path)
    settings = load_settings(
        port=0,
        webhook_port=0,
        webhook_jwks_url=(tmp_path / "keys.json").as_uri(),
        webhook_tls_cert_file=files.cert,
        webhook_tls_key_file=files.key,
    )
    process = WebhookProcess(settings, "127.0.0.1:1")
    with pytest.raises(LookupError, match="a fault"):
        await in_time(process.run(asyncio.Event()), what="the end")


@pytest.fixture
def own_broker(tmp_path: Path, jars: Path) -> Iterator[EmbeddedBroker]:
    """A broker that the test may stop."""
    with EmbeddedBroker(tmp_path / "kafka", jars=jars, heap="256m") as broker:
        yield broker


@pytest.mark.slow
def test_an_outage_of_kafka(own_broker: EmbeddedBroker, prefix: str, tmp_path: Path) -> None:
    """Events are refused meanwhile, and taken afterwards by the same process. Each that was
    answered with 204 is there.
    """
    bootstrap = own_broker.bootstrap
    with webhook(tmp_path, bootstrap, prefix) as process:
        process.wait_ready()
        taken = [number for number in range(50) if status(process, signed(number)) == 204]
        assert len(taken) == 50
        own_broker.kill()
        wait_until(lambda: status(process, signed(1_000)) == 503, what="a refusal")
        wait_until(lambda: process.get("/readyz")[0] == 503, what="unreadiness")
        own_broker.start()
        wait_until(lambda: status(process, signed(2_000)) == 204, what="recovery")
        process.wait_ready()
        found = numbers_on(bootstrap, prefix, 51)
        assert {*taken, 2_000} <= {*found}
        assert process.end() == 0


def test_keys_that_come_later(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """Without keys, events are refused for now."""
    missing = tmp_path / "later.json"
    with webhook(tmp_path, bootstrap, prefix, webhook_jwks_url=missing.as_uri()) as process:
        wait_until(lambda: "no keys" in process.get("/readyz")[1], what="the reason")
        wait_until(lambda: status(process, signed(1)) == 503, what="a refusal")
        assert process.metric("rollcall_ingest_key_fetches_total", result="failure") >= 1
        assert process.metric("rollcall_ingest_keys_age_seconds") == -1
        assert process.end() == 0


def test_keys_over_https(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """They are fetched from a server that is trusted as OpenSSL is told, and once for a flood of
    unknown keys.
    """
    with (
        serving_keys(tmp_path, key_set([signer()])) as keys,
        RollcallProcess(
            "ingest https",
            tmp_path,
            bootstrap,
            prefix,
            program=PROGRAM,
            variables={"SSL_CERT_FILE": str(keys.files.cert)},
            webhook_port=0,
            webhook_jwks_url=keys.url,
        ) as process,
    ):
        process.wait_ready()
        assert status(process, signed(1)) == 204
        stranger = Signer("unknown")
        for number in range(20):
            stranger.key_id = f"unknown {number}"
            assert status(process, stranger.request_body(EVENT, int(time.time()))) == 401
        assert keys.requests == process.metric("rollcall_ingest_key_fetches_total")
        assert keys.requests <= 2
        assert process.end() == 0


def secure_post(url: str, body: bytes, files: CertificateFiles) -> int:
    """Status of the answer to a body, from a server with this certificate."""
    address = urlsplit(url)
    assert address.hostname
    connection = http.client.HTTPSConnection(
        address.hostname,
        address.port,
        context=ssl.create_default_context(cafile=str(files.cert)),
        timeout=DEADLINE_SECONDS,
    )
    try:
        connection.request("POST", address.path, body)
        return connection.getresponse().status
    finally:
        connection.close()


def test_tls(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """With a certificate, plain HTTP gets nothing."""
    files = write_certificate(tmp_path)
    with webhook(
        tmp_path,
        bootstrap,
        prefix,
        webhook_tls_cert_file=files.cert,
        webhook_tls_key_file=files.key,
    ) as process:
        process.wait_ready()
        url = address_of(process)
        assert url.startswith("https://")
        assert secure_post(url, signed(3), files) == 204
        with connected(url) as plain:
            plain.sendall(raw_post(signed(4)))
            assert b"204" not in plain.recv(1_000)
        assert process.end() == 0
    assert numbers_on(bootstrap, prefix, 1) == [3]


def refused(folder: Path, forks: Forks, **settings: object) -> str:
    """What it says when it does not start."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ROLLCALL_")
    }
    values = {"kafka": "127.0.0.1:1", "data": folder, "port": 0, "webhook_port": 0, **settings}
    environment |= {f"ROLLCALL_{name.upper()}": str(value) for name, value in values.items()}
    done = forks.run("ingest", "https", environment=environment, folder=folder)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_what_cannot_be_is_refused_in_one_line(forks: Forks, tmp_path: Path) -> None:
    """What is wrong, where, and what to do."""
    everywhere = "0.0.0.0"  # noqa: S104
    for path in (
        "/events",
        "/events/lN3rJ0wq8Vx2TzB5kQ7mY",
        "/canvas-live-events-webhook",
        "/2026-11-30-2026-11-30-2026-11-30",
        "/abcdefghijkl/123456789012",
    ):
        assert "a path with a secret word of at least 22 characters, with letters and digits" in (
            refused(
                tmp_path, forks, webhook_unsigned=True, webhook_bind=everywhere, webhook_path=path
            )
        )
    assert "the webhook's certificate cannot be used" in refused(
        tmp_path, forks, webhook_tls_cert_file=tmp_path / "none.pem"
    )
    assert "set ROLLCALL_WEBHOOK_TLS_CERT_FILE" in refused(
        tmp_path, forks, webhook_tls_key_file=tmp_path / "none.pem"
    )
    assert "ROLLCALL_WEBHOOK_JWKS_URL: must be" in refused(
        tmp_path, forks, webhook_jwks_url="http://keys.example/jwks"
    )
    assert "ROLLCALL_WEBHOOK_PATH: must be" in refused(tmp_path, forks, webhook_path="events?x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "set ROLLCALL_WEBHOOK_PORT or ROLLCALL_WEBHOOK_BIND" in refused(
            tmp_path, forks, webhook_port=taken.getsockname()[1]
        )


def test_unsigned_events_with_a_secret_path(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """The secret is in no log."""
    secret = "a-secret-of-30-characters-here"
    with webhook(
        tmp_path, bootstrap, prefix, webhook_unsigned=True, webhook_path=f"/events/{secret}"
    ) as process:
        process.wait_ready()
        url = address_of(process)
        body = json.dumps({**EVENT, "body": {"number": 5}}).encode()
        assert fetch(url, "/events", "POST", body).status == 404
        assert fetch(url, f"/events/{secret}", "POST", body).status == 204
        assert process.end() == 0
    assert numbers_on(bootstrap, prefix, 1) == [5]
    log = process.log_file.read_text()
    assert secret not in log
    assert "UNSIGNED is on" in log


def test_a_missing_extra() -> None:
    """One line says what to install."""
    code = (
        "import sys; sys.modules['jwt'] = None; sys.argv = ['rollcall', 'ingest', 'https'];"
        "from rollcall.cli.main import main; main()"
    )
    done = run([sys.executable, "-c", code])
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "rollcall: rollcall ingest https needs the extra https (jwt is missing): pip install "
        "'.[https]' in Rollcall's checkout"
    ]


@pytest.mark.slow
def test_an_event_from_the_webhook_to_its_topic(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """``rollcall up`` runs the webhook with all others, and the router takes its events: with the
    token's own claims, and with the key that the raw record had.
    """
    keys = tmp_path / "keys.json"
    keys.write_bytes(key_set([signer()]))
    event = json.loads((ROOT / "tests/fixtures/documented/enrollment_created.json").read_bytes())
    with RollcallProcess(
        "up",
        tmp_path,
        bootstrap,
        prefix,
        data=tmp_path,
        webhook_port=0,
        webhook_jwks_url=keys.as_uri(),
    ) as up:
        wait_until(lambda: any("webhook" in line for line in up.log), what="the webhook")
        body = signer().request_body(event, int(time.time()))
        wait_until(lambda: status(up, body) == 204, what="an accepted event")
        (raw,) = read_all(bootstrap, [f"{prefix}.raw"], at_least=1)
        topic = f"{prefix}.events.enrollment_created"
        wait_until(lambda: topic in topics_of(bootstrap), what="the router's topics")
        (typed,) = read_all(bootstrap, [topic], at_least=1)
        assert typed.key() == raw.key() == b"21070000000046825"
        assert typed.value() == raw.value()
        assert headers(typed)["rollcall.source"] == b"https"
        assert up.end() == 0


def test_up_runs_what_is_configured() -> None:
    """The webhook, if one of its settings is set."""
    assert [*_ingest_processes(load_settings())] == []
    assert [*_ingest_processes(load_settings(webhook_port=8443))] == ["ingest https"]
