"""Kafka's libraries are fetched when they are not there, whole, and for the pom as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcall.errors import BrokerUnavailableError
from rollcall.sandbox.broker import libraries

MAVEN = """#!/bin/sh
echo call >> "$0.calls"
for argument; do
  case "$argument" in -DoutputDirectory=*) touch "${argument#*=}/kafka.jar" ;; esac
done
test ! -e "$0.broken" || { echo "[ERROR] the line broke"; exit 1; }
"""


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for Maven that makes one jar, or fails half way while ``mvn.broken`` exists."""
    file = tmp_path / "mvn"
    file.write_text(MAVEN)
    file.chmod(0o755)
    monkeypatch.setattr(libraries, "find_maven", lambda: file)
    monkeypatch.setattr(libraries, "find_java", lambda: file)
    return file


def calls(maven: Path) -> int:
    return len(maven.with_name("mvn.calls").read_text().splitlines())


def test_fetched_once_and_announced(maven: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    folders = {
        libraries.ensure_libraries(tmp_path / "libs", announce=lines.append) for _ in range(2)
    }
    assert folders == {tmp_path / "libs" / "4.2.1"}
    assert (tmp_path / "libs" / "4.2.1" / "kafka.jar").exists()
    assert lines == ["fetching Kafka 4.2.1 with Maven"]
    assert calls(maven) == 1


def test_half_of_them_do_not_count(maven: Path, tmp_path: Path) -> None:
    broken = maven.with_name("mvn.broken")
    broken.touch()
    with pytest.raises(BrokerUnavailableError, match="the line broke"):
        libraries.ensure_libraries(tmp_path / "libs")
    broken.unlink()
    assert (libraries.ensure_libraries(tmp_path / "libs") / "kafka.jar").exists()


def test_another_pom_means_other_libraries(
    maven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = libraries.ensure_libraries(tmp_path / "libs")
    (folder / "old.jar").touch()
    changed = tmp_path / "pom.xml"
    changed.write_text(libraries._pom().read_text() + "<!-- changed -->")
    monkeypatch.setattr(libraries, "_pom", lambda: changed)
    libraries.ensure_libraries(tmp_path / "libs")
    assert calls(maven) == 2
    assert not (folder / "old.jar").exists()
