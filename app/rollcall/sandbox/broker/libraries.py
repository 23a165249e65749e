"""The broker's Java libraries: listed in deploy/kafka/pom.xml, fetched by Maven into the data
directory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from rollcall.errors import BrokerUnavailableError
from rollcall.resources import resource_path
from rollcall.sandbox.broker.files import locked
from rollcall.sandbox.broker.java import OR_USE_ANOTHER, find_java, find_maven

_COMPLETE = ".complete"
"""File with the pom's hash, written last. Without it the fetch was interrupted; with another hash
the pom has changed.
"""

_FETCH_SECONDS = 900.0


def kafka_version() -> str:
    """The embedded broker's version of Kafka, from the pom."""
    # S314: the file is our own
    version = ElementTree.parse(_pom()).findtext("{*}properties/{*}kafka.version")  # noqa: S314
    assert version, "the pom has the property kafka.version"
    return version


def ensure_libraries(root: Path, *, announce: Callable[[str], object] = lambda line: None) -> Path:
    """The folder ``<root>/<version>`` with the broker's jars. Maven fetches them if they are
    missing or of another pom.

    ``announce`` gets one line before a fetch. Several processes may call this at once.

    Raises:
        BrokerUnavailableError: Java or Maven is missing, or Maven failed.
    """
    version = kafka_version()
    folder = root.absolute() / version
    if _is_complete(folder):
        return folder
    with locked(
        root.absolute() / "lock", timeout=_FETCH_SECONDS, purpose="fetching the broker's libraries"
    ):
        if not _is_complete(folder):
            find_java()
            maven = find_maven()
            announce(f"fetching Kafka {version} with Maven")
            _fetch(maven, folder)
    return folder


def _pom() -> Path:
    return resource_path("deploy", "kafka", "pom.xml")


def _pom_hash() -> str:
    return hashlib.sha256(_pom().read_bytes()).hexdigest()


def _is_complete(folder: Path) -> bool:
    try:
        return (folder / _COMPLETE).read_text(encoding="utf-8") == _pom_hash()
    except FileNotFoundError:
        return False


def _fetch(maven: Path, folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    command = [
        str(maven),
        "--quiet",
        "--batch-mode",
        "-Dstyle.color=never",
        "--file",
        str(_pom()),
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={partial}",
    ]
    # The option keeps the JVM from writing to the system's temporary folder.
    environment = {
        **os.environ,
        "MAVEN_OPTS": f"{os.environ.get('MAVEN_OPTS', '')} -XX:-UsePerfData".strip(),
    }
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BrokerUnavailableError(
            f"Maven has not fetched Kafka in {_FETCH_SECONDS:.0f} s: check the network and try "
            f"again, {OR_USE_ANOTHER}"
        ) from None
    if done.returncode != 0:
        error = next(
            (line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line),
            f"exit code {done.returncode}",
        )
        raise BrokerUnavailableError(
            f"Maven could not fetch Kafka ({error.strip()}): check the network and try again, "
            f"{OR_USE_ANOTHER}"
        )
    (partial / _COMPLETE).write_text(_pom_hash(), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
