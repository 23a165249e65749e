"""What must hold before a run."""

from __future__ import annotations

import pytest

from rollcall.errors import ConfigurationError
from rollcall.reconcile.preflight import shard_of_run


@pytest.mark.parametrize(
    ("configured", "ids", "known", "shard"),
    [
        (2107, [], set(), 2107),
        (2107, ["1533"], {2107, 1099}, 2107),
        (None, ["21070000000001533"], {1099}, 2107),
        (None, ["1533"], {2107}, 2107),
    ],
)
def test_the_shard_of_local_ids(
    configured: int | None, ids: list[str], known: set[int], shard: int
) -> None:
    assert shard_of_run(configured, ids, known) == shard


@pytest.mark.parametrize(
    ("configured", "ids", "known"),
    [
        (2108, [], {2107}),
        (None, [], set()),
        (None, [], {2107, 1099}),
        (None, ["21070000000001533", "10990000000001533"], set()),
    ],
)
def test_an_unknown_shard_is_reported(
    configured: int | None, ids: list[str], known: set[int]
) -> None:
    """A wrong one would give each row a double."""
    with pytest.raises(ConfigurationError, match="ROLLCALL_SHARD"):
        shard_of_run(configured, ids, known)
