"""The examples in README.md, run as they stand there, on a real broker; only the topics and the
group get names of the test's own.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks
from tests.kafka_client import Sent, create_topic, headers, read_all, send
from tests.processes import RouterProcess
from tests.tools import needs
from tests.waiting import NotInTimeError, run, wait_for_count, wait_for_exit, wait_until

README = ROOT / "README.md"
EXAMPLE = ROOT / "tests" / "fixtures" / "documented" / "enrollment_created.json"
SHOWN = (
    "2018-10-09T21:07:33Z enrollment_created 21070000000046825 invited "
    "92c516653abf2d2d36228fbd12c302f9"
)

needs_kcat = needs("kcat", package="kcat")


@pytest.fixture
def router(bootstrap: str, prefix: str, tmp_path: Path) -> Iterator[RouterProcess]:
    create_topic(bootstrap, f"{prefix}.raw", 1)
    with RouterProcess(tmp_path, bootstrap, prefix) as running:
        yield running.wait_ready()


def example(language: str, word: str, prefix: str) -> str:
    """The one block of README.md in this language that holds the word."""
    (text,) = [text for text in blocks(README, language) if word in text]
    return text.replace("canvas.", f"{prefix}.").replace("my-application", prefix)


def environment(bootstrap: str) -> dict[str, str]:
    return os.environ | {"ROLLCALL_KAFKA": bootstrap}


def run_shell(script: str, bootstrap: str) -> str:
    command = ["/bin/sh", "-euc", script]
    done = run(command, env=environment(bootstrap), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_consumer(
    bootstrap: str, prefix: str, router: RouterProcess, tmp_path: Path
) -> None:
    aborted = EXAMPLE.read_bytes().replace(b'"invited"', b'"aborted"')
    send(
        bootstrap,
        f"{prefix}.events.enrollment_created",
        [Sent(aborted, partition=n) for n in range(2)],
        transactional_id=f"{prefix}-other",
        commit=False,
    )
    send(bootstrap, f"{prefix}.raw", [Sent(EXAMPLE.read_bytes())])
    script = tmp_path / "consumer.py"
    script.write_text(example("python", "confluent_kafka", prefix), encoding="utf-8")
    lines: queue.Queue[str] = queue.Queue()
    with subprocess.Popen(
        [sys.executable, "-X", "faulthandler", str(script)],
        env=environment(bootstrap),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as consumer:
        output = consumer.stdout
        assert output is not None
        reader = threading.Thread(target=lambda: deque(map(lines.put, output), maxlen=0))
        reader.start()
        try:
            wait_until(lambda: not lines.empty() or consumer.poll() is not None, what="the line")
            assert lines.get_nowait() == SHOWN + "\n"
            consumer.send_signal(signal.SIGINT)
            try:
                assert wait_for_exit(consumer) == 0
            except NotInTimeError:
                consumer.send_signal(signal.SIGABRT)
                print(f"it does not end: {consumer.communicate()[1]}")
                raise
        finally:
            consumer.kill()
            reader.join()
    assert lines.empty()
    assert SHOWN in README.read_text(encoding="utf-8")
    assert router.process.poll() is None


@needs_kcat
def test_kcat(bootstrap: str, prefix: str, router: RouterProcess) -> None:
    run_shell(example("sh", "kcat -P", prefix), bootstrap)
    wait_for_count(
        lambda: router.metric("rollcall_events_routed_total", event_name="enrollment_created"),
        1,
        what="the event",
    )
    said = run_shell(example("sh", "kcat -C", prefix), bootstrap)
    (record,) = read_all(bootstrap, [f"{prefix}.events.enrollment_created"], at_least=1)
    pairs = ",".join(f"{name}={value.decode()}" for name, value in headers(record).items())
    assert (
        said
        == f"key 21070000000046825\nheaders {pairs}\nvalue {EXAMPLE.read_text(encoding='utf-8')}\n"
    )
    shown = pairs.partition(",ce_id")[0]
    assert f"headers {shown},…" in README.read_text(encoding="utf-8")


@needs_kcat
def test_kcat_reads_a_family(bootstrap: str, prefix: str, router: RouterProcess) -> None:
    keys = {
        "enrollment_created": "21070000000046825",
        "enrollment_state_updated": "21070000000001533",
    }
    documented = [EXAMPLE.with_stem(name) for name in (*keys, "user_created")]
    send(bootstrap, f"{prefix}.raw", [Sent(file.read_bytes()) for file in documented])
    wait_for_count(lambda: router.metric("rollcall_events_routed_total"), 3, what="the events")
    (script,) = [text for text in blocks(ROOT / "docs" / "events.md", "sh") if "kcat" in text]
    said = run_shell(
        script.replace("canvas", prefix).replace("my-application", f"{prefix}-family"), bootstrap
    )
    assert sorted(said.splitlines()) == [
        f"{prefix}.events.{name} {key}" for name, key in keys.items()
    ]


@needs_kcat
def test_counting_dead_letters(bootstrap: str, prefix: str, router: RouterProcess) -> None:
    send(bootstrap, f"{prefix}.raw", [Sent(b"rubbish"), Sent(b"{}"), Sent(b"rubbish")])
    wait_for_count(lambda: router.metric("rollcall_dead_letters_total"), 3, what="the dead letters")
    for document in ("runbooks.md",):
        (script,) = [
            text for text in blocks(ROOT / "docs" / document, "sh") if "dead-letter" in text
        ]
        said = run_shell(script.replace("canvas.", f"{prefix}."), bootstrap)
        assert sorted(line.split() for line in said.splitlines()) == [
            ["1", "rollcall.error.code=not_an_event"],
            ["2", "rollcall.error.code=not_json"],
        ]
