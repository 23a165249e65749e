"""Delivery of events: late, twice or never."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator
from random import Random

from rollcall.sandbox.canvas.simulation.canvas import Emitted
from rollcall.sandbox.canvas.simulation.plan import SimulationPlan

MIN_DELAY = 100
"""Smallest maximum delay of a duplicate, in events. It counts if the window of disorder is smaller.
"""


def deliver(emitted: Iterable[Emitted], plan: SimulationPlan) -> Iterator[Emitted]:
    """Events in the order of their delivery. At most a few windows of events are held back."""
    if not (plan.duplicates or plan.disorder or plan.lost):
        yield from emitted
        return
    # not the simulation's random numbers: delivery must not change the events
    random = Random(plan.seed ^ 0xDE11FE)  # no secrets  # noqa: S311
    chance = random.random
    waiting: list[tuple[float, int, Emitted]] = []
    delay = max(plan.disorder, MIN_DELAY)
    turn = 0
    for turn, event in enumerate(emitted):
        if chance() >= plan.lost:
            place = turn + chance() * plan.disorder
            heapq.heappush(waiting, (place, 2 * turn, event))
            if chance() < plan.duplicates:
                heapq.heappush(
                    waiting, (place + 1 + chance() * delay, 2 * turn + 1, _duplicate(event, random))
                )
        while waiting and waiting[0][0] <= turn:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _duplicate(event: Emitted, random: Random) -> Emitted:
    """The same event in the same bytes, or in other bytes of the same JSON."""
    if random.random() < 0.5:
        return event
    document = json.loads(event.event.value)
    for part, fields in document.items():
        items = list(fields.items())
        random.shuffle(items)
        document[part] = dict(items)
    spacing = random.choice(((",", ":"), (", ", ": ")))
    return event._replace(
        event=event.event._replace(
            value=json.dumps(
                document, ensure_ascii=random.random() < 0.5, separators=spacing
            ).encode()
        )
    )
