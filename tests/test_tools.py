"""Summary of skips for missing tools, in one line. Its place in a run: test_repeats.py."""

from __future__ import annotations

from tests.tools import lack, summary


def test_one_line_says_what_to_install() -> None:
    reasons = [
        lack("kcat", "apt install kcat"),
        "ROLLCALL_KAFKA is set",
        lack("kcat", "apt install kcat"),
        lack("Go", "apt install golang"),
        lack("axe", "npm ci"),
    ]
    assert (
        summary(reasons)
        == "4 tests were skipped, for this machine lacks kcat, Go, axe. To run all: apt install "
        "kcat golang && npm ci"
    )
    assert (
        summary(reasons[:1])
        == "1 test was skipped, for this machine lacks kcat. To run all: apt install kcat"
    )
    assert summary(["something else"]) is None
