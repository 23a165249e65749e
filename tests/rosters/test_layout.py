"""Topics that do not fit the tables: the process ends with a reason, instead of using incomplete
tables.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kafka_client import add_partitions, create_topic, delete_topic
from tests.processes import RostersProcess, wait_until
from tests.rosters.cluster import PARTITIONS, RosterCluster, typed
from tests.rosters.scenarios import course, enrollment, section

EVENTS = (course(1), section(1), enrollment(1))


def test_added_partitions_end_the_process(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    with RostersProcess(tmp_path, bootstrap, prefix) as rosters:
        rosters.wait_ready()
        add_partitions(bootstrap, f"{prefix}.events.course_updated", 6)
        assert rosters.wait_exit(120) == 1
        assert (
            "was not assigned with that of the other topics of course"
            in rosters.log_file.read_text()
        )
    with RostersProcess(tmp_path, bootstrap, prefix) as rosters:
        assert rosters.wait_exit() == 1
        assert "has 6 partitions and should have 2" in rosters.log_file.read_text()


@pytest.mark.parametrize("is_recreated", [False, True])
def test_a_deleted_changelog_is_not_used_as_an_empty_table(
    bootstrap: str, prefix: str, tmp_path: Path, is_recreated: bool
) -> None:
    cluster = RosterCluster(bootstrap, prefix)
    cluster.send([typed(event.value) for event in EVENTS])
    with RostersProcess(tmp_path, bootstrap, prefix, partitions=PARTITIONS) as rosters:
        wait_until(
            lambda: rosters.metric("rollcall_table_rows", table="course") == 3, what="the rows"
        )
        assert rosters.end() == 0
    changelog = cluster.changelogs["course"]
    delete_topic(bootstrap, changelog)
    if is_recreated:
        create_topic(bootstrap, changelog, PARTITIONS, {"cleanup.policy": "compact"})
    with RostersProcess(tmp_path, bootstrap, prefix, partitions=PARTITIONS).expecting(
        "cannot be consumed any further"
    ) as rosters:
        assert rosters.wait_exit() == 1
        text = rosters.log_file.read_text()
    assert "rebuild the rosters" in text
    assert changelog in text
