"""The simulated Canvas: its rows, its clock, the current operation, and the emitted events.

An event's body has the values of the rows after the transaction, as in Canvas.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import orjson

from rollcall.events.publishing import EVENT_ID_DIGITS
from rollcall.sandbox.canvas.families import BODIES, body_name
from rollcall.sandbox.canvas.fields import FieldKind
from rollcall.sandbox.canvas.simulation import bodies
from rollcall.sandbox.canvas.simulation.bodies import Body
from rollcall.sandbox.canvas.simulation.envelopes import Envelopes, Operation
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
    new_terms,
)
from rollcall.sandbox.canvas.simulation.writing import event_time

SIS_JOB = "SIS::CSV::ImportRefactored#run_parallel_importer"
"""Tag of the job of a SIS import."""

NUMBERS_SHARE = 0.03
"""Share of events whose ids are JSON integers."""
UNKNOWN_FIELDS_SHARE = 0.02
CONSOLE_SHARE = 0.01

_IDS = {
    family: tuple(name for name, field in fields.items() if field.kind is FieldKind.ID)
    for family, fields in BODIES.items()
}
_UNKNOWN_FIELDS: tuple[tuple[str, Any], ...] = (
    ("temporary_enrollment", False),
    ("pronouns", "they/them"),
    ("sis_import_id", "4811"),
    ("extra", {"weights": [0.5, None]}),
)
"""Fields that newer versions of Canvas added without documentation."""

_dumps = orjson.dumps
_sha256 = hashlib.sha256

Version = tuple[int, int, int, str]
"""Order of the events of one entity: event_time in microseconds, 1 for ``_updated`` or 0,
updated_at in microseconds, ce_id.
"""

NO_TIME = -(2**63)
"""Replaces a missing updated_at."""

EntityKey = str | tuple[str, str]


class Emitted(NamedTuple):
    """An event, with the data for the expected rosters."""

    event: SimulatedEvent
    family: str
    """``enrollment``, ``enrollment_state``, …"""
    key: EntityKey
    """The entity's id in normal form; for a membership, its id and its group's id."""
    version: Version
    body: Body


class Canvas:
    """The simulated Canvas. The functions of enrollments.py, courses.py, groups.py and people.py
    change it: they begin an operation, change rows, and emit events.
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
        self.world.terms += new_terms(plan.start_ms)
        self.now_ms = plan.start_ms
        self.outbox: list[Emitted] = []
        """Emitted events that the caller has not taken yet."""
        self.jobs: deque[Callable[[Canvas], object]] = deque()
        """Pending background jobs."""
        self.subscribed = True
        """False: changes emit no events, as before the institution subscribed to them."""
        self.subscribes_later = plan.silent_steps is not None
        """True: no change emits an event, until the plan's silent steps are over."""
        self.actors: list[User] = []
        """Users who make the web requests."""
        self._operation: Operation = self.envelopes.console()

    # --- operations

    def pass_time(self) -> None:
        """Advance the clock, sometimes to a whole second."""
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
        """Begin a web request. A few become a console session instead."""
        self.pass_time()
        random = self.random
        if by is None and random.random() < CONSOLE_SHARE:
            self._operation = self.envelopes.console()
            return
        actor = by or self.actors[int(random.random() * len(self.actors))]
        self._operation = self.envelopes.request(actor, context, path, method)

    def job(self, tag: str) -> None:
        """Begin a background job."""
        self.pass_time()
        self._operation = self.envelopes.job(tag)

    # --- events

    @property
    def _emits(self) -> bool:
        return self.subscribed and not self.subscribes_later

    def emit_account(self, name: str, account: Account) -> None:
        """Emit account_created or account_updated."""
        body = bodies.account_body(account, self.root, self.envelopes.domain)
        self._emit_local(name, account.gid, body)

    def emit_user(self, name: str, user: User) -> None:
        """Emit user_created or user_updated."""
        body = bodies.user_body(user, self._operation.offset)
        self._emit(name, user.gid, body, updated_ms=user.updated_ms)

    def emit_association(self, user: User, account: Account, *, is_admin: bool) -> None:
        """Emit user_account_association_created."""
        body = bodies.association_body(user, account, self.now_ms, is_admin)
        self._emit("user_account_association_created", user.gid, body)

    def emit_notification(
        self, gid: str, subject: str, message: str, icon: str | None, days: int
    ) -> None:
        """Emit account_notification_created."""
        body = bodies.notification_body(
            gid, subject, message, icon, self.now_ms, self.now_ms + days * 86_400_000
        )
        self._emit("account_notification_created", gid, body)

    def emit_course(self, name: str, course: Course) -> None:
        """Emit course_created or course_updated."""
        body = bodies.course_body(course, self._operation.offset)
        self._emit(name, course.gid, body, updated_ms=course.updated_ms)

    def emit_section(self, name: str, section: Section) -> None:
        """Emit course_section_created or course_section_updated."""
        body = bodies.section_body(section, self.root.id, self._operation.offset)
        self._emit_local(name, section.gid, body)

    def emit_enrollment(self, name: str, enrollment: Enrollment) -> None:
        """Emit enrollment_created or enrollment_updated."""
        enrollment.has_event = enrollment.has_event or self._emits
        enrollment.silent_change = None
        operation = self._operation
        body = bodies.enrollment_body(enrollment, operation.offset, operation.server.writes_uuids)
        self._emit(name, enrollment.gid, body, updated_ms=enrollment.updated_ms)

    def emit_state(self, name: str, enrollment: Enrollment) -> None:
        """Emit enrollment_state_created or enrollment_state_updated."""
        self._emit(name, enrollment.gid, bodies.state_body(enrollment))

    def emit_category(self, name: str, category: Category) -> None:
        """Emit group_category_created or group_category_updated."""
        self._emit_local(name, category.gid, bodies.category_body(category))

    def emit_group(self, name: str, group: Group) -> None:
        """Emit group_created or group_updated."""
        group.has_event = group.has_event or self._emits
        self._emit(name, group.gid, bodies.group_body(group))

    def emit_membership(self, name: str, membership: Membership) -> None:
        """Emit group_membership_created or group_membership_updated."""
        membership.has_event = membership.has_event or self._emits
        group = membership.group.gid
        self._emit(name, group, bodies.membership_body(membership), key=(membership.gid, group))

    def _emit_local(self, name: str, entity: str, body: Body) -> None:
        """Emit an event with local ids. In an event of a console session, which has no metadata,
        their shard would be unknown, so a job emits it instead.
        """
        if not self._operation.metadata:
            self._operation = self.envelopes.job("Rails::Console")
        self._emit(name, entity, body)

    def _emit(
        self,
        name: str,
        entity: str,
        body: Body,
        *,
        key: EntityKey | None = None,
        updated_ms: int | None = None,
    ) -> None:
        chance = self.random.random
        # events of one operation may have the same time
        dice = chance()
        self.now_ms += 0 if dice < 0.25 else 1 if dice < 0.6 else 2 + int(chance() * 4)
        if not self._emits:
            return
        operation, family = self._operation, body_name(name)
        time_ms = self.now_ms + operation.server.ahead_ms
        if not operation.server.writes_nulls:
            body = {field: value for field, value in body.items() if value is not None}
        dice = chance()
        if dice < NUMBERS_SHARE:
            for field in _IDS[family]:
                if field in body and body[field] is not None:
                    body[field] = int(body[field])
        elif dice > 1 - UNKNOWN_FIELDS_SHARE:
            body = body | dict((_UNKNOWN_FIELDS[int(chance() * len(_UNKNOWN_FIELDS))],))
        metadata = {**operation.metadata, "event_name": name, "event_time": event_time(time_ms)}
        event = {"metadata": metadata, "body": body}
        updated_us = NO_TIME if updated_ms is None else updated_ms // 1000 * 1_000_000
        ce_id = _sha256(_dumps(event, option=orjson.OPT_SORT_KEYS)).hexdigest()[:EVENT_ID_DIGITS]
        version = (time_ms * 1000, int(name.endswith("_updated")), updated_us, ce_id)
        simulated = SimulatedEvent(name, _dumps(event), entity, time_ms)
        self.outbox.append(Emitted(simulated, family, key or entity, version, body))
