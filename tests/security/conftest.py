"""One secured broker for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.cluster import SecuredCluster, secured_cluster


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory, jars: Path) -> Iterator[SecuredCluster]:
    """See there."""
    with secured_cluster(tmp_path_factory.mktemp("secured"), jars) as cluster:
        yield cluster
