"""Answers of the webhook over its real server, without Kafka."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from rollcall.errors import RollcallError
from rollcall.http import protocol
from rollcall.ingest.https import application, bodies, process
from rollcall.ingest.https.application import MOST_BODY_BYTES, Webhook
from rollcall.ingest.https.token import Refusal
from rollcall.ingest.sink import KafkaAwayError, RecordTooLargeError
from rollcall.sandbox.canvas.signing import Signer
from tests.ingest.https.hosting import (
    EVENT,
    NOW,
    PATH,
    Hosted,
    hosting,
    payload_of,
    signed,
    signer,
)
from tests.serve.client import DEADLINE, Answer, connected, fetch, received
from tests.serve.wire import answer_on, request, status_of
from tests.waiting import wait_for_count, wait_until

CALIPER = {"sensor": "http://x", "dataVersion": "http://purl.imsglobal.org/ctx/caliper/v1p1"}


@pytest.fixture
def hosted() -> Iterator[Hosted]:
    """A webhook as it is by default."""
    with hosting() as hosted:
        yield hosted


def post(hosted: Hosted, body: bytes, path: str = PATH, **headers: str) -> Answer:
    """Send a body to the webhook."""
    return fetch(hosted.url, path, "POST", body, headers)


def raw_post(body: bytes, *, close: bool = False) -> bytes:
    """A request with a body, as bytes."""
    return request(PATH, f"Content-Length: {len(body)}", method="POST", close=close) + body


def test_an_event(hosted: Hosted) -> None:
    """The record has the payload byte for byte, the key of the router, and its source."""
    answer = post(hosted, signed())
    assert (answer.status, answer.body) == (204, b"")
    [record] = hosted.sink.records
    assert record.value == payload_of()
    assert record.key == payload_of()[:4]
    assert record.headers == (("rollcall.source", b"https"),)
    wait_for_count(lambda: hosted.count(204), 1, what="events")


def test_success_comes_after_the_acknowledgement(hosted: Hosted) -> None:
    """And not before: a crash in between must not lose the event."""
    hosted.sink.acknowledging.clear()
    with connected(hosted.url) as connection:
        connection.sendall(raw_post(signed()))
        wait_until(lambda: hosted.sink.waiting == 1, what="the record")
        assert post(hosted, b"no token").status == 400
        assert select.select([connection], [], [], 0)[0] == []
        hosted.sink.acknowledging.set()
        assert status_of(answer_on_204(connection)) == 204


def test_an_early_success_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the test above: a webhook that does not wait answers meanwhile."""
    tasks = set()

    async def write_and_forget(self: Webhook, event: bytes) -> None:
        tasks.add(asyncio.ensure_future(write(self, event)))

    write = Webhook._write
    monkeypatch.setattr(Webhook, "_write", write_and_forget)
    with hosting() as hosted:
        hosted.sink.acknowledging.clear()
        assert post(hosted, signed()).status == 204
        assert hosted.sink.records == []
        hosted.sink.acknowledging.set()
        wait_until(lambda: all(task.done() for task in tasks), what="the record")


def answer_on_204(connection: socket.socket) -> bytes:
    """A response without a body."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = connection.recv(1)
        assert part
        found += part
    return found


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[1, 2]",
        b"not JSON",
        b"\x00\xff",
        json.dumps(CALIPER).encode(),
        b'{"metadata": {"event_name": 7}}',
    ],
)
def test_signed_content_is_not_judged(content: bytes) -> None:
    """It becomes a raw record, and the router's dead letter. An error would count towards the
    deactivation of the subscription.
    """
    with hosting(issuers=()) as hosted:
        assert post(hosted, signer().sign(content)).status == 204
        assert [record.value for record in hosted.sink.records] == [content]


@pytest.mark.parametrize("content", [{"metadata": 7}, {"sensor": "x", "data": [{"type": "Event"}]}])
def test_signed_content_of_an_allowed_issuer_is_not_judged(
    hosted: Hosted, content: dict[str, Any]
) -> None:
    assert post(hosted, signer().request_body(content, NOW)).status == 204
    (record,) = hosted.sink.records
    assert content.items() <= json.loads(record.value).items()


@pytest.mark.parametrize(
    ("body", "status", "refusal"),
    [
        (b"", 400, Refusal.NOT_A_TOKEN),
        (json.dumps(EVENT).encode(), 400, Refusal.NOT_A_TOKEN),
        (b'"a.b"', 400, Refusal.NOT_A_TOKEN),
        (Signer("current").request_body(EVENT, NOW), 401, Refusal.SIGNATURE),
        (Signer("unknown").request_body(EVENT, NOW), 401, Refusal.UNKNOWN_KEY),
        (
            signer().sign(json.dumps({**EVENT, "iss": "https://x.example"}).encode()),
            401,
            Refusal.ISSUER,
        ),
        (signed(exp=NOW - 1_000), 401, Refusal.EXPIRED),
        (signed(nbf=NOW + 1_000), 401, Refusal.NOT_YET_VALID),
        (b"eyJhbGciOiJub25lIn0.e30.AA", 401, Refusal.ALGORITHM),
    ],
)
def test_refused_bodies(hosted: Hosted, body: bytes, status: int, refusal: Refusal) -> None:
    """They leave nothing, and the sender loses its connection."""
    answer = post(hosted, body)
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert hosted.sink.records == []
    assert hosted.refused(refusal) == 1
    wait_for_count(lambda: hosted.count(status), 1, what="refusals")


def test_other_places_of_a_token(hosted: Hosted) -> None:
    """Neither headers nor the address nor a field are sources."""
    token = signed().strip(b'"').decode()
    for body, path, headers in (
        (b"", PATH, {"Authorization": f"Bearer {token}"}),
        (b"", PATH, {"X-Canvas-Signature": token}),
        (b"", f"{PATH}?token={token}", {}),
        (json.dumps({"token": token, **EVENT}).encode(), PATH, {}),
        (json.dumps({"jwt": token}).encode(), PATH, {"Content-Type": "application/json"}),
    ):
        assert fetch(hosted.url, path, "POST", body, headers).status == 400
    assert hosted.sink.records == []


@pytest.mark.parametrize("path", ["/", "/event", "/events/", "/Events", "/events%00", "/livez"])
def test_other_paths(hosted: Hosted, path: str) -> None:
    assert post(hosted, signed(), path).status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods(hosted: Hosted, method: str) -> None:
    answer = fetch(hosted.url, PATH, method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_any_content_type(hosted: Hosted) -> None:
    """Nobody knows what Canvas sends."""
    for content_type in ("application/json", "application/jwt", "text/plain", "x"):
        assert (
            fetch(hosted.url, PATH, "POST", signed(), {"Content-Type": content_type}).status == 204
        )


def test_large_bodies(hosted: Hosted) -> None:
    """A megabyte of event passes. More than two of body are refused, announced or in pieces."""
    event = {**EVENT, "body": {"text": "x" * 1_048_576}}
    assert post(hosted, signed(event)).status == 204
    assert hosted.sink.records[0].value == payload_of(event)
    with connected(hosted.url) as connection:
        connection.sendall(request(PATH, f"Content-Length: {MOST_BODY_BYTES + 1}", method="POST"))
        assert status_of(b"".join(received(connection))) == 413
    with connected(hosted.url) as connection:
        connection.sendall(request(PATH, "Transfer-Encoding: chunked", method="POST", close=False))
        piece = b"x" * 65_536
        with_size = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        sent = 0
        try:
            while sent <= MOST_BODY_BYTES:
                connection.sendall(with_size)
                sent += len(piece)
            answer = b"".join(received(connection))
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
        assert answer == b"" or status_of(answer) == 413
    wait_for_count(lambda: hosted.count(413), 2, what="refusals")
    assert len(hosted.sink.records) == 1


def test_kafka_is_away(hosted: Hosted) -> None:
    """Canvas is to try again. Afterwards events are taken."""
    hosted.sink.unavailable_reason = "Kafka at secret.example does not answer"
    answer = post(hosted, signed())
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["connection"] == "close"
    assert b"secret.example" not in answer.body
    hosted.sink.unavailable_reason = None
    for error in (KafkaAwayError("stopped"), RollcallError("refused for another reason")):
        hosted.sink.error = error
        assert post(hosted, signed()).status == 503
    hosted.sink.error = None
    assert post(hosted, signed()).status == 204
    wait_for_count(lambda: hosted.count(503), 3, what="refusals")


def test_an_event_that_kafka_refuses(hosted: Hosted) -> None:
    hosted.sink.error = RecordTooLargeError("canvas.raw takes no record of this size")
    assert post(hosted, signed()).status == 413


def test_a_fault_of_the_code(hosted: Hosted) -> None:
    """It is counted as one, and not as a client that has left."""
    hosted.sink.error = LookupError("a fault")
    assert post(hosted, signed()).status == 500
    wait_for_count(lambda: hosted.count(500), 1, what="faults")
    assert hosted.count(499) == 0


def test_there_were_never_keys(hosted: Hosted) -> None:
    """That is not the sender's fault, whoever it is."""
    hosted.keys.document = None
    assert post(hosted, signed()).status == 503
    assert post(hosted, Signer("unknown").request_body(EVENT, NOW)).status == 503
    assert hosted.keys.reads == 1


def test_a_flood_of_unknown_keys(hosted: Hosted) -> None:
    """It causes one fetch, and others are served meanwhile."""
    token = signed()
    assert post(hosted, token).status == 204
    rest = token.strip(b'"').partition(b".")[2]

    def forged(number: int) -> bytes:
        header = json.dumps({"alg": "RS256", "kid": f"unknown {number}"}).encode()
        return base64.urlsafe_b64encode(header).rstrip(b"=") + b"." + rest

    with ThreadPoolExecutor(8) as pool:
        statuses = [*pool.map(lambda n: post(hosted, forged(n)).status, range(100))]
    assert statuses == [401] * 100
    assert hosted.keys.reads == 1
    assert post(hosted, token).status == 204


def test_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that Kafka does not acknowledge in time gets 503: Canvas would wait too long."""
    monkeypatch.setattr(application, "REQUEST_SECONDS", 0.3)
    with hosting() as hosted:
        hosted.sink.acknowledging.clear()
        answer = post(hosted, signed())
        assert (answer.status, answer.headers["connection"]) == (503, "close")


def test_a_body_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends it loses the connection. It is not counted as a refused event: strangers could
    raise the alert.
    """
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    with hosting() as hosted:
        with connected(hosted.url) as connection:
            connection.sendall(raw_post(signed())[:-10])
            answer = b"".join(received(connection))
        assert status_of(answer) == 408
        assert b"connection: close" in answer
        wait_for_count(lambda: hosted.count(408), 1, what="refusals")
        assert hosted.count(503) == 0
        assert hosted.app.bodies.held_bytes == 0


def test_the_end_answers_what_is_open() -> None:
    """No request is cut off without an answer."""
    with hosting() as hosted, ThreadPoolExecutor(4) as pool:
        hosted.sink.acknowledging.clear()
        answers = [pool.submit(post, hosted, signed()) for _ in range(4)]
        wait_until(lambda: hosted.sink.waiting == 4, what="the requests")
        hosted.server.should_exit = True
        hosted.sink.acknowledging.set()
        assert [answer.result().status for answer in answers] == [204] * 4


def test_the_end_does_not_wait_for_kafka() -> None:
    """What Kafka does not acknowledge is refused before the process ends."""
    with hosting() as hosted, ThreadPoolExecutor(1) as pool:
        hosted.sink.acknowledging.clear()
        answer = pool.submit(post, hosted, signed())
        wait_until(lambda: hosted.sink.waiting == 1, what="the request")
        hosted.end_within(0.1)
        assert answer.result().status == 503


def test_bytes_for_kafka_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that is refused before its event was read loses its connection."""
    monkeypatch.setattr(application, "MOST_HELD_BYTES", 1_000_000)
    with hosting() as hosted:
        hosted.sink.pending_bytes = 500_001
        answer = post(hosted, signed())
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        hosted.sink.pending_bytes = 500_001 - len(payload_of())
        with connected(hosted.url) as sender:
            sender.sendall(raw_post(signed()))
            assert status_of(answer_on(sender)) == 503
            hosted.sink.pending_bytes -= 1
            sender.sendall(raw_post(signed()))
            assert status_of(answer_on_204(sender)) == 204


def test_stalled_bodies_beside_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest ones are given up for a new one, however many there are."""
    monkeypatch.setattr(application, "MOST_HELD_BYTES", 1_000_000)
    monkeypatch.setattr(bodies, "BODY_SECONDS", DEADLINE)
    with hosting() as hosted, ExitStack() as connections:
        hosted.sink.pending_bytes = 400_000
        stalled = []
        for number in range(1, 21):
            stalled.append(connections.enter_context(connected(hosted.url)))
            stalled[-1].sendall(
                request(PATH, "Content-Length: 200000", method="POST", close=False) + b"x" * 99_000
            )
            most = min(number, 5) * 99_000
            wait_for_count(lambda: hosted.count(408), max(number - 5, 0), what="refusals")
            wait_for_count(lambda: hosted.app.bodies.held_bytes, most, what="bytes")
            assert post(hosted, signed()).status == 204
        answers = [b"".join(received(connection)) for connection in stalled[:15]]
        assert [status_of(answer) for answer in answers] == [408] * 15
        assert hosted.count(503) == 0
    assert hosted.app.bodies.held_bytes == 0  # also after senders that left


def test_requests_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "MOST_REQUESTS", 3)
    with hosting() as hosted, ThreadPoolExecutor(3) as pool:
        hosted.sink.acknowledging.clear()
        waiting = [pool.submit(post, hosted, signed()) for _ in range(3)]
        wait_until(lambda: hosted.sink.waiting == 3, what="the requests")
        answer = post(hosted, signed())
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        hosted.sink.acknowledging.set()
        assert [answer.result().status for answer in waiting] == [204] * 3
        assert post(hosted, signed()).status == 204


def test_a_client_that_leaves_gives_back_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "MOST_REQUESTS", 1)
    with hosting() as hosted:
        with connected(hosted.url) as connection:
            connection.sendall(raw_post(signed())[:-10])
            wait_until(lambda: post(hosted, signed()).status == 503, what="the request")
        wait_until(lambda: post(hosted, signed()).status == 204, what="a free place")


def test_idle_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that send nothing, or their head too slowly, are closed. Events come through meanwhile,
    and a sender with a signature keeps its connection.
    """
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 2.0)
    with hosting() as hosted, connected(hosted.url) as sender:
        sender.sendall(raw_post(signed()))
        assert status_of(answer_on_204(sender)) == 204
        idle = [connected(hosted.url) for _ in range(300)]
        for number, connection in enumerate(idle):
            connection.sendall(b"POST /events HTTP/1.1\r\nX: "[: number % 28])
        wait_until(lambda: hosted.connections >= 300, what="the connections")
        assert post(hosted, signed()).status == 204
        wait_until(lambda: hosted.connections == 1, what="the end of the idle connections")
        sender.sendall(raw_post(signed()))
        assert status_of(answer_on_204(sender)) == 204
        for connection in idle:
            connection.close()


def test_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit, requests are refused, until connections end."""
    monkeypatch.setattr(process, "MOST_CONNECTIONS", 20)
    with hosting() as hosted:
        idle = [connected(hosted.url) for _ in range(20)]
        wait_until(lambda: hosted.connections == 20, what="the connections")
        assert post(hosted, signed()).status == 503
        for connection in idle:
            connection.close()
        wait_until(lambda: post(hosted, signed()).status == 204, what="room")


@pytest.mark.parametrize(
    "head",
    [
        request("/" + "x" * 40_000, method="POST"),
        request(PATH, "X: " + "x" * 40_000, method="POST"),
        request(PATH, *(f"X-{number}: x" for number in range(8_000)), method="POST"),
    ],
    ids=["path", "header", "headers"],
)
def test_a_large_head(hosted: Hosted, head: bytes) -> None:
    with connected(hosted.url) as connection:
        connection.sendall(head)
        assert status_of(b"".join(received(connection))) == 431


def test_several_events_on_a_connection(hosted: Hosted) -> None:
    with connected(hosted.url) as connection:
        connection.sendall(b"".join(raw_post(signed(number=number)) for number in range(10)))
        statuses = [status_of(answer_on_204(connection)) for _ in range(10)]
    assert statuses == [204] * 10
    assert [record.value for record in hosted.sink.records] == [
        payload_of(number=number) for number in range(10)
    ]


def test_unsigned_events() -> None:
    """Taken if a setting says so. A signature is checked all the same."""
    with hosting(unsigned=True) as hosted:
        body = json.dumps(EVENT).encode()
        for taken in (body, b"no JSON", b'"text"', signed()):
            assert post(hosted, taken).status == 204
        assert [record.value for record in hosted.sink.records] == [
            body,
            b"no JSON",
            b'"text"',
            payload_of(),
        ]
        for refused, status in ((b"", 400), (b" \n", 400), (signed(exp=1), 401)):
            assert post(hosted, refused).status == status


def test_logs_have_nothing_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    """Neither tokens nor events nor addresses, at any level."""
    caplog.set_level(logging.DEBUG)
    with hosting() as hosted:
        event = {**EVENT, "secret": "SECRET"}
        bodies = [
            signed(event),
            signed(event, exp=1),
            Signer("SECRET").request_body(event, NOW),
            Signer("current").request_body(event, NOW),
            b"SECRET",
            b"SECRET.SECRET.SECRET",
        ]
        for body in bodies:
            post(hosted, body, Authorization="Bearer SECRET")
            post(hosted, body, path="/SECRET?SECRET")
        with connected(hosted.url) as connection:
            connection.sendall(b"SECRET\r\n\r\n")
            assert b"".join(received(connection))
        hosted.sink.error = KafkaAwayError("stopped")
        post(hosted, signed(event))
    parts = {"SECRET", *(body.decode()[:20] for body in bodies)}
    text = "\n".join(record.getMessage() + str(vars(record)) for record in caplog.records)
    assert [part for part in parts if part in text] == []
    assert caplog.records
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_answers_have_nothing_of_a_request(hosted: Hosted) -> None:
    for body in (b"SECRET.SECRET.SECRET", Signer("SECRET").request_body(EVENT, NOW)):
        assert b"SECRET" not in post(hosted, body).body
