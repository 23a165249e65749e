"""How a release runs commands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from release.distributions import run
from release.texts import ReleaseError


def test_a_command_has_no_variables_of_make_and_rollcall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``make release VERSION=… DRY=1`` exports them, and a make below would take them."""
    unwanted = ("VERSION", "DRY", "MAKEFLAGS", "ROLLCALL_KAFKA", "PYTHONPATH")
    for name in (*unwanted, "OTHER"):
        monkeypatch.setenv(name, "1")
    script = "import os; print(*sorted(os.environ))"
    names = run([sys.executable, "-c", script], tmp_path, BUILD_ROLLCALL="pure").split()
    assert not {*unwanted} & {*names}
    assert {"OTHER", "BUILD_ROLLCALL"} <= {*names}


def test_what_a_failed_command_printed_is_told(tmp_path: Path) -> None:
    script = "import sys; print('the reason', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ReleaseError, match=r"ended with 3, in .*\n  the reason"):
        run([sys.executable, "-c", script], tmp_path)
