"""Schemas and the broker's files in a checkout. For an installed wheel see
tests/deploy/test_wheel.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcall.resources import resource_path

CHECKOUT = Path(__file__).parent.parent


def test_in_a_checkout() -> None:
    assert resource_path("schemas") == CHECKOUT / "schemas"
    assert resource_path("deploy", "kafka", "pom.xml") == CHECKOUT / "deploy" / "kafka" / "pom.xml"


def test_what_nobody_has_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="deploy/nothing"):
        resource_path("deploy", "nothing")
