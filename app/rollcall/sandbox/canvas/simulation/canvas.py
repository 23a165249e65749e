"""Canvas at work: one clock, acts that cause events, and the events, with bodies built from live
rows after the transaction.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import orjson

from rollcall.events.publishing import EVENT_ID_DIGITS
from rollcall.sandbox.canvas.families import BODIES, Kind
from rollcall.sandbox.canvas.simulation import bodies
from rollcall.sandbox.canvas.simulation.bodies import Body
from rollcall.sandbox.canvas.simulation.envelopes import Act, Envelopes
from rollcall.sandbox.canvas.simulation.plan import SimulatedEvent, SimulationPlan
from rollcall.sandbox.canvas.simulation.world import (
    Account,
    Category,
    Course,
    Enrollment,
    Group,
    Membership,
    Section,
    User,
    World,
)
from rollcall.sandbox.canvas.simulation.writing import event_time

NUMBERS_SHARE = 0.03
"""Events whose ids are JSON integers."""
UNKNOWN_FIELDS_SHARE = 0.02
CONSOLE_SHARE = 0.01

_IDS = {
    family: tuple(name for name, field in fields.items() if field.kind is Kind.ID)
    for family, fields in BODIES.items()
}
_NEWS: tuple[tuple[str, Any], ...] = (
    ("temporary_enrollment", False),
    ("pronouns", "they/them"),
    ("sis_import_id", "4811"),
    ("extra", {"weights": [0.5, None]}),
)
"""Fields that Canvas has added without notice."""

_dumps = orjson.dumps
_sha256 = hashlib.sha256

Version = tuple[int, int, int, str]
"""What decides between two events of one entity: event_time in microseconds, 1 for ``_updated``,
body.updated_at in microseconds, ce_id.
"""

NO_TIME = -(2**63)
"""Stands for an updated_at that there is not."""

EntityKey = str | tuple[str, str]


class Emitted(NamedTuple):
    """An event, with the data for the expected rosters."""

    event: SimulatedEvent
    register: str
    """The family: ``enrollment``, ``enrollment_state``, …"""
    key: EntityKey
    """The entity's id in normal form; for a membership, its own id and its group's."""
    version: Version
    body: Body


class Canvas:
    """The simulated Canvas. The functions of enrollments.py, courses.py, groups.py and people.py
    change it.

    They begin an act, change rows, and then emit. :attr:`outbox` collects the events until the
    caller takes them.
    """

    def __init__(self, plan: SimulationPlan) -> None:
        self.plan = plan
        self.random = Random(plan.seed)  # no secrets  # noqa: S311
        self.world = World(plan.shard)
        self.envelopes = Envelopes(self.random, self.world, plan.skew)
        self.root = Account(
            1, self.world.global_id(1), self.envelopes.root_uuid, "Oxana University", None
        )
        self.world.accounts.append(self.root)
        self.now_ms = plan.start_ms
        self.outbox: list[Emitted] = []
        self.jobs: deque[Callable[[Canvas], object]] = deque()
        """Pending background jobs."""
        self.subscribed = True
        """False: no events, as before the subscription."""
        self.actors: list[User] = []
        self._act: Act = self.envelopes.console()

    # --- acts

    def pass_time(self) -> None:
        """The world's clock goes on; every act has its own moments. Some are at whole seconds."""
        self.now_ms += 40 + int(self.random.random() * 2_000)
        if self.random.random() < 0.04:
            self.now_ms += 1000 - self.now_ms % 1000

    def request(
        self,
        path: str,
        context: Course | Account | None = None,
        *,
        method: str = "POST",
        by: User | None = None,
    ) -> None:
        """Begin a web request."""
        self.pass_time()
        random = self.random
        if by is None and random.random() < CONSOLE_SHARE:
            self._act = self.envelopes.console()
            return
        actor = by or self.actors[int(random.random() * len(self.actors))]
        self._act = self.envelopes.request(actor, context, path, method)

    def job(self, tag: str) -> None:
        """Begin a background job."""
        self.pass_time()
        self._act = self.envelopes.job(tag)

    # --- events

    def emit_account(self, name: str, account: Account) -> None:
        """Emit account_created or account_updated."""
        self._emit_local(
            name,
            "account",
            account.gid,
            bodies.account_body(account, self.root, self.envelopes.domain),
        )

    def emit_user(self, name: str, user: User) -> None:
        """Emit user_created or user_updated."""
        self._emit(
            name,
            "user",
            user.gid,
            user.gid,
            bodies.user_body(user, self._act.offset),
            user.updated_ms,
        )

    def emit_association(self, user: User, account: Account, *, is_admin: bool) -> None:
        """Emit user_account_association_created."""
        body = bodies.association_body(user, account, self.now_ms, is_admin)
        self._emit(
            "user_account_association_created", "user_account_association", user.gid, user.gid, body
        )

    def emit_notification(
        self, gid: str, subject: str, message: str, icon: str | None, days: int
    ) -> None:
        """Emit account_notification_created."""
        body = bodies.notification_body(
            gid, subject, message, icon, self.now_ms, self.now_ms + days * 86_400_000
        )
        self._emit("account_notification_created", "account_notification", gid, gid, body)

    def emit_course(self, name: str, course: Course) -> None:
        """Emit course_created or course_updated."""
        self._emit(
            name,
            "course",
            course.gid,
            course.gid,
            bodies.course_body(course, self._act.offset),
            course.updated_ms,
        )

    def emit_section(self, name: str, section: Section) -> None:
        """Emit course_section_created or course_section_updated."""
        self._emit_local(
            name,
            "course_section",
            section.gid,
            bodies.section_body(section, self.root.id, self._act.offset),
        )

    def emit_enrollment(self, name: str, enrollment: Enrollment) -> None:
        """Emit enrollment_created or enrollment_updated."""
        if self.subscribed:
            enrollment.has_event = True
        enrollment.silent = None
        body = bodies.enrollment_body(enrollment, self._act.offset, self._act.server.tells_uuids)
        self._emit(name, "enrollment", enrollment.gid, enrollment.gid, body, enrollment.updated_ms)

    def emit_state(self, name: str, enrollment: Enrollment) -> None:
        """Emit enrollment_state_created or enrollment_state_updated."""
        self._emit(
            name, "enrollment_state", enrollment.gid, enrollment.gid, bodies.state_body(enrollment)
        )

    def emit_category(self, name: str, category: Category) -> None:
        """Emit group_category_created or group_category_updated."""
        self._emit_local(name, "group_category", category.gid, bodies.category_body(category))

    def emit_group(self, name: str, group: Group) -> None:
        """Emit group_created or group_updated."""
        if self.subscribed:
            group.has_event = True
        self._emit(name, "group", group.gid, group.gid, bodies.group_body(group))

    def emit_membership(self, name: str, membership: Membership) -> None:
        """Emit group_membership_created or group_membership_updated."""
        if self.subscribed:
            membership.has_event = True
        group = membership.group.gid
        self._emit(
            name,
            "group_membership",
            (membership.gid, group),
            group,
            bodies.membership_body(membership),
        )

    def _emit_local(self, name: str, family: str, key: str, body: Body) -> None:
        """Emit an event with local ids: nobody could tell whose they are if it came from a console,
        so it comes from a job instead.
        """
        if not self._act.metadata:
            self._act = self.envelopes.job("Rails::Console")
        self._emit(name, family, key, key, body)

    def _emit(
        self,
        name: str,
        family: str,
        key: EntityKey,
        entity: str,
        body: Body,
        updated_ms: int | None = None,
    ) -> None:
        chance = self.random.random
        # Events of one act may bear the same time.
        dice = chance()
        self.now_ms += 0 if dice < 0.25 else 1 if dice < 0.6 else 2 + int(chance() * 4)
        if not self.subscribed:
            return
        act = self._act
        time_ms = self.now_ms + act.server.ahead_ms
        if not act.server.writes_nulls:
            body = {field: value for field, value in body.items() if value is not None}
        dice = chance()
        if dice < NUMBERS_SHARE:
            for field in _IDS[family]:
                if field in body and body[field] is not None:
                    body[field] = int(body[field])
        elif dice > 1 - UNKNOWN_FIELDS_SHARE:
            body = body | dict((_NEWS[int(chance() * len(_NEWS))],))
        metadata = {**act.metadata, "event_name": name, "event_time": event_time(time_ms)}
        event = {"metadata": metadata, "body": body}
        updated_us = NO_TIME if updated_ms is None else updated_ms // 1000 * 1_000_000
        ce_id = _sha256(_dumps(event, option=orjson.OPT_SORT_KEYS)).hexdigest()[:EVENT_ID_DIGITS]
        version = (time_ms * 1000, int(name.endswith("_updated")), updated_us, ce_id)
        self.outbox.append(
            Emitted(
                SimulatedEvent(name, _dumps(event), entity, time_ms), family, key, version, body
            )
        )
