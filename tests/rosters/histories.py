"""Strategies of hypothesis for small, dense histories of typed events, and for their deliveries.

They have few entities, moments and states, so that all combinations occur: equal times, moves there
and back, states without enrollments, several forms of one id. All is drawn from small integers, and
shrinks to fewer events, and to the first entity, moment and format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any

import orjson
from hypothesis import strategies as st

from rollcall.events.ids import SHARD_SIZE
from tests.rosters.reference import TypedEvent, read_event

__all__ = ["HOME_SHARD", "Choices", "TypedEvent", "choices", "deliveries", "histories", "show"]

HOME_SHARD = 2107
"""The shard of nearly all entities. Test it and None as the configured shard."""

Draw = Callable[[st.SearchStrategy[Any]], Any]

ERAS = (
    datetime(2019, 11, 1, 19, 11, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2300, 2, 28, 23, 59, 59, tzinfo=UTC),
)
"""Start times of histories. Before 1970, times are negative. After 2242, a float of seconds has no
exact microseconds.
"""

MOMENTS = (0, 1_000_000, 2_000_000, 1, 999, 1_000, 60_000_000, 3_000_000)
"""Times of a history in microseconds. Some have the same second or millisecond."""

# repeated states are more frequent: other events refer to them
ENROLLMENT_STATES = (
    "active",
    "deleted",
    "invited",
    "active",
    "invited",
    "completed",
    "rejected",
    "inactive",
    "creation_pending",
    "hibernating",
)
DATE_STATES = (
    *("active", "completed", "pending_active", "pending_invited", "completed", "invited"),
    *("deleted", "inactive", "creation_pending", "rejected", "hibernating"),
)
COURSE_STATES = ("available", "deleted", "completed", "claimed", "hibernating", "Deleted")
SECTION_STATES = ("active", "deleted", "active", "active", "hibernating")
GROUP_STATES = ("available", "deleted", "hibernating")
MEMBERSHIP_STATES = ("accepted", "deleted", "invited", "requested", "rejected", "hibernating")
USER_STATES = ("registered", "deleted", "pre_registered", "hibernating")
ENROLLMENT_TYPES = (
    "StudentEnrollment",
    "StudentViewEnrollment",
    "TeacherEnrollment",
    "ObserverEnrollment",
)

COURSES = (1, 2, 1, 3)
"""Local ids of courses. One is more frequent."""

CONTEXTS = (("Course", 1), ("Course", 2), ("Account", 1), ("Course", 3), ("User", 1))
"""Contexts of groups. The account has the local id of a course. Rosters cannot use groups of users.
"""

ROOT_ACCOUNTS = (*["21070000000000001"] * 9, 21070000000000001, ..., None, "1", "90000000000001")
"""Values of metadata.root_account_id. Without a global id, local ids have the configured shard. The
last one is on another shard.
"""

CREATED_AT = "2019-11-01T19:11:00Z"


# creating a strategy takes as long as drawing from it, so each is created once
_numbers = cache(st.integers)
_words = cache(st.sampled_from)
_DEFAULT_OR_ANY = st.just(b"") | st.binary(min_size=5, max_size=5)


class _Writing:
    """Decides on an event's format by the digits of one number. 0 is the first option of each
    decision.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def one_of(self, options: Sequence[Any]) -> Any:
        """The option of the next decision."""
        self._number, choice = divmod(self._number, len(options))
        return options[choice]

    def id(self, number: int) -> object:
        """The id of an entity: global or local, a string or a number."""
        whole = HOME_SHARD * SHARD_SIZE + number
        return self.one_of([str(whole)] * 4 + [whole, str(number), number, float(number)])

    def time(self, moment: datetime) -> str:
        """A time in one of Canvas's formats."""
        precise = "microseconds" if moment.microsecond else "seconds"
        west = moment.astimezone(timezone(timedelta(hours=-7)))
        forms = (
            lambda: moment.isoformat(timespec=precise).replace("+00:00", "Z"),
            lambda: moment.isoformat(timespec="microseconds").replace("+00:00", "987Z"),
            lambda: west.isoformat(timespec=precise),
            lambda: f"{west:%Y-%m-%d} {west.time().isoformat(precise)} -0700",
        )
        return str(self.one_of(forms)())

    def optional(self, body: dict[str, Any], **fields: Any) -> None:
        """Set fields, or leave them out like newer versions of Canvas, or set them to null like
        older ones.
        """
        for field, value in fields.items():
            chosen = self.one_of((..., None, value))
            if chosen is not ...:
                body[field] = chosen


class _Author:
    """Draws events of one history."""

    def __init__(self, draw: Draw, era: datetime) -> None:
        self._draw = draw
        self._era = era

    def number(self, maximum: int) -> int:
        """A number from 1 to a maximum."""
        return int(self._draw(_numbers(1, maximum)))

    def word(self, words: Sequence[Any]) -> Any:
        """One of some words."""
        return self._draw(_words(words))

    def moment(self) -> datetime:
        """A time of the history."""
        return self._era + timedelta(microseconds=self._draw(_words(MOMENTS)))

    def writing(self) -> _Writing:
        """The format of the next event. Half of all events have the default format."""
        # bytes: most integers that hypothesis draws are small, so the last decisions would not vary
        return _Writing(int.from_bytes(self._draw(_DEFAULT_OR_ANY), "big"))

    def undeclared_updated_at(self, write: _Writing, body: dict[str, Any]) -> None:
        """Sometimes set an updated_at that the body's schema does not have, of any type: Canvas may
        add fields at any time.
        """
        chosen = write.one_of((..., ..., ..., ..., "time", None, "yesterday", 7))
        if chosen is not ...:
            body["updated_at"] = write.time(self.moment()) if chosen == "time" else chosen

    def event(self, family: str, write: _Writing, body: dict[str, Any]) -> TypedEvent:
        """An event with a body: created or updated, at a time of the history."""
        return self.typed(f"{family}_{self.word(('updated', 'created'))}", write, body)

    def snapshot(
        self, entity: str, write: _Writing, body: dict[str, Any], **may_be_stated: Any
    ) -> TypedEvent:
        """A snapshot: present or absent, at a time of the history, which states some of the fields
        that it may state, some as null.
        """
        body["present"] = self.word((True, False))
        if not body["present"] and "workflow_state" in body:
            body["workflow_state"] = "deleted"
        write.optional(body, **may_be_stated)
        return self.typed(f"rollcall_{entity}_snapshot", write, body)

    def typed(self, name: str, write: _Writing, body: dict[str, Any]) -> TypedEvent:
        """An event with a name and a body, at a time of the history."""
        metadata = {"event_name": name, "event_time": write.time(self.moment())}
        root_account = write.one_of(ROOT_ACCOUNTS)
        if root_account is not ...:
            metadata["root_account_id"] = root_account
        write.optional(metadata, request_id="r")
        write.optional(body, shoe_size=43)
        forms = (
            {"metadata": metadata, "body": body},
            {"attributes": metadata, "body": body},
            {
                "attributes": {
                    "event_name": name,
                    "event_time": CREATED_AT,
                    "root_account_id": "90000000000001",
                },
                "metadata": metadata,
                "body": body,
            },
        )
        return TypedEvent(name, orjson.dumps(write.one_of(forms)))


def _enrollment(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {
        "enrollment_id": write.id(author.number(4)),
        "course_id": write.id(author.word(COURSES)),
        "course_section_id": write.id(author.number(3)),
        "user_id": write.one_of(("21070000000000051", "51", 51, "90000000000051")),
        "user_name": author.word(("Newton", "Isaac")),
        "type": write.one_of(ENROLLMENT_TYPES),
        "workflow_state": author.word(ENROLLMENT_STATES),
        "limit_privileges_to_course_section": False,
        "created_at": CREATED_AT,
        "updated_at": write.time(author.moment()),
    }
    write.optional(body, associated_user_id="52", course_uuid="c", user_uuid="")
    return author.event("enrollment", write, body)


def _enrollment_state(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {
        "enrollment_id": write.id(author.number(4)),
        "state": author.word(DATE_STATES),
        "state_is_current": True,
        "access_is_current": True,
        "restricted_access": False,
    }
    write.optional(body, state_started_at="2019-10-05 05:38:00 -0800")
    author.undeclared_updated_at(write, body)
    return author.event("enrollment_state", write, body)


def _course(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {
        "course_id": write.id(author.word(COURSES)),
        "uuid": "",
        "account_id": write.id(1),
        "name": author.word(("Optics", "Alchemy")),
        "created_at": CREATED_AT,
        "updated_at": write.time(author.moment()),
        "workflow_state": author.word(COURSE_STATES),
    }
    write.optional(body, account_uuid="a")
    return author.event("course", write, body)


def _section(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {
        "course_section_id": write.id(author.number(3)),
        "course_id": write.id(author.word(COURSES)),
        "root_account_id": "1",
        "name": author.word(("Monday", "Tuesday")),
        "workflow_state": author.word(SECTION_STATES),
    }
    write.optional(
        body,
        nonxlist_course_id="1",
        sis_source_id="007",
        integration_id=7,
        default_section=False,
        stuck_sis_fields=["name"],
        end_at=CREATED_AT,
    )
    author.undeclared_updated_at(write, body)
    return author.event("course_section", write, body)


def _group(author: _Author) -> TypedEvent:
    write = author.writing()
    context_type, context = author.word(CONTEXTS)
    body = {
        "group_id": write.id(author.number(3)),
        "group_name": author.word(("Prisms", "Lenses")),
        "uuid": "g",
        "context_type": context_type,
        "context_id": write.id(context),
        "account_id": "1",
        "workflow_state": author.word(GROUP_STATES),
    }
    write.optional(body, group_category_id=61, group_category_name="Instruments", max_membership=0)
    author.undeclared_updated_at(write, body)
    return author.event("group", write, body)


def _membership(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {
        "group_membership_id": write.id(author.number(4)),
        "group_id": write.id(author.number(3)),
        "user_id": write.one_of(("21070000000000051", "51", 51, "90000000000051")),
        "group_name": author.word(("Prisms", "Lenses")),
        "workflow_state": author.word(MEMBERSHIP_STATES),
    }
    write.optional(
        body, group_category_id="61", group_category_name="", context_type="Course", context_id="3"
    )
    author.undeclared_updated_at(write, body)
    return author.event("group_membership", write, body)


def _user(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {
        "user_id": write.id(author.number(2)),
        "uuid": "u",
        "name": author.word(("Newton", "Isaac")),
        "short_name": "",
        "workflow_state": author.word(USER_STATES),
        "created_at": CREATED_AT,
        "updated_at": write.time(author.moment()),
    }
    write.optional(body, user_login="isaac", user_sis_id=7)
    return author.event("user", write, body)


_USERS = ("21070000000000051", "51", 51, "90000000000051")


def _enrollment_snapshot(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {
        "enrollment_id": write.id(author.number(4)),
        "course_id": write.id(author.word(COURSES)),
        "course_section_id": write.id(author.number(3)),
        "user_id": write.one_of(_USERS),
        "type": write.one_of(ENROLLMENT_TYPES),
        "workflow_state": author.word(ENROLLMENT_STATES),
    }
    return author.snapshot(
        "enrollment",
        write,
        body,
        user_name="Isaac N.",
        limit_privileges_to_course_section=True,
        created_at=CREATED_AT,
        updated_at=write.time(author.moment()),
        associated_user_id="53",
    )


def _section_snapshot(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {
        "course_section_id": write.id(author.number(3)),
        "course_id": write.id(author.word(COURSES)),
        "workflow_state": "active",
    }
    author.undeclared_updated_at(write, body)
    return author.snapshot(
        "section", write, body, name="Friday", nonxlist_course_id="2", sis_source_id=8, end_at=None
    )


def _course_snapshot(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {
        "course_id": write.id(author.word(COURSES)),
        "workflow_state": author.word(COURSE_STATES),
    }
    author.undeclared_updated_at(write, body)
    return author.snapshot("course", write, body, name="Gravity", uuid="c", account_id="2")


def _group_snapshot(author: _Author) -> TypedEvent:
    write = author.writing()
    context_type, context = author.word(CONTEXTS)
    body = {
        "group_id": write.id(author.number(3)),
        "context_type": context_type,
        "context_id": write.id(context),
        "workflow_state": "available",
    }
    return author.snapshot(
        "group", write, body, group_name="Mirrors", group_category_id=62, max_membership=5
    )


def _membership_snapshot(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {
        "group_membership_id": write.id(author.number(4)),
        "group_id": write.id(author.number(3)),
        "user_id": write.one_of(_USERS),
        "workflow_state": author.word(MEMBERSHIP_STATES),
    }
    return author.snapshot("membership", write, body)


def _user_snapshot(author: _Author) -> TypedEvent:
    write = author.writing()
    body = {"user_id": write.id(author.number(2))}
    if author.word((False, False, True)):
        body["workflow_state"] = author.word(USER_STATES)
    return author.snapshot(
        "user", write, body, name="Sir Isaac", short_name="I.", user_login=None, user_sis_id="8"
    )


SOURCES = (
    _enrollment,
    _enrollment_state,
    _section,
    _course,
    _enrollment,
    _group,
    _membership,
    _membership,
    _user,
    _enrollment_snapshot,
    _section_snapshot,
    _course_snapshot,
    _group_snapshot,
    _membership_snapshot,
    _user_snapshot,
)
"""Functions that write the events of a history. Enrollments and memberships depend on the others,
so there are twice as many.
"""


@st.composite
def _events(draw: Draw, write: Callable[[_Author], TypedEvent], era: datetime) -> TypedEvent:
    return write(_Author(draw, era))


_lists = cache(lambda write, era, maximum: st.lists(_events(write, era), max_size=maximum))


@st.composite
def histories(draw: Draw, maximum: int = 120) -> tuple[TypedEvent, ...]:
    """Histories of up to ``maximum`` different events, about 25 on average, in arbitrary order. All
    are valid by their schemas.
    """
    era = draw(st.sampled_from(ERAS))
    # one list for each source: lists are short on average, and each can shrink to nothing
    sources = [draw(_lists(write, era, maximum // len(SOURCES))) for write in SOURCES]
    # shrinking makes copies of the simplest event
    return tuple(dict.fromkeys(event for source in sources for event in source))


@st.composite
def deliveries(draw: Draw, history: Sequence[TypedEvent]) -> list[TypedEvent]:
    """Deliveries of a history: all events in any order, some of them repeated, with the same bytes
    or with other bytes of the same JSON.
    """
    arrived = list(draw(st.permutations(history)))
    if history:
        repetitions = st.tuples(
            st.integers(0, len(history) - 1), st.integers(0, len(history)), st.booleans()
        )
        for index, place, rewritten in draw(st.lists(repetitions, max_size=len(history))):
            arrived.insert(place, _rewritten(history[index]) if rewritten else history[index])
    return arrived


def _rewritten(event: TypedEvent) -> TypedEvent:
    """Other bytes of the same event: other spaces, and another order of fields."""
    parts = {
        part: dict(reversed(fields.items()))
        for part, fields in reversed(orjson.loads(event.value).items())
    }
    return TypedEvent(event.name, orjson.dumps(parts, option=orjson.OPT_INDENT_2))


class Choices:
    """An endless stream of small numbers, which decide on chunks, order of inputs and crashes.
    Shrinks to zeros.
    """

    def __init__(self, stream: bytes) -> None:
        self._stream = stream
        self._taken = 0

    def __repr__(self) -> str:
        return f"Choices({self._stream!r})"

    def below(self, bound: int) -> int:
        """A number from 0, below a bound of 1 to 256."""
        taken = self._stream[self._taken % len(self._stream)]
        self._taken += 1
        return taken % bound

    def often(self, per_cent: int) -> bool:
        """True with a probability in percent; shrinks to False."""
        return self.below(100) >= 100 - per_cent


def choices(length: int = 256) -> st.SearchStrategy[Choices]:
    """Streams of decisions that repeat after ``length`` decisions."""
    return st.binary(min_size=length, max_size=length).map(Choices)


LEFT_OUT = frozenset(
    [
        *(
            "event_name",
            "event_time",
            "created_at",
            "limit_privileges_to_course_section",
            "uuid",
            "account_id",
            "account_uuid",
        ),
        *("state_is_current", "access_is_current", "restricted_access"),
    ]
)
"""Fields that :func:`show` leaves out."""


def show(events: Iterable[TypedEvent]) -> str:
    """A history as text, one line for each event: time, beginning of ce_id (``----``: unusable),
    name and fields.

    ``#7`` is the global id 7 on the home shard, as a string. Other ids are unchanged.
    """
    lines = []
    for name, text in events:
        whole = orjson.loads(text)
        metadata = whole["metadata"] if "metadata" in whole else whole["attributes"]
        event = read_event(name, text, None)
        fields = {
            field: value
            for field, value in {
                **whole["body"],
                "root_account_id": metadata.get("root_account_id"),
            }.items()
            if field not in LEFT_OUT
        }
        if fields["root_account_id"] == ROOT_ACCOUNTS[0]:
            del fields["root_account_id"]
        rendered = re.sub(
            rf'"{HOME_SHARD}0*([1-9][0-9]*)"',
            r"#\1",
            " ".join(f"{field}={orjson.dumps(value).decode()}" for field, value in fields.items()),
        )
        lines.append(
            f"{metadata['event_time']:30} {event.version.ce_id[:4] if event else '----'} "
            f"{name:24} {rendered}"
        )
    return "\n".join(lines)
