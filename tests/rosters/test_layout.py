"""A cluster that is not laid out as the tables need it: the process ends and says why, instead of
going on with less than it needs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kafka_client import add_partitions, create_topic, delete_topic
from tests.processes import RostersProcess, wait_until
from tests.rosters.cluster import PARTITIONS, RosterCluster, typed
from tests.rosters.scenarios import course, enrollment, section

EVENTS = (course(1), section(1), enrollment(1))


def test_partitions_that_are_added_end_the_process(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
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


@pytest.mark.parametrize("made_anew", [False, True])
def test_a_changelog_that_is_gone_is_not_taken_for_an_empty_table(
    bootstrap: str, prefix: str, tmp_path: Path, made_anew: bool
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
    if made_anew:
        create_topic(bootstrap, changelog, PARTITIONS, {"cleanup.policy": "compact"})
    with RostersProcess(tmp_path, bootstrap, prefix, partitions=PARTITIONS).expecting(
        "cannot be consumed any further"
    ) as rosters:
        assert rosters.wait_exit() == 1
        text = rosters.log_file.read_text()
    assert "rebuild the rosters" in text
    assert changelog in text
