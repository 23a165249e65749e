"""Model of the read barrier (docs/adr/0010): checks every order of events in a small cluster.

Three brokers replicate the log of a group's offsets. One leads it, as the group's coordinator. A
newer one may be elected while an older one does not know, and still answers. A lane has committed.
Another process opens the lane: it fences, writes a nonce, and reads the offset. It must never start
before the committed offset. The controls show that it does as soon as one part of the rule is
removed.

Assumptions about Kafka: a leader acknowledges what all in-sync replicas have, and they are at least
two. The controller decides which ones are in sync, elects one of them, and removes a replica only
for the leader that it knows. A replica follows the leader of the latest epoch that it has heard of,
and truncates what that leader does not have. A coordinator answers from the acknowledged part of
its own log. Opening a transactional id ends the last transaction of its owner and fences the owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import pytest

T = TypeVar("T")

BROKERS = (0, 1, 2)
MIN_IN_SYNC = 2
EPOCHS = 3
COMMITS = 2
"""Maximum commits of the first owner."""

NONCE = -1
"""Log entry of the nonce; other entries are committed offsets."""


class State(NamedTuple):
    """State of the cluster and the two processes."""

    logs: tuple[tuple[int, ...], ...] = ((), (), ())
    """Log of each broker."""
    known: tuple[int, ...] = (0, 0, 0)
    """Latest epoch known to each broker."""
    leaders: tuple[int, ...] = (0,)
    """Elected broker of each epoch."""
    in_sync: frozenset[int] = frozenset(BROKERS)
    """In-sync replicas, as the controller knows them."""
    believed: tuple[frozenset[int], ...] = (frozenset(BROKERS),) * 3
    """In-sync replicas, as each leading broker knows them."""
    acknowledged: tuple[int, ...] = (0, 0, 0)
    """Length of the log that each broker knows to be acknowledged."""
    written: int = 0
    """Number of offsets written by the first owner."""
    committed: int = 0
    """Last offset acknowledged to the first owner."""
    fenced: bool = False
    start: int | None = None
    """Start position of the second owner."""


class Rule(NamedTuple):
    """Steps of the second owner; a control leaves one out."""

    waits_for_nonce: bool = True
    """Accepts only an answer that shows the nonce."""
    fences_first: bool = True
    """Writes the nonce after nobody else can commit."""
    acknowledged_only: bool = True
    """The coordinator answers from acknowledged entries. Kafka's does."""


def leads(state: State, broker: int) -> bool:
    """Whether a broker considers itself the leader."""
    return state.leaders[state.known[broker]] == broker


def elections(state: State) -> Iterator[State]:
    """The controller elects another broker, removes an in-sync replica or adds one, or a broker
    learns of an election.
    """
    epoch = len(state.leaders) - 1
    leader = state.leaders[epoch]
    for broker in state.in_sync - {leader}:
        if len(state.leaders) < EPOCHS:
            in_sync = state.in_sync - {leader}
            elected = state._replace(leaders=(*state.leaders, broker), in_sync=in_sync)
            yield elected._replace(
                known=put(state.known, broker, epoch + 1),
                believed=put(state.believed, broker, in_sync),
            )
    if state.known[leader] == epoch:  # the controller serves only the current leader
        for broker in BROKERS:
            if broker in state.in_sync - {leader}:
                in_sync = state.in_sync - {broker}
            elif state.known[broker] == epoch and state.logs[broker] == state.logs[leader]:
                in_sync = state.in_sync | {broker}
            else:
                continue
            yield state._replace(in_sync=in_sync, believed=put(state.believed, leader, in_sync))
    for broker in BROKERS:
        if state.known[broker] < epoch:
            log = state.logs[leader]
            same = common(state.logs[broker], log)
            heard = state._replace(
                known=put(state.known, broker, epoch),
                logs=put(state.logs, broker, state.logs[broker][:same]),
            )
            yield heard._replace(
                acknowledged=put(state.acknowledged, broker, min(state.acknowledged[broker], same))
            )


def common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Length of the common prefix of two logs."""
    return next(
        (
            place
            for place, (left, right) in enumerate(zip(one, other, strict=False))
            if left != right
        ),
        min(len(one), len(other)),
    )


def replications(state: State) -> Iterator[State]:
    """A replica fetches the next entry of the leader that it knows, or a leader acknowledges the
    entries of all in-sync replicas.
    """
    for broker in BROKERS:
        epoch = state.known[broker]
        leader = state.leaders[epoch]
        log, mine = state.logs[leader], state.logs[broker]
        if (
            broker != leader
            and state.known[leader] == epoch
            and len(mine) < len(log)
            and mine == log[: len(mine)]
        ):
            yield state._replace(logs=put(state.logs, broker, log[: len(mine) + 1]))
    for leader in BROKERS:
        believed = state.believed[leader]
        if not leads(state, leader) or len(believed) < MIN_IN_SYNC:
            continue
        following = [
            state.logs[broker] if state.known[broker] == state.known[leader] else ()
            for broker in believed
        ]
        upto = min(common(log, state.logs[leader]) for log in following)
        if upto > state.acknowledged[leader]:
            entries = state.logs[leader][:upto]
            committed = max([state.committed, *(entry for entry in entries if entry != NONCE)])
            yield state._replace(
                acknowledged=put(state.acknowledged, leader, upto), committed=committed
            )


def writes(state: State, rule: Rule) -> Iterator[State]:
    """The first owner commits, or the second one fences or writes its nonce. Any broker that
    considers itself the leader accepts their writes.
    """
    for broker in BROKERS:
        if not leads(state, broker):
            continue
        log = state.logs[broker]
        if not state.fenced and state.written < COMMITS and state.committed == state.written:
            yield state._replace(
                logs=put(state.logs, broker, (*log, state.written + 1)), written=state.written + 1
            )
        if (state.fenced or not rule.fences_first) and NONCE not in log:
            yield state._replace(logs=put(state.logs, broker, (*log, NONCE)))
    # opening waits for the end of the last transaction: its entries are acknowledged, or truncated
    # after an election
    if not state.fenced and (
        state.committed == state.written or not any(state.written in log for log in state.logs)
    ):
        yield state._replace(fenced=True)


def answers(state: State, rule: Rule) -> Iterator[State]:
    """A broker that considers itself the coordinator answers the second owner."""
    if not state.fenced:
        return
    for broker in BROKERS:
        if leads(state, broker):
            entries = (
                state.logs[broker][: state.acknowledged[broker]]
                if rule.acknowledged_only
                else state.logs[broker]
            )
            if NONCE in entries or not rule.waits_for_nonce:
                yield state._replace(
                    start=max([entry for entry in entries if entry != NONCE], default=0)
                )


def put(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    """A tuple with one value replaced."""
    return (*values[:place], value, *values[place + 1 :])


def search(rule: Rule) -> tuple[int, State | None]:
    """Search all reachable states. Returns the number of starts, and a state with a wrong start."""
    seen, open_states, starts = {State()}, [State()], 0
    while open_states:
        state = open_states.pop()
        for following in (
            *elections(state),
            *replications(state),
            *writes(state, rule),
            *answers(state, rule),
        ):
            if following.start is not None:
                starts += 1
                if following.start < following.committed:
                    return starts, following
            elif following not in seen:
                seen.add(following)
                open_states.append(following)
    return starts, None


def test_a_start_with_the_nonce_is_never_before_the_commit() -> None:
    starts, wrong = search(Rule())
    assert wrong is None
    assert starts > 1_000, "the model has few starts"


@pytest.mark.parametrize(
    "rule", [Rule(waits_for_nonce=False), Rule(fences_first=False), Rule(acknowledged_only=False)]
)
def test_a_part_of_the_rule_is_not_enough(rule: Rule) -> None:
    _starts, wrong = search(rule)
    assert wrong is not None
