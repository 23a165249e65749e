"""What Rollcall is made of is pinned, installed as pinned, and under licences that are allowed; and
the audit would notice if not.
"""

from __future__ import annotations

import re
from email.message import Message

import pytest

from tests.audit.audit import (
    LICENCES,
    LOCK,
    Licences,
    Part,
    audit,
    audit_distributions,
    audit_npm,
    read_lock,
    requirement_lines,
    table,
)

SAID = Licences.read()
HASH = f"--hash=sha256:{'0' * 64}"
INTEGRITY = f"sha512-{'A' * 86}=="


def metadata(version: str = "1.0", **said: str) -> Message:
    """Of a distribution."""
    message = Message()
    message["Version"] = version
    for name, value in said.items():
        message[name.replace("_", "-")] = value
    return message


def problems(lock: str, **installed: Message) -> list[str]:
    """What is wrong."""
    return [
        problem
        for part in audit_distributions(read_lock(lock), installed, SAID)
        for problem in part.problems
    ]


def test_nothing_is_wrong() -> None:
    parts = audit()
    assert [part for part in parts if part.problems] == []
    assert len(parts) > len(read_lock(LOCK.read_text(encoding="utf-8"))) > 50
    assert list(table(parts))[-1] == f"{len(parts)} distributions and packages, 0 with problems"


MIT = metadata(License_Expression="MIT")


@pytest.mark.parametrize(
    ("lock", "installed", "problem"),
    [
        (f"one==1.0 \\\n    {HASH}\n    # via two", MIT, None),
        ("one==1.0\n", MIT, "has no hash in requirements.lock"),
        ("one==1.0 \\\n    --hash=md5:00\n", MIT, "has no hash in requirements.lock"),
        (f"one==1.1 \\\n    {HASH}\n", MIT, "1.0 is installed"),
        ("", MIT, "is installed and not in requirements.lock"),
        (
            f"one==1.0 \\\n    {HASH}\n",
            metadata(License_Expression="MIT AND GPL-3.0-only"),
            "licence 'GPL-3.0-only' is not in licences.toml",
        ),
        (f"one==1.0 \\\n    {HASH}\n", metadata(License="Apache 2.0"), None),
        (
            f"one==1.0 \\\n    {HASH}\n",
            metadata(
                License="MIT",
                Classifier="License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)",
            ),
            None,
        ),
        (
            f"one==1.0 \\\n    {HASH}\n",
            metadata(License="UNKNOWN"),
            "licence 'UNKNOWN' is not in licences.toml",
        ),
        (
            f"one==1.0 \\\n    {HASH}\n",
            metadata(),
            "licence 'none that is told' is not in licences.toml",
        ),
    ],
)
def test_what_the_audit_notices(lock: str, installed: Message, problem: str | None) -> None:
    assert problems(lock, one=installed) == ([] if problem is None else [problem])


def test_what_is_locked_is_installed_where_it_is_needed() -> None:
    assert problems(f"one==1.0 \\\n    {HASH}\n") == ["is not installed"]
    assert problems(f'one==1.0 ; sys_platform == "plan9" \\\n    {HASH}\n') == []


def test_a_line_that_pins_nothing_is_noticed() -> None:
    for line in ("one>=1.0", "one @ file:///x", "-e .", "one"):
        assert requirement_lines(line) == 1
        assert read_lock(line) == {}


@pytest.mark.parametrize(
    ("package", "problem"),
    [
        ({"version": "1.0", "license": "MIT", "integrity": INTEGRITY}, None),
        ({"version": "1.0", "license": "MIT"}, "has no integrity in package-lock.json"),
        (
            {"version": "1.0", "license": "MIT", "integrity": "sha1-AAAA"},
            "has no integrity in package-lock.json",
        ),
        (
            {"version": "1.0", "integrity": INTEGRITY},
            "licence 'none that is told' is not in licences.toml",
        ),
    ],
)
def test_what_the_audit_notices_of_npm(package: dict[str, str], problem: str | None) -> None:
    parts = list(audit_npm({"packages": {"": {}, "node_modules/one": package}}, SAID))
    assert parts == [
        Part("one", "1.0", package.get("license", ""), () if problem is None else (problem,))
    ]


def test_the_list_has_what_is_used_and_no_more() -> None:
    lock = read_lock(LOCK.read_text(encoding="utf-8"))
    assert SAID.by_name.keys() <= lock.keys()
    used = {word for part in audit() for word in re.findall(r"[A-Za-z0-9.+-]+", part.licence)}
    assert set(SAID.allowed) <= used
    assert all(
        meant in SAID.allowed for meant in (*SAID.written.values(), *SAID.by_name.values())
    ), LICENCES
