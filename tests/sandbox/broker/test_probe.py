"""Only a Kafka broker is taken for one."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.sandbox.broker import probe
from tests.conftest import Broker
from tests.waiting import DEADLINE_SECONDS


def test_a_broker_names_itself(broker: Broker) -> None:
    host, _, port = broker.bootstrap.split(",")[0].rpartition(":")
    cluster = probe.describe_cluster(host, int(port), timeout=DEADLINE_SECONDS)
    assert cluster is not None
    assert cluster.cluster_id
    assert cluster.brokers


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert probe.describe_cluster("127.0.0.1", port, timeout=1) is None


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\4abcd", b"\0\0\0\x08abc"]
)
def test_another_program_there(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert probe.describe_cluster("127.0.0.1", listener.getsockname()[1], timeout=5) is None
        thread.join()


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_an_error_of_format(answer: bytes) -> None:
    with contextlib.suppress(*probe.NOT_AN_ANSWER):
        probe.parse_answer(answer)
