"""What Canvas was seen to have: the latest snapshot of an entity beside its latest event.

``rollcall reconcile`` writes snapshots. The later of event and snapshot counts; of equal times, the
event. A snapshot states some fields of the body. While it counts, the others come from the event.

An entity without snapshot is just its register. An entity with a snapshot is :class:`Reconciled`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import asdict, replace

from rollcall.rosters.fields import Value, fields_of
from rollcall.rosters.registers import Register, as_of, body_fields, latest, register_maker
from rollcall.rosters.typed import TypedEvent
from rollcall.streaming.stages.stage import UnusableError

SNAPSHOT_REASONS: Mapping[str, str] = {
    "snapshot": "Canvas was seen to have it so, and no event is later",
    "absent": "Canvas was seen not to have it any more, and no event is later",
}
"""The state_reason of rows whose snapshot counts, with its meaning."""

SNAPSHOT_RANK = -1
"""Of equal times, every event is later than a snapshot."""

_DESCRIPTIONS: Mapping[str, tuple[str, ...]] = {
    "user_id": ("user_name", "user_uuid"),
    "course_id": ("course_uuid",),
    "account_id": ("account_uuid",),
    "group_category_id": ("group_category_name",),
}
"""Fields that describe the entity of an id. An event's description does not fit another id."""

RegisterT = TypeVar("RegisterT", bound=Register)


class Snapshot(Struct, Generic[RegisterT], array_like=True, frozen=True, gc=False):
    """A snapshot of an entity."""

    register: RegisterT
    """As of an event. event_time is a time at which Canvas surely had what it showed."""
    is_present: bool
    """Whether Canvas has the entity."""
    unstated: int
    """Bit i is 1 if the snapshot does not state field i of the register."""


@dataclass(frozen=True, slots=True)
class Reconciled(Generic[RegisterT]):
    """An entity with a snapshot. As a version, it is its register that counts.

    A dataclass, because JSON then tells it from a register: this is an object, that an array.
    """

    event: RegisterT | None
    snapshot: Snapshot[RegisterT]

    @property
    def is_by_snapshot(self) -> bool:
        """Whether the snapshot counts."""
        return latest(self.event, self.snapshot.register) is not self.event

    @property
    def counting(self) -> RegisterT:
        """The register that counts, as it was written."""
        return latest(self.event, self.snapshot.register)

    @property
    def time(self) -> int:
        """event_time of the register that counts."""
        return self.counting.time

    @property
    def rank(self) -> int:
        """Rank of the register that counts."""
        return self.counting.rank

    @property
    def updated_at(self) -> Value:
        """updated_at of the register that counts."""
        return self.counting.updated_at

    @property
    def digest(self) -> str:
        """Digest of the register that counts."""
        return self.counting.digest


Entity: TypeAlias = RegisterT | Reconciled[RegisterT]
"""An entity without or with a snapshot."""


def snapshot_maker(
    register: type[RegisterT], unshown: Mapping[str, str] | None = None
) -> Callable[[TypedEvent], Snapshot[RegisterT]]:
    """A function that makes the snapshot of a typed snapshot event. It raises
    :class:`UnusableError` for an event with a field that a row cannot hold.

    Args:
        register: of the entity.
        unshown: required fields of the register that a snapshot may leave out or have as null, with
            their values for an entity without event.
    """
    make, placeholders = register_maker(register), unshown or {}
    names = tuple(field.name for field in fields_of(register))

    def make_snapshot(event: TypedEvent) -> Snapshot[RegisterT]:
        body = {
            name: value
            for name, value in event.body.items()
            if value is not None or name not in placeholders
        }
        is_present = body.get("present")
        if type(is_present) is not bool:
            raise UnusableError("type: must be true or false", "/body/present")
        unstated = sum(1 << number for number, name in enumerate(names) if name not in body)
        ranked = event._replace(rank=SNAPSHOT_RANK, body={**placeholders, **body})
        return Snapshot(make(ranked), is_present, unstated)

    return make_snapshot


def merged(
    known: Entity[RegisterT] | None, update: RegisterT | Snapshot[RegisterT]
) -> Entity[RegisterT]:
    """The entity with an event or a snapshot; ``known`` if that changes nothing."""
    if isinstance(update, Snapshot):
        return _with_snapshot(known, update)
    if not isinstance(known, Reconciled):
        return latest(known, update)
    event = latest(known.event, update)
    return known if event is known.event else Reconciled(event, known.snapshot)


def _with_snapshot(
    known: Entity[RegisterT] | None, update: Snapshot[RegisterT]
) -> Reconciled[RegisterT]:
    if not isinstance(known, Reconciled):
        return Reconciled(known, update)
    register = latest(known.snapshot.register, update.register)
    return known if register is known.snapshot.register else Reconciled(known.event, update)


def current(entity: Entity[RegisterT]) -> RegisterT:
    """The entity as it is: the event, or the snapshot with the fields of the event that it does not
    state.
    """
    if not isinstance(entity, Reconciled):
        return entity
    event, snapshot = entity.event, entity.snapshot
    if not entity.is_by_snapshot:
        assert event is not None
        return event
    return snapshot.register if event is None else _completed(snapshot, event)


def _completed(snapshot: Snapshot[RegisterT], event: RegisterT) -> RegisterT:
    register = snapshot.register
    unstated = set(_unstated(snapshot))
    kept = set(unstated)
    for identity, description in _DESCRIPTIONS.items():
        if identity not in unstated and getattr(event, identity, None) != getattr(
            register, identity, None
        ):
            kept.difference_update(description)
    return replace(register, **{name: getattr(event, name) for name in kept})


def reason(entity: Entity[Any], own: str) -> str:
    """The state_reason of an entity whose state no other entity decides.

    Args:
        own: the reason if the event counts.
    """
    if not isinstance(entity, Reconciled) or not entity.is_by_snapshot:
        return own
    return "snapshot" if entity.snapshot.is_present else "absent"


def roster_row(
    fields: Mapping[str, Any], state: str, state_reason: str, time: int, entity: Entity[Any]
) -> dict[str, Any]:
    """The value of a roster record.

    Args:
        fields: of the row, but those at its end.
        time: event_time of the latest event or snapshot that contributes, microseconds since the
            epoch.
        entity: the entity of the row.
    """
    row = {**fields, "state": state, "state_reason": state_reason, "as_of": as_of(time)}
    if isinstance(entity, Reconciled):
        row["snapshot_at"] = as_of(entity.snapshot.register.time)
        row["history"] = _history(entity)
    return row


def _history(entity: Reconciled[Any]) -> dict[str, Any]:
    event, snapshot = entity.event, entity.snapshot
    stated = asdict(snapshot.register)
    unstated = set(_unstated(snapshot))
    shown = {
        "snapshot": {
            "event_time": as_of(snapshot.register.time),
            "present": snapshot.is_present,
            **{name: stated[name] for name in _names(snapshot) if name not in unstated},
        }
    }
    if event is None:
        return shown
    return {"event": {"event_time": as_of(event.time), **body_fields(event)}, **shown}


def _unstated(snapshot: Snapshot[Any]) -> Iterator[str]:
    for number, name in enumerate(_names(snapshot)):
        if snapshot.unstated >> number & 1:
            yield name


def _names(snapshot: Snapshot[Any]) -> list[str]:
    register: type[Register] = type(snapshot.register)
    return [field.name for field in fields_of(register)]
