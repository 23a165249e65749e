"""The inputs of a stage with the events and the snapshots of an entity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rollcall.record import Record
from rollcall.rosters.entities import Snapshot, merged, snapshot_maker
from rollcall.rosters.registers import RegisterT, register_maker
from rollcall.rosters.typed import Reader, TypedEvent, typed_reader
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Change, Input, Row


def entity_inputs(
    register: type[RegisterT],
    family: str,
    snapshot: str | None,
    key: str,
    shard: int | None,
    *,
    kind: tuple[str, str] | None = None,
    merge: Callable[[Row | None, Any], Row | None] = merged,
    check: Callable[[RegisterT], None] = lambda register: None,
    unshown: Mapping[str, str] | None = None,
) -> dict[str, Input]:
    """The inputs by topic.

    Args:
        register: of the entity.
        family: of its events, ``<family>_created`` and ``<family>_updated``.
        snapshot: event_name of its snapshots; None: it has none.
        key: field of the body with the stage's key.
        shard: of local ids in events without a root account; None: unknown.
        kind: of the rows, and the field of the body with their id. Default: the lead row.
        merge: makes the row with a register or a snapshot.
        check: raises :class:`rollcall.streaming.stages.stage.UnusableError` for a register that no
            row can have.
        unshown: as of :func:`rollcall.rosters.entities.snapshot_maker`.
    """

    def place(event: TypedEvent) -> str:
        return LEAD if kind is None else f"{kind[0]}/{event.id(kind[1])}"

    def event_reader(read: Reader) -> Callable[[Record], Change]:
        make = register_maker(register)

        def read_change(record: Record) -> Change:
            event = read(record)
            made = make(event)
            check(made)
            return Change(event.id(key), place(event), made, event.time / 1_000_000)

        return read_change

    def snapshot_reader(read: Reader) -> Callable[[Record], Change]:
        make = snapshot_maker(register, unshown)

        def read_change(record: Record) -> Change:
            event = read(record)
            made: Snapshot[RegisterT] = make(event)
            check(made.register)
            return Change(event.id(key), place(event), made, event.time / 1_000_000)

        return read_change

    inputs = {
        f"events.{name}": Input(event_reader(typed_reader(name, shard)), merge)
        for name in (f"{family}_created", f"{family}_updated")
    }
    if snapshot is not None:
        inputs[f"events.{snapshot}"] = Input(snapshot_reader(typed_reader(snapshot, shard)), merge)
    return inputs
