"""The whole way: a raw event on one side, a page that changes on the other."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rollcall.events.ids import SHARD_SIZE
from tests.kafka_client import Sent, create_topic, send
from tests.processes import RollcallProcess, RostersProcess, RouterProcess, wait_until
from tests.rosters.scenarios import COURSE, SHARD, course, enrollment, enrollment_state, section
from tests.serve.browser.chromium import Browser


def test_an_event_changes_the_page(
    browser: Browser, bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """Router, rosters and serve, as a user starts them; what the page shows is what Canvas told, a
    moment after.
    """
    create_topic(bootstrap, f"{prefix}.raw")
    settings: dict[str, Any] = {"partitions": 4, "shard": SHARD, "data": tmp_path}
    with ExitStack() as stack:
        router = stack.enter_context(RouterProcess(tmp_path, bootstrap, prefix, **settings))
        rosters = stack.enter_context(RostersProcess(tmp_path, bootstrap, prefix, **settings))
        send(
            bootstrap,
            f"{prefix}.raw",
            [Sent(event.value) for event in (course(1), section(1), enrollment(2))],
        )
        metrics_urls = f"{router.url}/metrics,{rosters.url}/metrics"
        serve = stack.enter_context(
            RollcallProcess(
                "serve",
                tmp_path,
                bootstrap,
                prefix,
                metrics_urls=metrics_urls,
                shard=SHARD,
                data=tmp_path,
            )
        )
        serve.wait_ready()
        wait_until(
            lambda: serve.get(f"/api/v1/courses/{COURSE}")[0] == 200,
            what="the course, which comes by another way than its people",
        )
        wait_until(
            lambda: (
                "Isaac Newton"
                in serve.get(f"/api/v1/courses/{int(COURSE) % SHARD_SIZE}/enrollments")[1]
            )
        )

        browser.look()
        browser.open(f"{serve.url}/#courses")
        browser.find("a[href*='#course/']").click()
        browser.wait_for("Isaac Newton", "#people")
        browser.wait_for("active", "#people")
        send(bootstrap, f"{prefix}.raw", [Sent(enrollment_state(3, "completed").value)])
        browser.wait_for("completed", "#people")
        browser.wait_for("active → completed", "body")
        send(
            bootstrap,
            f"{prefix}.raw",
            [
                Sent(
                    enrollment(
                        9,
                        kind="created",
                        enrollment_id=str(int(COURSE) + 7),
                        user_name="Ada Lovelace",
                    ).value
                )
            ],
        )
        browser.wait_for("Ada Lovelace", "#people")
        browser.open(f"{serve.url}/#flow")
        browser.wait_for("enrollment_created")
        browser.open(f"{serve.url}/#dead-letters")
        send(bootstrap, f"{prefix}.raw", [Sent(b"<html>secret</html>")])
        browser.wait_for("not_json")
        assert "secret" not in browser.text()
        assert browser.complaints() == []
