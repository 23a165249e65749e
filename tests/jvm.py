"""How the tests' Java processes start in half the time: there are many, and most live for a minute
or less.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path

import pytest

from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.broker.files import locked
from rollcall.sandbox.broker.java import find_java
from rollcall.sandbox.broker.libraries import kafka_version
from tests.waiting import run_bytes

VARIABLE = "JDK_JAVA_OPTIONS"
"""What every ``java`` reads."""

SHORT_LIVED = "-XX:TieredStopAtLevel=1"
"""Java's optimising compiler would take a third of a broker's time, and never earn it."""

MAKING_SECONDS = 120.0
"""It takes five."""


def start_faster(jars: Path) -> None:
    """Let the Java processes of this process and its children map Kafka's classes as Java has read
    them once (JEP 350); the file is made if need be.

    What cannot use the file, such as another Java, does without.
    """
    version = run_bytes([find_java(), "-version"], check=True).stderr
    archive = jars.parent / "kafka-classes" / f"{kafka_version()}-{zlib.crc32(version):08x}.jsa"
    with locked(
        archive.parent / "lock", timeout=MAKING_SECONDS, purpose="archiving Kafka's classes"
    ):
        if not archive.exists():
            _make(archive, jars)
    os.environ[VARIABLE] = (
        f"{os.environ.get(VARIABLE, SHORT_LIVED)} -XX:SharedArchiveFile={archive} -Xlog:cds=off "
        "-Xlog:cds+dynamic=off"
    )


def _make(archive: Path, jars: Path) -> None:
    """Both of the programs that a start runs write the file when they end; the broker's, which is
    the later one, has more classes.
    """
    partial = archive.with_suffix(".partial")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            VARIABLE, f"-XX:ArchiveClassesAtExit={partial} -Xlog:cds=off -Xlog:cds+dynamic=off"
        )
        with EmbeddedBroker(Path(folder) / "kafka", jars=jars):
            pass
    partial.replace(archive)
