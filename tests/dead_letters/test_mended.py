"""Events that came before their schemas were right, or their types were selected, sent again: all
ends as if they had been valid, and selected, at first.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any, cast

from confluent_kafka import Message

from rollcall.events.outcomes import DeadLetter, Routed, Unknown
from rollcall.events.pipeline import Pipeline
from rollcall.events.publishing import OUTCOME_PREFIXES
from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.files import read_schema_folder, schema_folder
from rollcall.events.schemas.validation import load_validators
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.process.event_types import event_types
from rollcall.router.topics import plan_router_topics
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.settings import load_settings
from tests.dead_letters.command import dead_letters
from tests.events.schemas.events import VALIDATORS
from tests.kafka_client import Sent, committed, headers, read_all, send
from tests.processes import EVENTS, RollcallProcess, RostersProcess, RouterProcess, wait_until
from tests.rosters.cluster import PARTITIONS, SHARD, RosterCluster

LONGEST_NAME = 12
NOT_SELECTED = ("course_updated", "course_section_created")

Typed = tuple[str, bytes | None, bytes, tuple[tuple[str, bytes | None], ...]]
"""Topic, key, value, headers."""


def older_schemas(folder: Path) -> Path:
    """The schemas, but somebody has thought that nobody's name is longer."""
    shutil.copytree(schema_folder(), folder)
    for body, field in (("enrollment", "user_name"), ("user", "name")):
        file = folder / "bodies" / f"{body}.json"
        schema = json.loads(file.read_text(encoding="utf-8"))
        schema["properties"][field]["maxLength"] = LONGEST_NAME
        file.write_text(json.dumps(schema), encoding="utf-8")
    return folder


def as_typed(message: Message) -> Typed:
    """A typed record as its readers know it."""
    return (
        str(message.topic()),
        cast(bytes, message.key()),
        cast(bytes, message.value()),
        tuple(sorted(headers(message).items())),
    )


def test_what_is_sent_again_ends_as_if_it_had_been_valid_at_first(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    cluster = RosterCluster(bootstrap, prefix)
    settings = load_settings(topic_prefix=prefix, partitions=PARTITIONS, events=EVENTS)
    asyncio.run(ensure_topics(settings, bootstrap, plan_router_topics(settings)))
    simulation = Simulation(
        SimulationPlan(
            courses=3, steps=120, class_size=6, duplicates=0.05, disorder=20, shard=SHARD
        )
    )
    sent = [
        Sent(record.value, b"%d" % number, headers=(("number", b"%d" % number),))
        for number, record in enumerate(simulation.events())
    ]
    send(bootstrap, f"{prefix}.raw", sent)
    expected: Counter[Typed] = Counter()
    pipeline = Pipeline(VALIDATORS, shard=SHARD)
    for record in sent:
        outcome = pipeline(record.value, record.headers)
        assert isinstance(outcome, Routed)
        expected[
            f"{prefix}.events.{outcome.event_type.name}",
            outcome.key,
            outcome.value,
            tuple(sorted(outcome.headers)),
        ] += 1
    where: dict[str, Any] = {"shard": SHARD, "partitions": PARTITIONS}

    schemas = older_schemas(tmp_path / "schemas")
    selection = ",".join([EVENTS, *(f"-{name}" for name in NOT_SELECTED)])
    older_pipeline = Pipeline(
        load_validators(read_schema_folder(schemas), REGISTRY.keys() - set(NOT_SELECTED)),
        shard=SHARD,
    )
    program = [
        sys.executable,
        str(Path(__file__).with_name("older.py")),
        "--schemas",
        str(schemas),
    ]
    with RollcallProcess(
        "router",
        tmp_path,
        bootstrap,
        prefix,
        program=program,
        variables=None,
        breaker_ratio=0,
        events=selection,
        **where,
    ) as older:
        wait_until(
            lambda: (
                sum(committed(bootstrap, f"{prefix}-router", f"{prefix}.raw").values()) == len(sent)
            ),
            what="the end of the input",
        )
        assert older.end() == 0
    failed, unknown = (
        sum(isinstance(older_pipeline(record.value), what) for record in sent)
        for what in (DeadLetter, Unknown)
    )
    assert failed > 20
    assert unknown > 2
    for origin, count in (("dead-letter", failed), ("unknown", unknown)):
        assert len(read_all(bootstrap, [f"{prefix}.{origin}"], at_least=count)) == count

    with (
        RouterProcess(tmp_path, bootstrap, prefix, breaker_ratio=0, **where) as router,
        RostersProcess(tmp_path, bootstrap, prefix, **where) as rosters,
    ):
        rehearsed = dead_letters(bootstrap, prefix, "replay")
        assert (
            f"{failed} of {failed} records of {prefix}.dead-letter would be sent to {prefix}.raw; "
            "to send them".encode()
            in rehearsed.stdout
        )
        for origin, count in (("dead-letter", failed), ("unknown", unknown)):
            replayed = dead_letters(bootstrap, prefix, "replay", "--from", origin, "--send")
            assert replayed.stdout.decode().endswith(
                f"{count} of {count} records of {prefix}.{origin} were sent to {prefix}.raw\n"
            ), replayed.stderr
        wait_until(
            lambda: (
                sum(committed(bootstrap, f"{prefix}-router", f"{prefix}.raw").values())
                == len(sent) + failed + unknown
            )
        )
        typed = read_all(
            bootstrap,
            [f"{prefix}.events.{name}" for name in event_types(settings).selected],
            at_least=len(sent),
        )
        assert Counter(map(as_typed, typed)) == expected
        assert not [
            name
            for message in typed
            for name in headers(message)
            if name.startswith(OUTCOME_PREFIXES)
        ]
        # Rosters do not mind what comes once more.
        assert dead_letters(bootstrap, prefix, "replay", "--send").returncode == 0
        cluster.wait_settled(router, rosters)
        cluster.assert_exactly(simulation.truth())
        assert router.end() == rosters.end() == 0
    assert len(read_all(bootstrap, [f"{prefix}.dead-letter"])) == failed, "nothing failed again"
