"""Output topics are deleted while the process runs."""

from __future__ import annotations

from pathlib import Path

import orjson

from tests.kafka_client import Sent, create_topic, delete_topic, read_all, send
from tests.processes import RostersProcess, RouterProcess, wait_until
from tests.rosters.cluster import PARTITIONS, RosterCluster, typed
from tests.rosters.scenarios import course, enrollment, section
from tests.router.test_router import EXAMPLES
from tests.waiting import wait_for_count

EVENT = Sent(orjson.dumps(EXAMPLES["course_created"]))


def test_the_router_makes_a_typed_topic_anew_and_goes_on(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    raw, typed = f"{prefix}.raw", f"{prefix}.events.course_created"
    create_topic(bootstrap, raw, 1)
    with RouterProcess(tmp_path, bootstrap, prefix, partitions=1) as router:
        send(bootstrap, raw, [EVENT] * 10)
        wait_for_count(lambda: len(read_all(bootstrap, [typed])), 10, what="the events")
        delete_topic(bootstrap, typed)
        send(bootstrap, raw, [EVENT] * 5)
        wait_until(
            lambda: any(f"gone: {typed};" in str(line["message"]) for line in router.log),
            what="what the router says",
        )
        wait_for_count(lambda: len(read_all(bootstrap, [typed])), 5, what="the events after")
        assert router.end() == 0


def test_a_router_that_may_not_make_it_ends(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    raw, typed = f"{prefix}.raw", f"{prefix}.events.course_created"
    with RouterProcess(tmp_path, bootstrap, prefix, partitions=1) as router:
        router.wait_ready()
        assert router.end() == 0
    with RouterProcess(tmp_path, bootstrap, prefix, partitions=1, create_topics=False) as router:
        send(bootstrap, raw, [EVENT])
        wait_for_count(lambda: len(read_all(bootstrap, [typed])), 1, what="the event")
        delete_topic(bootstrap, typed)
        send(bootstrap, raw, [EVENT])
        assert router.wait_exit() == 1
        assert (
            f"rollcall: topics are missing: {typed}; run 'rollcall topics apply'"
            in router.log_file.read_text()
        )


def test_rosters_are_not_made_anew(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    cluster = RosterCluster(bootstrap, prefix)
    with RostersProcess(tmp_path, bootstrap, prefix, partitions=PARTITIONS) as rosters:
        cluster.send([typed(course(1).value)])
        wait_until(lambda: cluster.rosters()["courses"], what="the row")
        delete_topic(bootstrap, cluster.roster("courses"))
        cluster.send([typed(event.value) for event in (section(1), enrollment(1), course(2))])
        assert rosters.wait_exit() == 1
        reason = (
            f"rollcall: {cluster.roster('courses')} is gone, and its inputs are not read again; "
            "rebuild the rosters"
        )
        assert reason in rosters.log_file.read_text()
