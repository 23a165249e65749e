"""``python -m tests.serve.browser.screenshot``: the picture of the page in the README, of a course
in a simulated institution, in which something happens.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.truth import Rosters as Truth
from tests.processes import wait_until
from tests.serve.browser.chromium import WIDE, chromium, missing
from tests.serve.page.hosting import hosting
from tests.serve.page.rows import SHARD, Rosters, take

PICTURE = Path(__file__).parents[3] / "docs" / "page.png"
MOST_BYTES = 300_000
START_MS = 1_772_442_000_000
"""2026-03-02T09:00:00Z."""
BEFORE = 2_000
"""Events before somebody looks."""
LAST = 500
"""Events while somebody does."""
LEAST_PEOPLE = 12
_LAST_LETTER = "\N{LATIN SMALL LETTER EZH WITH CARON}"


def main() -> None:
    """Make the picture."""
    logging.disable(logging.WARNING)
    if (why := missing()) is not None:
        sys.exit(why)
    simulation = Simulation(
        SimulationPlan(
            courses=14, steps=2_000, seed=5, class_size=14, start_ms=START_MS, shard=SHARD
        )
    )
    for _ in islice(simulation.events(), BEFORE):
        pass
    before = simulation.truth()
    later = list(islice(steps(simulation, before), LAST))
    course = liveliest(simulation.truth(), [rosters for rosters, _ in later])
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as profile,
        chromium(Path(profile)) as browser,
        hosting(
            Path(folder),
            {relation: dict(rows) for relation, rows in before.items()},
            with_tokens=True,
        ) as hosted,
    ):
        for rosters, at in later:
            take(hosted.store, hosted.context.feed, rosters, at)
        browser.look(WIDE)
        browser.open(f"{hosted.url}/login")
        browser.find("#token").send_keys(hosted.token or "")
        browser.find("button").click()
        browser.wait_for("Rosters here are")
        browser.open(f"{hosted.url}/#course/{course}")
        wait_until(
            lambda: (
                browser.texts("#people tbody tr")
                and browser.texts("#changes li")
                and browser.text("#live") == "Live"
            ),
            what="the roster",
        )
        browser.driver.save_screenshot(str(PICTURE))
    size = PICTURE.stat().st_size
    print(f"{PICTURE}: course {course}, {size:,} bytes")
    if size > MOST_BYTES:
        sys.exit(f"it has more than {MOST_BYTES:,} bytes")


def steps(simulation: Simulation, known: Truth) -> Iterator[tuple[Rosters, float]]:
    """What each event changes in the rosters, and when it comes."""
    for event in simulation.events():
        now = simulation.truth()
        changed: Rosters = {}
        for relation, rows in now.items():
            old = known[relation]
            changed[relation] = {
                key: row for key, row in rows.items() if old.get(key) != row
            } | dict.fromkeys(old.keys() - rows.keys())
        known = now
        yield changed, event.time_ms / 1000


def liveliest(after: Truth, later: list[Rosters]) -> str:
    """The course of which most is to be seen: people in many states, most of them there, with names
    for which any machine has the letters; and changes.
    """
    changes = Counter(
        key.split("/")[0]
        for rosters in later
        for relation in ("enrollments", "memberships")
        for key in rosters[relation]
    )
    people: dict[str, list[Mapping[str, Any]]] = {course: [] for course in after["courses"]}
    for key, row in after["enrollments"].items():
        people.setdefault(key.split("/")[0], []).append(row)

    def merit(course: str) -> tuple[float, str]:
        rows = people[course]
        present = sum(row["state"] == "active" for row in rows) / len(rows)
        foreign = sum(max(str(row["user_name"])) > _LAST_LETTER for row in rows)
        return len({row["state"] for row in rows}) + 8 * present + min(
            changes[course], 12
        ) / 4 - 20 * foreign, course

    return max(
        (
            course
            for course in after["courses"]
            if len(people[course]) >= LEAST_PEOPLE and changes[course]
        ),
        key=merit,
    )


if __name__ == "__main__":
    main()
