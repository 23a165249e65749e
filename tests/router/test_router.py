"""The router on a real broker, with another client library as reader."""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Consumer, Producer

from rollcall.events.ids import SHARD_SIZE
from rollcall.events.registry import REGISTRY
from rollcall.kafka.partitioner import murmur2
from rollcall.process.event_types import event_types
from rollcall.resources import resource_path
from rollcall.settings import load_settings
from tests.events.schemas.events import VALIDATORS
from tests.kafka_client import (
    Sent,
    committed,
    create_topic,
    delete_records,
    delete_topic,
    headers,
    partitions_of,
    read_all,
    send,
    set_committed,
)
from tests.processes import EVENTS, RouterProcess, wait_until
from tests.router.test_delivery import numbered_events
from tests.waiting import run, wait_for_count

EXAMPLES = {
    name: orjson.loads(resource_path("schemas", f"{name}.json").read_bytes())["examples"][0]
    for name in REGISTRY
}
DOCUMENTED = Path(__file__).parent.parent / "fixtures" / "documented"


def wait_consumed(bootstrap: str, prefix: str, count: int) -> None:
    """Wait until a number of raw records is committed."""
    wait_until(
        lambda: sum(committed(bootstrap, f"{prefix}-router", f"{prefix}.raw").values()) == count,
        what="the end of the input",
    )


def test_every_documented_example_arrives_byte_for_byte(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    texts = {path.stem: path.read_bytes() for path in sorted(DOCUMENTED.glob("*.json"))}
    invalid = texts.pop("user_updated")  # the documented event has a typo in a time
    texts |= {
        name: json.dumps(example, indent=2).encode()
        for name, example in EXAMPLES.items()
        if name not in texts
    }
    assert len(texts) == len(REGISTRY)
    create_topic(bootstrap, f"{prefix}.raw", 3)
    hour_ago = int(time.time() * 1000) - 3_600_000
    send(
        bootstrap,
        f"{prefix}.raw",
        [
            Sent(text, headers=(("origin", name.encode()),), timestamp_ms=hour_ago + n)
            for n, (name, text) in enumerate(texts.items())
        ],
    )
    send(bootstrap, f"{prefix}.raw", [Sent(invalid, key=b"raw key", timestamp_ms=hour_ago)])
    with RouterProcess(tmp_path, bootstrap, prefix, partitions=5, events="all") as router:
        wait_consumed(bootstrap, prefix, len(texts) + 1)
        assert router.end() == 0
    arrived = {
        message.topic(): message
        for message in read_all(
            bootstrap, [f"{prefix}.events.{name}" for name in texts], at_least=len(texts)
        )
    }
    assert len(arrived) == len(texts)
    for n, (name, text) in enumerate(texts.items()):
        message = arrived[f"{prefix}.events.{name}"]
        found = headers(message)
        assert message.value() == text
        assert message.timestamp()[1] == hour_ago + n
        assert found["origin"] == name.encode()
        assert found["ce_type"] == name.encode()
        assert found["ce_dataschema"] == VALIDATORS[name].schema_id.encode()
        event, place, key = orjson.loads(text), REGISTRY[name].key, message.key()
        if place is None:
            assert key is None
            continue
        assert isinstance(key, bytes)
        entity = str(place.value(event["metadata"], event["body"]))
        if not place.is_id or int(entity) >= SHARD_SIZE:
            assert key == entity.encode()
        else:
            assert int(key) == 2107 * SHARD_SIZE + int(entity)
        assert message.partition() == (murmur2(key) & 0x7FFFFFFF) % 5
    (letter,) = read_all(bootstrap, [f"{prefix}.dead-letter"], at_least=1)
    assert (letter.value(), letter.key(), letter.timestamp()[1]) == (invalid, b"raw key", hour_ago)
    reasons = {
        name.removeprefix("rollcall.error."): value for name, value in headers(letter).items()
    }
    assert reasons.pop("message").startswith(b"pattern: ")
    assert reasons == {
        "code": b"schema_violation",
        "path": b"/body/updated_at",
        "schema": VALIDATORS["user_updated"].schema_id.encode(),
        "topic": f"{prefix}.raw".encode(),
        "partition": reasons["partition"],
        "offset": reasons["offset"],
        "attempt": b"1",
    }


def test_a_family_is_read_by_a_regular_expression(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    family = {name for name, event_type in REGISTRY.items() if event_type.family == "wiki_page"}
    create_topic(bootstrap, f"{prefix}.raw", 1)
    names = [*family, "module_created", "heartbeat"]
    send(bootstrap, f"{prefix}.raw", [Sent(json.dumps(EXAMPLES[name]).encode()) for name in names])
    with RouterProcess(tmp_path, bootstrap, prefix, events="wiki_page,module,heartbeat") as router:
        wait_consumed(bootstrap, prefix, len(names))
        assert router.end() == 0
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{prefix}-family",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([rf"^{prefix}\.events\.wiki_page_.*"])
    found: list[str | None] = []

    def all_found() -> bool:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append(message.topic())
        return len(found) >= len(family)

    try:
        wait_until(all_found, what="the events of the family")
    finally:
        consumer.close()
    assert set(found) == {f"{prefix}.events.{name}" for name in family}


def test_keys_have_the_partitions_of_the_java_client(bootstrap: str, prefix: str) -> None:
    """librdkafka's murmur2_random partitioner is equal to Java's."""
    create_topic(bootstrap, prefix, 7)
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
    keys = [b"%d" % (21070000000000000 + n * 7919) for n in range(200)] + [
        b"",
        b"a",
        b"ab",
        b"abc",
        "ключ".encode(),
        bytes(range(256)),
    ]
    for key in keys:
        producer.produce(prefix, b"", key)
    assert producer.flush(30) == 0
    for message in read_all(bootstrap, [prefix], at_least=len(keys)):
        if isinstance(sent_key := message.key(), bytes) and sent_key:
            assert message.partition() == (murmur2(sent_key) & 0x7FFFFFFF) % 7


def test_a_replayed_dead_letter_counts_its_attempts(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    create_topic(bootstrap, f"{prefix}.raw", 1)
    old = (("rollcall.error.attempt", b"4"), ("rollcall.error.code", b"not_json"), ("mine", b"1"))
    send(
        bootstrap,
        f"{prefix}.raw",
        [Sent(b"{}", headers=old), Sent(orjson.dumps(EXAMPLES["user_created"]), headers=old)],
    )
    with RouterProcess(tmp_path, bootstrap, prefix, breaker_ratio=0) as router:
        wait_consumed(bootstrap, prefix, 2)
        assert router.end() == 0
    (letter,) = read_all(bootstrap, [f"{prefix}.dead-letter"], at_least=1)
    assert headers(letter)["rollcall.error.attempt"] == b"5"
    assert headers(letter)["rollcall.error.code"] == b"not_an_event"
    (event,) = read_all(bootstrap, [f"{prefix}.events.user_created"], at_least=1)
    assert headers(event)["mine"] == b"1"
    assert not [name for name in headers(event) if name.startswith("rollcall.")]


def test_metadata_fields_are_dropped_from_every_record(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    create_topic(bootstrap, f"{prefix}.raw", 1)
    example = EXAMPLES["user_created"]
    metadata, body = example["metadata"], example["body"]
    kept = {
        name: value for name, value in metadata.items() if name not in ("client_ip", "user_login")
    }
    changes = {
        "events.user_created": ({}, {}),
        "unknown": ({"event_name": "quizzes.item_created"}, {}),
        "dead-letter": ({}, {"user_id": None}),
    }
    sent = [
        json.dumps({"metadata": metadata | of_metadata, "body": body | of_body}, indent=1).encode()
        for of_metadata, of_body in changes.values()
    ]
    send(bootstrap, f"{prefix}.raw", [*map(Sent, sent), Sent(sent[0][:-1])])
    with RouterProcess(
        tmp_path, bootstrap, prefix, breaker_ratio=0, drop_metadata="client_ip,user_login"
    ) as router:
        wait_consumed(bootstrap, prefix, 4)
        assert router.end() == 0
    for topic, (of_metadata, of_body) in changes.items():
        message = read_all(bootstrap, [f"{prefix}.{topic}"], at_least=1)[0]
        assert (
            message.value()
            == json.dumps(
                {"metadata": kept | of_metadata, "body": body | of_body}, indent=1
            ).encode()
        )
        assert headers(message)["rollcall.dropped"] == b"client_ip,user_login"
    _, truncated = read_all(bootstrap, [f"{prefix}.dead-letter"], at_least=2)
    assert (
        truncated.value(),
        headers(truncated)["rollcall.dropped"],
        headers(truncated)["rollcall.error.code"],
    ) == (b"", b"*", b"not_json")


def test_nulls_empty_values_and_odd_records_pass_through(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    create_topic(bootstrap, f"{prefix}.raw", 2)
    odd = [
        Sent(None),
        Sent(None, key=b"k"),
        Sent(b""),
        Sent(b"\xff\xfe"),
        Sent(b"[]" * 100),
        Sent(b'{"metadata":{"event_name":"x.y","event_time":"2020-01-01T00:00:00Z"},"body":{}}'),
    ]
    send(bootstrap, f"{prefix}.raw", odd)
    with RouterProcess(tmp_path, bootstrap, prefix, breaker_ratio=0) as router:
        wait_consumed(bootstrap, prefix, len(odd))
        assert router.end() == 0
    letters = read_all(bootstrap, [f"{prefix}.dead-letter"], at_least=5)
    assert sorted(headers(letter)["rollcall.error.code"] for letter in letters) == [
        b"empty",
        b"empty",
        b"empty",
        b"not_json",
        b"not_json",
    ]
    assert [
        message.value() for message in read_all(bootstrap, [f"{prefix}.unknown"], at_least=1)
    ] == [odd[-1].value]


def test_markers_and_aborted_transactions_on_the_raw_topic(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """A bridge with transactions writes markers: offsets have gaps, and the last offset has no
    record. Lag must still become zero.
    """
    create_topic(bootstrap, f"{prefix}.raw", 2)
    raw = orjson.dumps(EXAMPLES["course_created"])
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        router.wait_ready()
        for n in range(6):
            send(
                bootstrap,
                f"{prefix}.raw",
                [Sent(raw, partition=n % 2)] * 10,
                transactional_id=f"{prefix}-bridge",
                commit=n % 3 != 2,
            )
        wait_for_count(
            lambda: router.metric("rollcall_events_received_total"),
            40,
            what="the committed records",
        )
        wait_until(
            lambda: sum(committed(bootstrap, f"{prefix}-router", f"{prefix}.raw").values()) == 66,
            what="the end after the markers",
        )
        wait_until(lambda: router.metric("rollcall_consumer_lag_records") == 0, what="lag 0")
        assert router.end() == 0
    assert len(read_all(bootstrap, [f"{prefix}.events.course_created"], at_least=40)) == 40


def test_metrics_add_up_and_start_at_zero(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    create_topic(bootstrap, f"{prefix}.raw", 4)
    selected = event_types(load_settings(events=EVENTS)).selected
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        router.wait_ready()
        before = router.metrics()
        assert len([1 for name, _ in before if name == "rollcall_events_routed_total"]) == len(
            selected
        )
        with_name, without_name = 3, 3
        assert len([1 for name, _ in before if name == "rollcall_dead_letters_total"]) == (
            with_name * (len(selected) + 1) + without_name
        )
        assert router.metric("rollcall_events_received_total") == 0
        records = list(numbered_events(20_000))
        send(bootstrap, f"{prefix}.raw", records)
        received = 0.0
        while received < len(records):
            sample = router.metrics()
            total = {
                name: sum(value for (found, _), value in sample.items() if found == name)
                for name, _ in sample
            }
            received = total["rollcall_events_received_total"]
            assert (
                received
                == total["rollcall_events_routed_total"]
                + total["rollcall_events_unknown_total"]
                + total["rollcall_events_not_selected_total"]
                + total["rollcall_dead_letters_total"]
            )
        assert router.metric("rollcall_pipeline_seconds_count") == len(records)
        assert router.metric("rollcall_event_age_seconds_count") == router.metric(
            "rollcall_events_routed_total"
        )
        assert router.metric("rollcall_chunk_seconds_count", stage="router") > 0
        assert router.metric("rollcall_last_progress_timestamp_seconds") > 0
        wait_until(
            lambda: router.metric("rollcall_oldest_unprocessed_seconds") == 0,
            what="nothing unprocessed",
        )
        assert router.get("/livez")[0] == 200
        assert router.get("/nothing")[0] == 404


def test_the_breaker_stops_a_partition_until_the_limit_is_raised(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    create_topic(bootstrap, f"{prefix}.raw", 2)
    good = orjson.dumps(EXAMPLES["enrollment_created"])
    bad = good.replace(b"enrollment_id", b"enrolment_id")
    send(
        bootstrap, f"{prefix}.raw", [Sent(bad, partition=0)] * 500 + [Sent(good, partition=1)] * 500
    )
    limits = {"breaker_ratio": 0.5, "breaker_events": 100}
    with RouterProcess(tmp_path, bootstrap, prefix, **limits).expecting(
        "is not consumed any more"
    ) as router:
        wait_until(
            lambda: router.metric("rollcall_breaker_open", partition="0") == 1, what="the breaker"
        )
        wait_until(
            lambda: committed(bootstrap, f"{prefix}-router", f"{prefix}.raw") == {0: 100, 1: 500},
            what="the other partition's end",
        )
        status, reasons = router.get("/readyz")
        assert status == 503
        assert "ROLLCALL_BREAKER_RATIO" in reasons
        assert router.get("/livez")[0] == 200
        wait_until(
            lambda: router.metric("rollcall_consumer_lag_records", partition="0") == 400,
            what="the lag",
        )
        assert [
            line
            for line in router.log
            if line["level"] == "error" and "ROLLCALL_BREAKER_RATIO" in str(line["message"])
        ]
        assert router.end() == 0
    # after a restart, the breaker is still open
    with RouterProcess(tmp_path, bootstrap, prefix, **limits).expecting(
        "is not consumed any more"
    ) as router:
        wait_until(
            lambda: router.metric("rollcall_breaker_open", partition="0") == 1, what="the breaker"
        )
        assert committed(bootstrap, f"{prefix}-router", f"{prefix}.raw") == {0: 100, 1: 500}
        assert router.end() == 0
    with RouterProcess(tmp_path, bootstrap, prefix, **{**limits, "breaker_ratio": 1}) as router:
        wait_until(
            lambda: committed(bootstrap, f"{prefix}-router", f"{prefix}.raw") == {0: 500, 1: 500},
            what="the end",
        )
        wait_until(lambda: router.get("/readyz")[0] == 200, what="readiness")
        assert router.end() == 0
    assert len(read_all(bootstrap, [f"{prefix}.dead-letter"], at_least=500)) == 500


def test_unsuitable_topics_are_refused(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    create_topic(bootstrap, f"{prefix}.unknown", 3, {"cleanup.policy": "compact"})
    with RouterProcess(tmp_path, bootstrap, prefix, partitions=4) as router:
        assert router.wait_exit() == 1
        text = router.log_file.read_text()
    assert f"{prefix}.unknown: has 3 partitions and should have 4" in text
    assert "ROLLCALL_PARTITIONS=3" in text
    assert "cleanup.policy=compact" in text
    assert "Traceback" not in text


def test_topics_are_not_created_when_that_is_forbidden(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    with RouterProcess(tmp_path, bootstrap, prefix, create_topics=False) as router:
        assert router.wait_exit() == 1
        assert "rollcall topics apply" in router.log_file.read_text()
    assert partitions_of(bootstrap, [f"{prefix}.raw"]) == []


@pytest.mark.parametrize(
    ("settings", "code", "setting"),
    [
        ({"partitions": "many"}, 2, "ROLLCALL_PARTITIONS"),
        ({"topic_prefix": "a b"}, 2, "ROLLCALL_TOPIC_PREFIX"),
        ({"bind": "203.0.113.1"}, 2, "ROLLCALL_BIND"),
    ],
)
def test_wrong_settings_end_with_one_line_and_their_code(
    bootstrap: str, prefix: str, tmp_path: Path, settings: dict[str, str], code: int, setting: str
) -> None:
    settings = {
        "kafka": bootstrap,
        "topic_prefix": prefix,
        "group_prefix": prefix,
        "port": "0",
        "log_level": "ERROR",
    } | settings
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("ROLLCALL_")
    } | {f"ROLLCALL_{key.upper()}": value for key, value in settings.items()}
    done = run(
        [sys.executable, "-m", "rollcall", "router"], env=environment, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stdout) == (code, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("rollcall: ")
    assert setting in last
    assert "Traceback" not in done.stderr


def test_two_routers_do_not_share_a_port(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        port = router.url.rpartition(":")[2]
        with RouterProcess(tmp_path, bootstrap, prefix, port=port) as second:
            assert second.wait_exit() == 2
            assert "ROLLCALL_PORT" in second.log_file.read_text()


def test_records_with_future_timestamps_are_routed(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """The typed topic refuses timestamps more than an hour ahead; the raw topic accepts them."""
    create_topic(bootstrap, f"{prefix}.raw", 1, {"message.timestamp.after.max.ms": str(2**63 - 1)})
    create_topic(
        bootstrap,
        f"{prefix}.events.course_created",
        4,
        {"message.timestamp.after.max.ms": "3600000"},
    )
    now = int(time.time() * 1000)
    send(
        bootstrap,
        f"{prefix}.raw",
        [
            Sent(orjson.dumps(EXAMPLES["course_created"]), timestamp_ms=now + ahead)
            for ahead in (0, 40 * 86_400_000)
        ],
    )
    with RouterProcess(tmp_path, bootstrap, prefix, partitions=4) as router:
        wait_consumed(bootstrap, prefix, 2)
        assert router.end() == 0
    first, second = (
        message.timestamp()[1]
        for message in read_all(bootstrap, [f"{prefix}.events.course_created"], at_least=2)
    )
    assert first == now
    assert now <= second < now + 600_000


def test_a_recreated_raw_topic_is_read_from_its_beginning(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    raw, value = f"{prefix}.raw", orjson.dumps(EXAMPLES["course_created"])
    create_topic(bootstrap, raw, 1)
    send(bootstrap, raw, [Sent(value)] * 10)
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        wait_consumed(bootstrap, prefix, 10)
        assert router.end() == 0
    delete_topic(bootstrap, raw)
    create_topic(bootstrap, raw, 1)
    # Kafka deletes the group's offsets with the topic, but older brokers do not, and tools may
    # restore them
    set_committed(bootstrap, f"{prefix}-router", raw, {0: 10})
    send(bootstrap, raw, [Sent(value)] * 3)
    with RouterProcess(tmp_path, bootstrap, prefix).expecting("the topic was made anew") as router:
        wait_for_count(
            lambda: router.metric("rollcall_events_received_total"), 3, what="the new records"
        )
        assert committed(bootstrap, f"{prefix}-router", raw) == {0: 3}
        assert [line for line in router.log if "made anew" in str(line["message"])]
        assert router.end() == 0


def test_expired_records_are_reported(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    raw, value = f"{prefix}.raw", orjson.dumps(EXAMPLES["course_created"])
    create_topic(bootstrap, raw, 1)
    set_committed(bootstrap, f"{prefix}-router", raw, {0: 2})
    send(bootstrap, raw, [Sent(value)] * 10)
    delete_records(bootstrap, raw, 0, before=7)
    with RouterProcess(tmp_path, bootstrap, prefix).expecting(
        "deleted by the topic's retention"
    ) as router:
        wait_for_count(
            lambda: router.metric("rollcall_events_received_total"),
            3,
            what="the remaining records",
        )
        assert router.metric("rollcall_expired_records_total") == 5
        assert [
            line
            for line in router.log
            if line["level"] == "error" and "5 records were deleted" in str(line["message"])
        ]
        assert router.end() == 0


def test_a_router_without_a_partition_is_ready(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    create_topic(bootstrap, f"{prefix}.raw", 1)
    with (
        RouterProcess(tmp_path, bootstrap, prefix) as first,
        RouterProcess(tmp_path, bootstrap, prefix) as second,
    ):
        first.wait_ready()
        second.wait_ready()
        send(bootstrap, f"{prefix}.raw", [Sent(b"x")])
        wait_for_count(
            lambda: (
                first.metric("rollcall_events_received_total")
                + second.metric("rollcall_events_received_total")
            ),
            1,
            what="the record",
        )
        assert (first.end(), second.end()) == (0, 0)


async def send_with_header_name(bootstrap: str, topic: str, value: bytes, name: bytes) -> None:
    """Send three records. The second has a header whose name may be any bytes, as clients in C
    allow.
    """
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=None)
    async with producer:
        batch = producer.create_batch()
        for number in range(3):
            batch.append(
                timestamp=None,
                key=b"%d" % number,
                value=value,
                headers=[("N" * len(name), b"content")] if number == 1 else [],
            )
        batch.close()
        data = bytearray(batch._build())
        at = data.index(b"N" * len(name))
        data[at : at + len(name)] = name
        struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
        batch._buffer = bytes(data)
        await (await producer.send_batch(batch, topic, partition=0))


async def test_a_header_name_of_any_bytes(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    raw, value = f"{prefix}.raw", orjson.dumps(EXAMPLES["course_created"])
    create_topic(bootstrap, raw, 1)
    send(bootstrap, raw, [Sent(value)] * 2)
    await send_with_header_name(bootstrap, raw, value, b"bad\xff\xfename")
    send(bootstrap, raw, [Sent(value)] * 2)
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        wait_until(
            lambda: committed(bootstrap, f"{prefix}-router", raw) == {0: 7},
            what="the end of the input",
        )
        assert router.end() == 0
    events = read_all(bootstrap, [f"{prefix}.events.course_created"], at_least=7)
    assert [event.value() for event in events] == [value] * 7
    assert [headers(event).get("bad\\xff\\xfename") for event in events] == [
        None,
        None,
        None,
        b"content",
        None,
        None,
        None,
    ]


def test_a_fenced_lane_opens_again_and_loses_nothing(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """Another producer with the lane's transactional id fences it. Its partition then gets only one
    more record.
    """
    raw, value = f"{prefix}.raw", orjson.dumps(EXAMPLES["course_created"])
    create_topic(bootstrap, raw, 2)
    with RouterProcess(tmp_path, bootstrap, prefix) as router:
        router.wait_ready()
        send(bootstrap, raw, [Sent(value, partition=0)])
        wait_consumed(bootstrap, prefix, 1)
        Producer(
            {"bootstrap.servers": bootstrap, "transactional.id": f"{prefix}-router-0"}
        ).init_transactions(30)
        send(bootstrap, raw, [Sent(value, partition=0)])
        wait_until(lambda: "opened again" in router.get("/readyz")[1], what="the fenced lane")
        wait_consumed(bootstrap, prefix, 2)
        wait_until(lambda: router.get("/readyz")[0] == 200, what="readiness")
        assert router.end() == 0
    assert len(read_all(bootstrap, [f"{prefix}.events.course_created"], at_least=2)) == 2


def test_a_raw_topic_that_is_recreated_while_the_router_runs_is_read(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    raw, value = f"{prefix}.raw", orjson.dumps(EXAMPLES["course_created"])
    create_topic(bootstrap, raw, 1)
    send(bootstrap, raw, [Sent(value)] * 50)
    with RouterProcess(tmp_path, bootstrap, prefix).expecting("the topic was made anew") as router:
        router.wait_ready()
        wait_consumed(bootstrap, prefix, 50)
        router.send_signal(signal.SIGSTOP)
        delete_topic(bootstrap, raw)
        create_topic(bootstrap, raw, 1)
        send(bootstrap, raw, [Sent(value)] * 10)
        router.send_signal(signal.SIGCONT)
        wait_for_count(
            lambda: router.metric("rollcall_events_received_total"), 60, 90, what="the new records"
        )
        assert router.end() == 0
    assert len(read_all(bootstrap, [f"{prefix}.events.course_created"], at_least=60)) == 60
