"""``rollcall ingest file`` on a real broker."""

from __future__ import annotations

import contextlib
import gzip
import os
import pty
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pytest
from backports import zstd

from rollcall.ingest.file.progress import FOLDER
from rollcall.sandbox.broker import EmbeddedBroker
from tests.forks import Fork, common_forks
from tests.kafka_client import delete_topic, headers, limit_record_size, read_all
from tests.processes import PROGRAM
from tests.tools import needs_terminal
from tests.waiting import communicate, run_bytes, wait_for_exit, wait_until

CONTROL = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
PROGRESS = re.compile(
    "events\\.json [\N{BOX DRAWINGS HEAVY HORIZONTAL}\N{BOX DRAWINGS HEAVY LEFT}"
    "\N{BOX DRAWINGS HEAVY RIGHT}]+ [1-9]\\d* events?, [1-9]\\d*/s \\d:\\d\\d:\\d\\d"
)
"""What is done, the rate, and the remaining time."""


ABOUT_KAFKA = ("; waiting for it", "Kafka takes records again")
"""Ends of lines about a Kafka that does not answer for two seconds."""


class Command:
    """Runs ``rollcall ingest file``."""

    def __init__(self, folder: Path, bootstrap: str, prefix: str) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.topic = f"{prefix}.raw"
        clean = {key: value for key, value in os.environ.items() if key[:9] != "ROLLCALL_"}
        self.environment = clean | {
            "ROLLCALL_KAFKA": bootstrap,
            "ROLLCALL_TOPIC_PREFIX": prefix,
            "ROLLCALL_PARTITIONS": "2",
            "ROLLCALL_DATA": str(folder / "data"),
        }

    def start(self, *arguments: str | Path) -> tuple[Fork, Path]:
        """Start it without standard input. Gives also the file of its standard error."""
        err = self.folder / "started.err"
        err.unlink(missing_ok=True)
        names = map(str, arguments)
        fork = common_forks().start(
            "ingest", "file", *names, environment=self.environment, out=err, err=err
        )
        return fork, err

    def __call__(self, *arguments: str | Path) -> tuple[int, str, list[str]]:
        """Run it. Gives exit code, output, and lines of standard error, without those of a Kafka
        that takes seconds to answer on a busy machine.
        """
        done = common_forks().run(
            "ingest",
            "file",
            *map(str, arguments),
            environment=self.environment,
            folder=self.folder,
        )
        assert "Traceback" not in done.stderr
        errors = [
            line
            for line in done.stderr.splitlines()
            if not (line.startswith("rollcall: ") and line.endswith(ABOUT_KAFKA))
        ]
        return done.returncode, done.stdout, errors

    def piped(self, script: str) -> subprocess.CompletedProcess[bytes]:
        """Run a shell script, where ROLLCALL is this program."""
        return run_bytes(
            ["/bin/sh", "-c", script.replace("ROLLCALL", " ".join(PROGRAM))],
            env=self.environment,
            cwd=self.folder,
        )

    def write(self, name: str, content: bytes) -> Path:
        """Write an input file."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def values(self, at_least: int) -> Counter[bytes]:
        """Values on the raw topic."""
        return Counter(
            message.value() or b""
            for message in read_all(self.bootstrap, [self.topic], at_least=at_least)
        )


@pytest.fixture
def ingest(tmp_path: Path, bootstrap: str, prefix: str) -> Command:
    return Command(tmp_path, bootstrap, prefix)


def numbered(count: int) -> list[bytes]:
    """Different small events."""
    return [b'{"metadata": {"event_name": "x"}, "body": {"number": %d}}' % n for n in range(count)]


def test_every_form_in_one_command(ingest: Command) -> None:
    sent = numbered(60)
    parts = [sent[start : start + 10] for start in range(0, 60, 10)]
    pretty = [orjson.dumps(orjson.loads(event), option=orjson.OPT_INDENT_2) for event in parts[5]]
    code, out, err = ingest(
        ingest.write("lines.json", b"\xef\xbb\xbf" + b"\r\n\r\n".join(parts[0])),
        ingest.write("glued.gz", gzip.compress(b"".join(parts[1][:5]))),
        ingest.write(
            "members.gz",
            gzip.compress(b"".join(parts[1][5:7])) + gzip.compress(b"".join(parts[1][7:])),
        ),
        ingest.write("array.zst", zstd.compress(b"[" + b",".join(parts[2]) + b"]")),
        ingest.write("lines", b"\n".join(parts[3])),
        ingest.write("empty", b""),
        ingest.write("pretty", b"\n".join(pretty)),
        ingest.write("rest", b"[\n" + b",\n".join(parts[4]) + b"\n]\n"),
    )
    assert (code, out, err) == (0, f"sent 60 events to {ingest.topic}\n", [])
    assert ingest.values(60) == Counter(sent[:50] + pretty)
    [message, *_] = read_all(ingest.bootstrap, [ingest.topic], at_least=60)
    assert headers(message) == {"rollcall.source": b"file"}
    assert message.key()


def test_what_is_not_json_is_reported_and_the_rest_is_sent(ingest: Command) -> None:
    broken = ingest.write("broken.json", b'{"a": 1}\n{"b": tru}\n17\n{"c": "\n{"d": 4}')
    truncated = ingest.write(
        "cut.gz", gzip.compress(b'{"e": 5}\n' + os.urandom(500).hex().encode())[:-50]
    )
    code, out, err = ingest(broken, truncated)
    assert (code, out) == (1, f"sent 4 events to {ingest.topic}\n")
    assert ingest.values(4) == Counter([b'{"a": 1}', b"17", b'{"d": 4}', b'{"e": 5}'])
    assert [line.partition(": ")[0] for line in err[:2]] == [f"{broken}:2:7", f"{broken}:4:1"]
    assert all(line.startswith(f"{truncated}:2:") for line in err[2:-1])
    assert any("ends too early" in line for line in err[2:-1])
    assert err[-1].startswith("rollcall: ")
    assert "not sent" in err[-1]


def test_an_event_that_kafka_does_not_take_is_reported(ingest: Command) -> None:
    assert ingest(ingest.write("small", b"{}"))[0] == 0
    limit_record_size(ingest.bootstrap, ingest.topic, 20_000)
    small, large = numbered(20), b'{"text": "' + os.urandom(20_000).hex().encode() + b'"}'
    path = ingest.write("sizes.json", b"\n".join([*small[:10], large, *small[10:]]))
    code, out, err = ingest(path)
    assert (code, out) == (1, f"sent 20 events to {ingest.topic}\n")
    assert err[0].startswith(f"{path}:11:1: {ingest.topic} takes no record of ")
    assert ingest.values(21) == Counter([*small, b"{}"])


def test_files_that_cannot_be_read(ingest: Command) -> None:
    good = ingest.write("good", b"{}")
    for arguments, reason in (
        ([good, ingest.folder / "missing"], "No such file"),
        ([good, ingest.folder], "is a folder"),
        (["-", "-"], "only once"),
        ([good, "-", "--resume"], "is no file"),
    ):
        code, out, [line] = ingest(*arguments)
        assert (code, out) == (2, "")
        assert reason in line


def interrupted(ingest: Command, path: Path, number: signal.Signals) -> tuple[int, str]:
    """Start a slow command, end it by a signal after some events; exit code and output."""
    process, err = ingest.start(path, "--rate", "200")
    try:
        wait_until(
            lambda: any('"place":[0,' not in file.read_text() for file in states(ingest)),
            what="some progress",
        )
        process.send_signal(number)
        code = wait_for_exit(process)
    finally:
        process.kill()
    return code, err.read_text()


def states(ingest: Command) -> Sequence[Path]:
    return list((ingest.folder / "data" / FOLDER).glob("*.json"))


@pytest.mark.parametrize(
    ("number", "form"),
    [(signal.SIGINT, bytes), (signal.SIGTERM, gzip.compress), (signal.SIGKILL, zstd.compress)],
)
def test_an_interrupted_command_is_resumed(
    ingest: Command, number: signal.Signals, form: Callable[[bytes], bytes]
) -> None:
    events = numbered(3_000)
    path = ingest.write("events", form(b"[nope,\n" + b",\n".join(events) + b"]\n"))
    code, err = interrupted(ingest, path, number)
    if number is signal.SIGKILL:
        assert code == -number
    else:
        assert code == 128 + number
        assert "--resume" in err
    code, out, lines = ingest(path, "--resume")
    assert code == 1, "the first command has found a fault"
    rest = int(out.split()[1].replace(",", ""))
    assert 0 < rest < 3_000
    values = ingest.values(3_000)
    assert set(values) == set(events)
    if number is not signal.SIGKILL:
        assert values.total() == 3_000
    assert not any("nope" in line or ":1:2" in line for line in lines)
    assert ingest(path, "--resume")[1] == f"sent 0 events to {ingest.topic}\n"
    assert ingest(path)[1] == f"sent 3,000 events to {ingest.topic}\n"


def test_resuming_is_refused_when_the_file_or_the_topic_has_changed(ingest: Command) -> None:
    path = ingest.write("events", b"\n".join(numbered(3)))
    assert ingest(path, "--resume")[1] == f"sent 3 events to {ingest.topic}\n"
    for changed in (b"\n".join(numbered(4)), b"\n".join(reversed(numbered(3)))):
        path.write_bytes(changed)
        code, out, [line] = ingest(path, "--resume")
        assert (code, out, "has changed" in line) == (1, "", True)
    path.write_bytes(b"\n".join(numbered(3)))
    [state] = states(ingest)
    text = state.read_text()
    state.write_text(text[:-5])
    assert ingest(path, "--resume")[0] == 2
    state.write_text(text)
    assert ingest(path, "--resume")[:2] == (0, f"sent 0 events to {ingest.topic}\n")
    delete_topic(ingest.bootstrap, ingest.topic)
    code, out, lines = ingest(path, "--resume")
    assert (code, out, "another cluster" in lines[-1]) == (1, "", True)


def test_standard_input_is_sent_as_it_comes(ingest: Command) -> None:
    assert ingest(ingest.write("first", b"{}"))[0] == 0
    with subprocess.Popen(
        [*PROGRAM, "ingest", "file", "-"],
        env=ingest.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b'{"a": 1}\n{"b"')
        process.stdin.flush()
        assert ingest.values(2) == Counter([b"{}", b'{"a": 1}'])
        process.send_signal(signal.SIGINT)
        out, err = communicate(process)
    assert (process.returncode, out) == (130, b"")
    assert b"1 event was sent; standard input cannot be resumed" in err


def test_simulated_events_through_a_pipe(ingest: Command) -> None:
    options = "--courses 1 --steps 50 --class-size 4"
    done = ingest.piped(f"ROLLCALL simulate {options} | ROLLCALL ingest file - --rate 5000")
    assert done.returncode == 0, done.stderr
    count = int(done.stdout.split()[1])
    assert ingest.values(count).total() == count > 100


@needs_terminal()
def test_in_a_terminal_progress_is_shown_and_the_cursor_comes_back(ingest: Command) -> None:
    """At the lowest rate, the file lasts for half a minute: it is interrupted when enough is
    shown. A file is read by parts of 256 KiB, and two of them make a remaining time.
    """
    event = b'{"text": "%s"}\n' % (b"x" * 64_000)
    ingest.write("events.json", event * 300)
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    written = bytearray()

    def shown() -> str:
        with contextlib.suppress(OSError):  # nothing more, or the end of the terminal
            while part := os.read(ours, 65_536):
                written.extend(part)
        return CONTROL.sub("", written.decode(errors="replace"))

    with subprocess.Popen(
        [*PROGRAM, "ingest", "file", "events.json", "--rate", "10"],
        env=ingest.environment | {"TERM": "xterm-256color", "COLUMNS": "100"},
        cwd=ingest.folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        try:
            wait_until(
                lambda: PROGRESS.search(shown()) or process.poll() is not None,
                what=lambda: f"the progress, in {shown()!r}",
            )
            process.send_signal(signal.SIGINT)
            wait_until(lambda: shown() and process.poll() is not None, what="the end")
        finally:
            process.kill()
    text = shown()
    os.close(ours)
    assert process.returncode == 130, text
    assert PROGRESS.search(text), text
    assert re.search(r"rollcall: interrupted; \d+ events? ", text), text
    assert written.count(b"\x1b[?25l") == written.count(b"\x1b[?25h") > 0


@pytest.mark.slow
def test_it_waits_for_kafka(tmp_path: Path, jars: Path, prefix: str) -> None:
    with EmbeddedBroker(tmp_path / "kafka", jars=jars, heap="512m") as broker:
        ingest = Command(tmp_path, broker.bootstrap, prefix)
        path = ingest.write("events", b"\n".join(numbered(2_000)))
        process, err = ingest.start(path, "--rate", "200")
        try:
            wait_until(
                lambda: any('"place":[0,' not in file.read_text() for file in states(ingest)),
                what="some progress",
            )
            broker.kill()
            wait_until(lambda: "waiting for it" in err.read_text(), what="the problem")
            broker.start()
            assert wait_for_exit(process, 120) == 0
        finally:
            process.kill()
        assert "takes records again" in err.read_text()
        assert f"sent 2,000 events to {ingest.topic}\n" in err.read_text()
        assert set(ingest.values(2_000)) == set(numbered(2_000))
