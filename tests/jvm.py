"""Faster start of the tests' Java processes, by half: there are many, and most live a minute or
less.
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
"""Variable read by every ``java``."""

SHORT_LIVED = "-XX:TieredStopAtLevel=1"
"""Java's optimising compiler would take a third of a short-lived broker's time."""

MAKING_SECONDS = 120.0
"""It normally takes five."""


def start_faster(jars: Path) -> None:
    """Make the Java processes of this process and its children map Kafka's classes from a shared
    archive (JEP 350), created if it is missing.

    A Java that cannot use the archive, such as another version, runs without it.
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
    """Create the archive. Both programs of a broker's start write it when they end; the broker's,
    written last, has more classes.
    """
    partial = archive.with_suffix(".partial")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            VARIABLE, f"-XX:ArchiveClassesAtExit={partial} -Xlog:cds=off -Xlog:cds+dynamic=off"
        )
        with EmbeddedBroker(Path(folder) / "kafka", jars=jars):
            pass
    partial.replace(archive)
