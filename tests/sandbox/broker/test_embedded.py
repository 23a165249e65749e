"""A broker's life: it starts once, stops for good, and finds its port and its data again."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from rollcall.errors import BrokerUnavailableError
from rollcall.sandbox.broker import EmbeddedBroker
from tests.kafka_client import in_time


def write(bootstrap: str, topic: str, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    in_time(admin.create_topics([NewTopic(topic, 1, 1)])[topic].result, what="the topic")
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(topic, value)
    assert producer.flush(30) == 0


def read(bootstrap: str, topic: str) -> bytes | None:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.error() is None
    value = message.value()
    assert value is None or isinstance(value, bytes)
    return value


def test_port_and_data_survive_a_stop_and_a_crash(directory: Path) -> None:
    broker = EmbeddedBroker(directory)
    assert broker.start()
    bootstrap = broker.bootstrap
    write(bootstrap, "kept", b"a value")
    assert broker.stop()
    assert not broker.status().running
    assert broker.bootstrap == bootstrap

    assert broker.start()
    assert (broker.bootstrap, read(bootstrap, "kept")) == (bootstrap, b"a value")
    assert broker.kill()
    assert not broker.status().running

    with broker:
        assert (broker.bootstrap, read(bootstrap, "kept")) == (bootstrap, b"a value")


def test_two_starters_at_once_make_one_broker(directory: Path) -> None:
    directory.mkdir()
    # left by a crash, and another program's by now
    (directory / "broker.pid").write_text(f"{os.getpid()}\n")
    first, second = EmbeddedBroker(directory), EmbeddedBroker(directory)
    with ThreadPoolExecutor(2) as threads:
        started = [
            outcome.result()
            for outcome in [threads.submit(first.start), threads.submit(second.start)]
        ]
    assert sorted(started) == [False, True]
    assert first.status() == second.status()
    assert first.status().running
    assert second.stop()  # whoever started it
    assert not first.status().running
    assert not first.stop()


def test_the_id_of_a_process_that_is_not_the_broker_is_not_believed(directory: Path) -> None:
    directory.mkdir()
    pid_file = directory / "broker.pid"
    broker = EmbeddedBroker(directory)
    for stale in (f"{os.getpid()}\n", "999999999\n", "no number", ""):
        pid_file.write_text(stale)
        assert broker.status().pid is None
        assert not broker.stop()
        pid_file.write_text(stale)
        assert not broker.kill()


def test_a_broker_that_cannot_start_says_why_and_leaves_nothing(directory: Path) -> None:
    with pytest.raises(
        BrokerUnavailableError,
        match=r"(?s)ended while it started; its log .*server\.log ends:\n.*heap",
    ) as refused:
        EmbeddedBroker(directory, heap="1k").start()
    assert "Traceback" not in str(refused.value)
    assert EmbeddedBroker(directory).status().pid is None


def test_a_broker_that_is_not_ready_in_time_is_an_error_and_ended(directory: Path) -> None:
    broker = EmbeddedBroker(directory)
    with pytest.raises(BrokerUnavailableError, match="not ready within 0 s"):
        broker.start(timeout=0)
    assert broker.status().pid is None


def test_a_port_that_is_taken_is_named(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerUnavailableError, match=f"port {port} of 127.0.0.1"):
            EmbeddedBroker(directory, port=port).start()


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"node.json": "{"}, "node.json cannot be read"),
        ({"node.json": '{"port": 1}'}, "node.json cannot be read"),
        ({"data/meta.properties": "cluster.id=other\n"}, "node.json is missing"),
        (
            {
                "node.json": '{"cluster_id": "mine", "host": "127.0.0.1", "port": 0, '
                '"controller_port": 0}',
                "data/meta.properties": "cluster.id=other\n",
            },
            "different clusters",
        ),
        (
            {
                "node.json": '{"cluster_id": "mine", "host": "127.0.0.1", "port": 0, '
                '"controller_port": 0}',
                "data/topic-0": "",
            },
            "meta.properties is missing",
        ),
    ],
)
def test_damaged_state_is_refused_with_what_to_do(
    directory: Path, files: dict[str, str], fault: str
) -> None:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    with pytest.raises(
        BrokerUnavailableError, match=rf"damaged \(.*{fault}.*\): delete that directory"
    ):
        EmbeddedBroker(directory).start()


def test_looking_makes_nothing(directory: Path) -> None:
    broker = EmbeddedBroker(directory)
    assert not broker.status().running
    assert not broker.stop()
    assert not broker.kill()
    with pytest.raises(BrokerUnavailableError, match="rollcall broker start"):
        _ = broker.bootstrap
    assert not directory.exists()
