"""Histories of typed events that no sane Canvas would write, small and dense, and ways in which
they arrive. For hypothesis.

Few entities, few moments and few states, so that everything meets everything: equal times, moves
there and back, states without enrollments, one entity under several names. Everything is built from
small integers and shrinks towards zero: to fewer events, to the first entity, the first moment, the
first form of writing.
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
"""The shard of nearly all entities. Try it, and None, as the configured one."""

Draw = Callable[[st.SearchStrategy[Any]], Any]

ERAS = (
    datetime(2019, 11, 1, 19, 11, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2300, 2, 28, 23, 59, 59, tzinfo=UTC),
)
"""When a history happens. Before 1970 times are negative; after 2242 a float of seconds no longer
tells microseconds apart.
"""

MOMENTS = (0, 1_000_000, 2_000_000, 1, 999, 1_000, 60_000_000, 3_000_000)
"""The moments of a history, in microseconds: some are one to the second, or to the millisecond."""

# What occurs more than once is what other things happen to.
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
"""The numbers of courses: one of them is where most things happen."""

CONTEXTS = (("Course", 1), ("Course", 2), ("Account", 1), ("Course", 3), ("User", 1))
"""Contexts of groups. The account has the number of a course, and nobody can use a group of a user.
"""

ROOT_ACCOUNTS = (*["21070000000000001"] * 9, 21070000000000001, ..., None, "1", "90000000000001")
"""metadata.root_account_id. Without a global one the shard of local ids is the configured one; the
last is another shard, where all local ids are others.
"""

CREATED_AT = "2019-11-01T19:11:00Z"


# Strategies are made once: to make one takes as long as to draw from it.
_numbers = cache(st.integers)
_words = cache(st.sampled_from)
_PLAIN_OR_ANY = st.just(b"") | st.binary(min_size=5, max_size=5)


class _Writing:
    """Reads decisions on how an event is written off one number, each with the options that it has;
    0 is the first option of each.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def one_of(self, options: Sequence[Any]) -> Any:
        """The next decision."""
        self._number, choice = divmod(self._number, len(options))
        return options[choice]

    def id(self, number: int) -> object:
        """The id of an entity: global or local, a string or a number."""
        whole = HOME_SHARD * SHARD_SIZE + number
        return self.one_of([str(whole)] * 4 + [whole, str(number), number, float(number)])

    def time(self, moment: datetime) -> str:
        """A time, in one of the forms that Canvas uses."""
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
        """Write fields that may be missing or null, as a newer Canvas and an older one do without
        them.
        """
        for field, value in fields.items():
            written = self.one_of((..., None, value))
            if written is not ...:
                body[field] = written


class _Author:
    """Draws events of one history, in one era."""

    def __init__(self, draw: Draw, era: datetime) -> None:
        self._draw = draw
        self._era = era

    def number(self, most: int) -> int:
        """A number from 1."""
        return int(self._draw(_numbers(1, most)))

    def word(self, words: Sequence[Any]) -> Any:
        """One of some words."""
        return self._draw(_words(words))

    def moment(self) -> datetime:
        """A moment of the history."""
        return self._era + timedelta(microseconds=self._draw(_words(MOMENTS)))

    def writing(self) -> _Writing:
        """How the next event is written. Half of all events are written in the plainest way."""
        # Bytes, because large integers of hypothesis are mostly small ones, and the last decisions
        # would always be the same.
        return _Writing(int.from_bytes(self._draw(_PLAIN_OR_ANY), "big"))

    def undeclared_updated_at(self, write: _Writing, body: dict[str, Any]) -> None:
        """A body whose schema names no updated_at has one now and then: Canvas adds fields without
        notice, and nobody has looked at their types.
        """
        written = write.one_of((..., ..., ..., ..., "time", None, "yesterday", 7))
        if written is not ...:
            body["updated_at"] = write.time(self.moment()) if written == "time" else written

    def event(self, family: str, write: _Writing, body: dict[str, Any]) -> TypedEvent:
        """The event of a body: of the two kinds, at some moment."""
        name = f"{family}_{self.word(('updated', 'created'))}"
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
)
"""What a history is made of. Enrollments and memberships are what the others meet in, so there are
twice as many.
"""


@st.composite
def _events(draw: Draw, write: Callable[[_Author], TypedEvent], era: datetime) -> TypedEvent:
    return write(_Author(draw, era))


_lists = cache(lambda write, era, most: st.lists(_events(write, era), max_size=most))


@st.composite
def histories(draw: Draw, most: int = 72) -> tuple[TypedEvent, ...]:
    """Histories of up to ``most`` events, some 25 on average, each event valid by its schema. Their
    order means nothing, and no two events are the same.
    """
    era = draw(st.sampled_from(ERAS))
    # A list for each source rather than one for all: lists of hypothesis are short on average, and
    # these can shrink to nothing one by one.
    sources = [draw(_lists(write, era, most // len(SOURCES))) for write in SOURCES]
    # What shrinks ends as copies of the plainest event, and copies are no news.
    return tuple(dict.fromkeys(event for source in sources for event in source))


@st.composite
def deliveries(draw: Draw, history: Sequence[TypedEvent]) -> list[TypedEvent]:
    """Ways in which a history arrives: all of it, in any order, some of it more than once, byte by
    byte the same or only the same as JSON.
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
    """The same event in other bytes: other spaces, and its fields in another order."""
    parts = {
        part: dict(reversed(fields.items()))
        for part, fields in reversed(orjson.loads(event.value).items())
    }
    return TypedEvent(event.name, orjson.dumps(parts, option=orjson.OPT_INDENT_2))


class Choices:
    """An endless stream of small decisions for a harness: where to cut chunks, which of its inputs
    goes on, when it crashes. Shrinks to zeros.
    """

    def __init__(self, stream: bytes) -> None:
        self._stream = stream
        self._taken = 0

    def __repr__(self) -> str:
        return f"Choices({self._stream!r})"

    def below(self, bound: int) -> int:
        """A number from 0 that is less than the bound, which is 1 to 256."""
        taken = self._stream[self._taken % len(self._stream)]
        self._taken += 1
        return taken % bound

    def often(self, per_cent: int) -> bool:
        """True in that many of a hundred cases; False when shrunk."""
        return self.below(100) >= 100 - per_cent


def choices(length: int = 256) -> st.SearchStrategy[Choices]:
    """Streams of decisions, which begin anew after ``length`` of them."""
    return st.binary(min_size=length, max_size=length).map(Choices)


DULL = frozenset(
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
    """A history for the eye, a line for each event: when, the beginning of its ce_id (``----``: it
    cannot be used), what, and what its fields say.

    ``#7`` is the global id of number 7 on the home shard, as a string; other ids stand as they are
    written.
    """
    lines = []
    for name, value in events:
        whole = orjson.loads(value)
        metadata = whole["metadata"] if "metadata" in whole else whole["attributes"]
        event = read_event(name, value, None)
        fields = {
            field: said
            for field, said in {
                **whole["body"],
                "root_account_id": metadata.get("root_account_id"),
            }.items()
            if field not in DULL
        }
        if fields["root_account_id"] == ROOT_ACCOUNTS[0]:
            del fields["root_account_id"]
        said = re.sub(
            rf'"{HOME_SHARD}0*([1-9][0-9]*)"',
            r"#\1",
            " ".join(f"{field}={orjson.dumps(said).decode()}" for field, said in fields.items()),
        )
        lines.append(
            f"{metadata['event_time']:30} {event.version.ce_id[:4] if event else '----'} "
            f"{name:24} {said}"
        )
    return "\n".join(lines)
