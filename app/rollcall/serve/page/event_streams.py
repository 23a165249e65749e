"""Events of the page's streams: the flow, and the changes of a course."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator
from typing import Any

from rollcall.serve.page.changes import affected_rows, change_items, names_for
from rollcall.serve.page.courses import read_head, read_people
from rollcall.serve.page.flow import ROUND_SECONDS
from rollcall.serve.page.page import Page
from rollcall.serve.page.sessions import Visitor
from rollcall.serve.page.streams import GOODBYE, HEARTBEAT, HEARTBEAT_SECONDS, HELLO, event
from rollcall.serve.replica.feed import Change
from rollcall.serve.replica.reading import ReplicaUnavailableError

MOST_ITEMS = 100
"""Changes of a course in one event: the latest ones."""

MOST_ROWS = 200
"""Rows in one event. If more have changed, the page reads the roster again."""

GATHER_SECONDS = 0.5
"""Pause after an event, in which further changes are gathered for the next one."""


async def flow_events(page: Page, visitor: Visitor) -> AsyncGenerator[bytes, None]:
    """The flow, each second, until the session ends."""
    yield HELLO
    while page.sessions.is_valid(visitor, time.time()):
        yield event("flow", page.flow.content)
        await asyncio.sleep(ROUND_SECONDS)
    yield GOODBYE


async def course_events(
    page: Page, visitor: Visitor, course_id: int
) -> AsyncGenerator[bytes, None]:
    """The recent changes of a course, then each further change, until the session ends."""
    feed = page.context.feed
    with feed.subscribed(course_id) as subscription:
        yield HELLO
        recent = feed.recent(course_id)
        last = recent[-1].number if recent else 0
        try:
            yield event("recent", await _items(page, course_id, recent[-MOST_ITEMS:]))
            while True:
                changes = await subscription.next(HEARTBEAT_SECONDS)
                if not page.sessions.is_valid(visitor, time.time()):
                    yield GOODBYE
                    return
                if changes is None:
                    yield event("reload")
                # A change that came while `recent` was read is in both.
                elif new := [change for change in changes if change.number > last]:
                    yield event("changes", await _items_and_rows(page, course_id, new))
                elif not changes:
                    yield HEARTBEAT
                await asyncio.sleep(GATHER_SECONDS)
        except ReplicaUnavailableError:
            return  # the browser asks again, and gets the reason


async def _items(page: Page, course_id: int, changes: list[Change]) -> list[dict[str, Any]]:
    """Changes as sentences."""
    return await page.context.reader.read(
        lambda db: change_items(changes, course_id, names_for(db, course_id, changes))
    )


async def _items_and_rows(page: Page, course_id: int, changes: list[Change]) -> dict[str, Any]:
    """Changes as sentences, and the rows that they affect as they are now."""
    affected = affected_rows(changes)
    reload = affected.beyond or len(affected.enrollments) + len(affected.users) > MOST_ROWS
    enrollments, users = (
        (frozenset[int](), frozenset[int]()) if reload else (affected.enrollments, affected.users)
    )
    latest = changes[-MOST_ITEMS:]

    def read(db: sqlite3.Connection) -> dict[str, Any]:
        people = read_people(db, course_id, enrollments, users)
        present = {person["id"] for person in people}
        return {
            "items": change_items(latest, course_id, names_for(db, course_id, latest)),
            "reload": reload,
            "head": read_head(db, course_id),
            "people": people,
            "gone": [identity for identity in map(str, enrollments) if identity not in present],
        }

    return await page.context.reader.read(read)
