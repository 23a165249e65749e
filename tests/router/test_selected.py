"""The event types that an installation has: the others are unknown, until they are selected."""

from __future__ import annotations

import json
from pathlib import Path

from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.files import read_schema_folder
from tests.dead_letters.command import dead_letters
from tests.kafka_client import Sent, committed, create_topic, headers, read_all, send, topics_of
from tests.processes import RouterProcess, wait_until

FILES = read_schema_folder()
SELECTED, ADDED_LATER, OTHER = "course_created", "course_updated", "user_created"
UNHEARD_OF = "quizzes.item_created"


def value_of(event_name: str) -> bytes:
    """An event of a type, or of a name without a schema."""
    known = event_name if event_name in REGISTRY else SELECTED
    text = json.dumps(FILES[known].document["examples"][0])
    return text.replace(f'"{known}"', f'"{event_name}"').encode()


def test_a_type_is_added_by_a_restart_and_a_replay(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    sent = [value_of(name) for name in (SELECTED, ADDED_LATER, OTHER, UNHEARD_OF)]
    create_topic(bootstrap, f"{prefix}.raw", 2)
    send(bootstrap, f"{prefix}.raw", [Sent(value, b"7") for value in sent])
    raw, group = f"{prefix}.raw", f"{prefix}-router"

    def wait_for(number: int) -> None:
        wait_until(
            lambda: sum(committed(bootstrap, group, raw).values()) == number,
            what="the end of the input",
        )

    with RouterProcess(tmp_path, bootstrap, prefix, events=f"course,-{ADDED_LATER}") as router:
        wait_for(4)
        wait_until(
            lambda: router.metric("rollcall_events_received_total") == 4,
            what="the counts, which follow the commit",
        )
        assert router.metric("rollcall_events_unknown_total") == 1
        assert router.metric("rollcall_events_not_selected_total") == 2
        assert router.end() == 0
    typed = {topic for topic in topics_of(bootstrap) if topic.startswith(f"{prefix}.events.")}
    of_rollcall = {each.topic(prefix) for each in REGISTRY.values() if not each.is_of_canvas}
    assert typed == {f"{prefix}.events.{SELECTED}"} | of_rollcall
    unknown = read_all(bootstrap, [f"{prefix}.unknown"], at_least=3)
    reasons = {message.value(): headers(message)["rollcall.unknown.reason"] for message in unknown}
    assert reasons == {sent[1]: b"not_selected", sent[2]: b"not_selected", sent[3]: b"no_schema"}
    listed = dead_letters(bootstrap, prefix, "list", "--from", "unknown", "--json")
    counts = {
        (group["event_name"], group["code"]): group["count"]
        for group in json.loads(listed.stdout)["groups"]
    }
    assert counts == {
        (ADDED_LATER, "not_selected"): 1,
        (OTHER, "not_selected"): 1,
        (UNHEARD_OF, "no_schema"): 1,
    }
    assert b"not_selected" in dead_letters(bootstrap, prefix, "list", "--from", "unknown").stdout

    with RouterProcess(tmp_path, bootstrap, prefix, events="course") as router:
        wait_until(lambda: f"{prefix}.events.{ADDED_LATER}" in topics_of(bootstrap))
        replay = ("replay", "--from", "unknown")
        rehearsed = dead_letters(bootstrap, prefix, *replay, events="course").stdout.decode()
        assert "is left out by ROLLCALL_EVENTS" in rehearsed
        assert "has no schema" in rehearsed
        replayed = dead_letters(bootstrap, prefix, *replay, "--send", events="course")
        assert replayed.stdout.decode().endswith(
            f"1 of 3 records of {prefix}.unknown were sent to {raw}\n"
        )
        wait_for(5)
        assert router.end() == 0
    (record,) = read_all(bootstrap, [f"{prefix}.events.{ADDED_LATER}"], at_least=1)
    assert record.value() == sent[1]
    assert headers(record)["ce_type"] == ADDED_LATER.encode()
    assert "rollcall.unknown.reason" not in headers(record)
