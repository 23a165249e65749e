"""Finds Java and Maven on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from rollcall.errors import BrokerUnavailableError

LEAST_JAVA = 17
"""Minimum version for a broker of Kafka 4."""

OR_USE_ANOTHER = "or set ROLLCALL_KAFKA to the address (host:port) of a Kafka broker"


def find_java() -> Path:
    """The ``java`` of ``JAVA_HOME`` if that is set, as for Maven, else the first on ``PATH``.

    Raises:
        BrokerUnavailableError: there is no Java, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        where = f"in JAVA_HOME ({home})" if home else "on PATH"
        raise BrokerUnavailableError(
            f"the embedded Kafka broker needs Java, and there is none {where}: install Java "
            f"{LEAST_JAVA} or later, {OR_USE_ANOTHER}"
        )
    version = _feature_version(found)
    if version < LEAST_JAVA:
        raise BrokerUnavailableError(
            f"the embedded Kafka broker needs Java {LEAST_JAVA} or later, and {found} is "
            f"{version or 'no working Java'}: install it, {OR_USE_ANOTHER}"
        )
    return Path(found)


def find_maven() -> Path:
    """The ``mvn`` on ``PATH``.

    Raises:
        BrokerUnavailableError: there is no Maven.
    """
    found = shutil.which("mvn")
    if found is None:
        raise BrokerUnavailableError(
            "the embedded Kafka broker's libraries come by Maven, and there is no mvn on PATH: "
            f"install Maven, {OR_USE_ANOTHER}"
        )
    return Path(found)


def _feature_version(java: str) -> int:
    """17 for ``17.0.15``, 8 for ``1.8.0_402``, 0 without a version (on macOS, /usr/bin/java may be
    a stub).
    """
    try:
        output = subprocess.run(
            [java, "-XX:-UsePerfData", "-version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        ).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(match[1]) if match else 0
