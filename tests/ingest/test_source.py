"""Messages from a queue to Kafka: one test, or more, for each way in which bridges from SQS fail.
docs/reliability.md has the table.
"""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from rollcall.ingest.raw_records import raw_keys
from rollcall.ingest.sink import pause_seconds
from rollcall.ingest.sqs.ledger import BATCH, Ledger
from rollcall.sandbox.canvas.traffic import TrafficPlan, generate_traffic
from tests.ingest.hanging import HangingBroker
from tests.ingest.ingesting import (
    KafkaWitness,
    Running,
    ingesting,
    raw_bodies,
    settings_for,
)
from tests.ingest.queues import Queues
from tests.ingest.shim import HANG, Refusal, Shim
from tests.kafka_client import create_topic, headers, limit_record_size, read_all
from tests.waiting import eventually

MIB = 1024**2


def events(count: int, seed: int = 1) -> list[str]:
    """Bodies of different events."""
    traffic = generate_traffic(TrafficPlan.clean(count=count, seed=seed))
    return [record.value.decode() for record in traffic if record.value is not None]


async def assert_moved(
    running: Running, bootstrap: str, prefix: str, queue: Queues, sent: dict[str, str]
) -> dict[str, list[bytes]]:
    """Each message is on the raw topic with its own bytes, and the queue is empty."""
    await eventually(
        lambda: (
            running.run.done()
            or (running.value("sqs_deleted_total") >= len(sent) and queue.counts() == (0, 0))
        ),
        what="an empty queue",
    )
    found = await asyncio.to_thread(raw_bodies, bootstrap, prefix, len(sent))
    assert {message_id: {*values} for message_id, values in found.items()} == {
        message_id: {body.encode()} for message_id, body in sent.items()
    }
    return found


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_nothing_is_deleted_before_kafka_has_it(
    bootstrap: str, prefix: str, queue: Queues, seed: int
) -> None:
    """Rows 1, 2, 5, 6 and 11: with duplicates, disorder, refused entries and old handles, each
    deletion comes after a record that can be read, and in the end all is deleted.
    """
    witness = KafkaWitness(bootstrap, prefix, 2)
    bodies = events(300, seed)
    sent = dict(zip(queue.send(bodies), bodies, strict=True))
    with Shim(
        queue.server,
        seed=seed,
        duplicates=0.2,
        refused=0.2,
        disorder=True,
        old_handles="refused" if seed == 1 else "ignored",
        before_delete=witness,
    ) as shim:
        settings = settings_for(queue, shim, prefix, sqs_pollers=3, sqs_visibility_seconds=6)
        async with ingesting(settings, bootstrap) as running:
            shim.faults["DeleteMessageBatch"] += [Refusal(500, "InternalError"), Refusal(503, "X")]
            found = await assert_moved(running, bootstrap, prefix, queue, sent)
            assert running.value("sqs_delete_failures_total") > 0
            assert running.value("sqs_known_total") > 0
        assert witness.too_early == []
        assert witness.deletions >= len(sent)
        assert all(len(values) == 1 for values in found.values()), "a known message came twice"
    witness.close()


async def test_the_witness_finds_early_deletions(bootstrap: str, prefix: str) -> None:
    """Negative control."""
    create_topic(bootstrap, f"{prefix}.raw", 2)
    witness = KafkaWitness(bootstrap, prefix, 2)
    await asyncio.to_thread(witness, ["m1"])
    assert witness.too_early == ["m1"]
    witness.close()


async def test_without_an_acknowledgement_nothing_is_deleted(
    hanging: HangingBroker, prefix: str, queue: Queues
) -> None:
    """Rows 1, 3 and 4: while Kafka does not acknowledge, polling stops, what is in hand is extended
    and not given back, and readiness has the reason. Afterwards all goes on.
    """
    bodies = events(60)
    with Shim(queue.server) as shim:
        settings = settings_for(queue, shim, prefix, sqs_visibility_seconds=8)
        ledger = Ledger(8, most_messages=3 * BATCH)
        async with ingesting(settings, hanging.bootstrap, ledger=ledger) as running:
            hanging.hang()
            sent = dict(zip(queue.send(bodies), bodies, strict=True))
            await eventually(lambda: running.sink.unavailable_reason, what="the reason")
            await eventually(lambda: running.value("sqs_extended_total") > 0, what="an extension")
            assert 0 < running.value("sqs_in_hand_messages") <= 3 * BATCH
            assert shim.calls["DeleteMessageBatch"] == 0
            assert 0 not in shim.visibilities
            before = shim.calls["ReceiveMessage"]
            extended = running.value("sqs_extended_total")
            await eventually(
                lambda: running.value("sqs_extended_total") > extended, what="another extension"
            )
            assert shim.calls["ReceiveMessage"] == before, "it receives though Kafka is away"
            assert running.value("sqs_oldest_message_seconds") > 0
            hanging.resume()
            await assert_moved(running, hanging.bootstrap, prefix, queue, sent)
            assert running.sink.unavailable_reason is None


async def test_messages_are_kept_for_a_limited_time_while_kafka_is_away(
    hanging: HangingBroker, prefix: str, queue: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 3: after that, the queue has them again; and what was written nevertheless is not written
    again.
    """
    monkeypatch.setattr("rollcall.ingest.sqs.ledger.KEEP_SECONDS", 1.0)
    bodies = events(5)
    with Shim(queue.server) as shim:
        settings = settings_for(queue, shim, prefix, sqs_visibility_seconds=4)
        async with ingesting(settings, hanging.bootstrap) as running:
            hanging.hang()
            sent = dict(zip(queue.send(bodies), bodies, strict=True))
            await eventually(lambda: running.value("sqs_let_go_total") == 5, what="letting go")
            assert running.value("sqs_in_hand_messages") == 0
            await eventually(lambda: queue.counts()[0] == 5, what="visible messages")
            hanging.resume()
            found = await assert_moved(running, hanging.bootstrap, prefix, queue, sent)
    assert all(len(values) == 1 for values in found.values())


async def test_failing_deletes_are_counted_and_repaired(
    bootstrap: str, prefix: str, queue: Queues
) -> None:
    """Rows 2 and 6: a refused entry is tried again, then left to the queue, and never hidden."""
    bodies = events(5)
    sent = dict(zip(queue.send(bodies), bodies, strict=True))
    with Shim(queue.server, refused=1) as shim:
        settings = settings_for(queue, shim, prefix, sqs_visibility_seconds=3)
        async with ingesting(settings, bootstrap) as running:
            await eventually(
                lambda: running.value("sqs_delete_failures_total") >= 15, what="three attempts each"
            )
            await eventually(
                lambda: running.value("sqs_redelivered_total") >= 5, what="deliveries once more"
            )
            assert running.value("sqs_deleted_total") == 0
            shim.refused = 0
            found = await assert_moved(running, bootstrap, prefix, queue, sent)
    assert all(len(values) == 1 for values in found.values())


async def test_any_body_becomes_a_record(bootstrap: str, prefix: str, queue: Queues) -> None:
    """Rows 7 and 12: the value is the body; what it means is the router's matter."""
    bodies = [
        "{",
        "no event",
        json.dumps({"Type": "Notification", "Message": "{}"}),
        "ü ✓ \U0001f600",
    ]
    sent = dict(zip(queue.send(bodies), bodies, strict=True))
    with Shim(queue.server) as shim:
        settings = settings_for(queue, shim, prefix)
        async with ingesting(settings, bootstrap) as running:
            await assert_moved(running, bootstrap, prefix, queue, sent)
    keys = raw_keys(settings)
    for message in read_all(bootstrap, [f"{prefix}.raw"], at_least=len(sent)):
        found = headers(message)
        assert message.key() == keys.key(message.value() or b"")
        assert found["rollcall.source"] == b"sqs"
        assert found["sqs.receives"] == b"1"
        assert int(found["sqs.sent"]) > 1_600_000_000_000
        assert len(found) == 4


async def test_a_message_that_kafka_refuses_stays_in_the_queue(
    bootstrap: str, prefix: str, queue: Queues, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 7: it is reported once, counted each time, and blocks nothing."""
    create_topic(bootstrap, f"{prefix}.raw", 2)
    limit_record_size(bootstrap, f"{prefix}.raw", 20_000)
    large = os.urandom(30_000).hex()
    (large_id,) = queue.send([large])
    bodies = events(50)
    sent = dict(zip(queue.send(bodies), bodies, strict=True))
    with Shim(queue.server) as shim:
        settings = settings_for(queue, shim, prefix, sqs_visibility_seconds=2)
        async with ingesting(settings, bootstrap) as running:
            await eventually(lambda: shim.deleted >= set(sent), what="the deletion of the others")
            await eventually(lambda: running.value("refused_total") >= 2, what="another refusal")
            assert shim.deleted == set(sent)
            assert running.source.problems == []
    reported = [each for each in caplog.records if "takes no record" in each.getMessage()]
    assert [each.__dict__["message_id"] for each in reported] == [large_id]
    await eventually(lambda: large in queue.receive(), what="the refused message")


async def test_an_event_of_1_mib_passes(bootstrap: str, prefix: str, queue: Queues) -> None:
    """Row 13: as large as SQS allows, and not to be compressed."""
    body = os.urandom(MIB // 2).hex()
    assert len(body) == MIB
    (message_id,) = queue.send([body])
    with Shim(queue.server) as shim:
        async with ingesting(settings_for(queue, shim, prefix), bootstrap) as running:
            await assert_moved(running, bootstrap, prefix, queue, {message_id: body})


async def test_an_idle_queue_is_asked_by_one_poller(
    bootstrap: str, prefix: str, queue: Queues
) -> None:
    """Row 8: long polls, one at a time; more only while there is a backlog."""
    with Shim(queue.server) as shim:
        settings = settings_for(queue, shim, prefix, sqs_pollers=4)
        async with ingesting(settings, bootstrap) as running:
            await eventually(
                lambda: running.value("sqs_empty_receives_total") >= 2, what="empty calls"
            )
            assert shim.most_open["ReceiveMessage"] == 1
            bodies = events(150)
            sent = dict(zip(await asyncio.to_thread(queue.send, bodies), bodies, strict=True))
            await assert_moved(running, bootstrap, prefix, queue, sent)
            assert shim.most_open["ReceiveMessage"] > 1
            await eventually(lambda: running.source._pollers == 1, what="one poller")


async def test_the_end_waits_for_the_open_call(bootstrap: str, prefix: str, queue: Queues) -> None:
    """Row 9: a message that comes while the process ends is not lost from sight."""
    with Shim(queue.server) as shim:
        settings = settings_for(queue, shim, prefix, sqs_wait_seconds=5)
        async with ingesting(settings, bootstrap) as running:
            await eventually(lambda: shim.open["ReceiveMessage"] == 1, what="an open call")
            running.stop.set()
            bodies = events(3)
            await asyncio.to_thread(queue.send, bodies)
            await eventually(running.run.done, what="the end")
            assert running.value("sqs_deleted_total") == running.value("sqs_received_total")
            assert shim.calls["ReceiveMessage"] == 1
    assert queue.counts()[1] == 0, "invisible messages are left behind"


async def test_what_was_not_written_is_visible_again_after_the_end(
    hanging: HangingBroker, prefix: str, queue: Queues
) -> None:
    """Row 9: although the visibility would last long."""
    with Shim(queue.server) as shim:
        settings = settings_for(queue, shim, prefix, sqs_visibility_seconds=600)
        async with ingesting(settings, hanging.bootstrap) as running:
            hanging.hang()
            queue.send(events(7))
            await eventually(lambda: running.value("sqs_in_hand_messages") == 7, what="messages")
        assert shim.visibilities.count(0) == 7
        assert shim.deleted == set()
    assert queue.counts() == (7, 0)


REFUSALS = {
    "expired credentials": (Refusal(400, "ExpiredToken"), "expired"),
    "expired request": (Refusal(403, "RequestExpired"), "expired"),
    "wrong credentials": (Refusal(403, "InvalidClientTokenId"), "check the access key"),
    "wrong signature": (Refusal(403, "SignatureDoesNotMatch"), "clock"),
    "no rights": (Refusal(403, "AccessDenied"), "sqs:ReceiveMessage"),
    "throttling": (Refusal(400, "ThrottlingException"), "slows this client down"),
    "throttling, as requests": (Refusal(403, "RequestThrottled"), "slows this client down"),
    "in flight": (Refusal(403, "OverLimit"), "in flight"),
    "no queue": (Refusal(400, "QueueDoesNotExist"), "there is no queue"),
    "no queue, older": (
        Refusal(400, "AWS.SimpleQueueService.NonExistentQueue"),
        "there is no queue",
    ),
    "key refused": (Refusal(400, "KmsAccessDenied"), "kms:Decrypt"),
    "key disabled": (Refusal(400, "KmsDisabled"), "kms:Decrypt"),
    "key throttled": (Refusal(400, "KmsThrottled"), "slows this client down"),
    "500": (Refusal(500, "InternalFailure"), "goes on by itself"),
    "503": (Refusal(503, "ServiceUnavailable"), "goes on by itself"),
    "anything else": (Refusal(400, "SomethingNew"), "--check"),
}


async def test_errors_of_sqs_end_nothing(
    bootstrap: str,
    prefix: str,
    queue: Queues,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Row 10: each is named in readiness and in the log with what to do, without AWS's own text,
    and the source goes on when it is over.
    """
    with Shim(queue.server) as shim:
        async with ingesting(settings_for(queue, shim, prefix), bootstrap) as running:
            for name, (refusal, advice) in REFUSALS.items():
                caplog.clear()
                shim.always["ReceiveMessage"] = refusal
                await eventually(
                    lambda advice=advice: any(advice in each for each in running.source.problems),  # type: ignore[misc]
                    what=f"the problem with {name}",
                )
                logged = [each.getMessage() for each in caplog.records if each.levelname != "INFO"]
                assert any(advice in line for line in logged), name
                assert "secret-of-aws" not in caplog.text
                shim.always.clear()
                bodies = events(1)
                queue.send(bodies)
                before = running.value("sqs_deleted_total")
                await eventually(
                    lambda before=before: running.value("sqs_deleted_total") > before,  # type: ignore[misc]
                    what=f"a message after {name}",
                )
                assert running.source.problems == []
    assert not running.run.cancelled()


def test_pauses_grow() -> None:
    """Row 10: no hot loop."""
    assert pause_seconds(0) == 0
    assert all(0.1 <= pause_seconds(1) <= 0.2 for _ in range(20))
    assert all(7.5 <= pause_seconds(50) <= 15 for _ in range(20))


@pytest.mark.parametrize("lack", ["credentials", "server", "answer"])
async def test_without_aws_the_source_waits(
    bootstrap: str,
    prefix: str,
    queue: Queues,
    monkeypatch: pytest.MonkeyPatch,
    lack: str,
) -> None:
    """Row 10: nothing at all is there at first."""
    with Shim(queue.server) as shim:
        settings = settings_for(queue, shim, prefix)
        if lack == "credentials":
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            expected = "there are no AWS credentials"
        elif lack == "server":
            settings = settings.model_copy(update={"sqs_endpoint": "http://127.0.0.1:1"})
            expected = "does not answer"
        else:
            shim.always["ReceiveMessage"] = HANG
            monkeypatch.setattr("rollcall.ingest.sqs.client.READ_MARGIN_SECONDS", 0.5)
            expected = "does not answer"
        async with ingesting(settings, bootstrap) as running:
            await eventually(
                lambda: any(expected in each for each in running.source.problems),
                what="the problem",
            )
            if lack == "server":
                return
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
            shim.always.clear()
            queue.send(events(1))
            await running.wait_deleted(1)
            assert running.source.problems == []


async def test_a_queue_that_is_created_later_is_read(
    bootstrap: str, prefix: str, sqs_server: str
) -> None:
    """Row 10: a queue that does not exist yet is waited for."""
    name = f"canvas-live-events-{prefix}"
    queue = Queues(sqs_server, name)
    queue.delete()
    with Shim(sqs_server) as shim:
        async with ingesting(settings_for(queue, shim, prefix), bootstrap) as running:
            await eventually(
                lambda: any("there is no queue" in each for each in running.source.problems),
                what="the problem",
            )
            bodies = events(2)
            queue = Queues(sqs_server, name)
            sent = dict(zip(queue.send(bodies), bodies, strict=True))
            await assert_moved(running, bootstrap, prefix, queue, sent)


async def test_the_age_of_the_oldest_message(
    hanging: HangingBroker, prefix: str, queue: Queues
) -> None:
    """Row 14: a backlog can be seen, and the queue's retention, to which it is compared."""
    queue.set_attributes(MessageRetentionPeriod="86400")
    with Shim(queue.server) as shim:
        async with ingesting(settings_for(queue, shim, prefix), hanging.bootstrap) as running:
            hanging.hang()
            queue.send(events(3))
            await eventually(
                lambda: running.value("sqs_oldest_message_seconds") > 1, what="the age"
            )
            await eventually(
                lambda: running.value("sqs_retention_seconds") == 86_400, what="the retention"
            )
            hanging.resume()
            await running.wait_deleted(3)
            await eventually(
                lambda: running.value("sqs_oldest_message_seconds") == 0, what="an empty queue"
            )


async def test_twins_meet_in_one_partition(bootstrap: str, prefix: str, queue: Queues) -> None:
    """The same event twice, as two messages."""
    bodies = events(40) * 2
    queue.send(bodies)
    with Shim(queue.server) as shim:
        async with ingesting(settings_for(queue, shim, prefix), bootstrap) as running:
            await running.wait_deleted(80)
    places: dict[bytes, set[tuple[bytes, int]]] = {}
    for message in read_all(bootstrap, [f"{prefix}.raw"], at_least=80):
        place = (message.key() or b"", message.partition() or 0)
        places.setdefault(message.value() or b"", set()).add(place)
    assert len(places) == len(set(bodies))
    assert all(len(place) == 1 for place in places.values())
