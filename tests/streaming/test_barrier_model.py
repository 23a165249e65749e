"""A model of the read barrier (docs/adr/0010): every order of events of a small cluster is gone
through.

Three brokers hold replicas of the log of a group's offsets. One leads it, as the group's
coordinator; a newer one may be elected while an older one does not know, and answers. A lane has
committed; another process opens the lane: it fences, writes a nonce, and asks. What it begins with
must never lie before what was committed, and the controls show that it does as soon as one part of
the rule is taken away.

What the model takes from Kafka: a leader acknowledges what all replicas that count as in sync hold,
and they are at least two; which ones count, and who is elected from them, the controller decides,
and takes a replica out of them only for the leader that it knows; a replica follows the leader of
the latest epoch that it has heard of, and cuts off what that one does not have; a coordinator
answers from the acknowledged part of its own log; opening a transactional id ends the last
transaction of its owner, and lets it write no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import pytest

T = TypeVar("T")

BROKERS = (0, 1, 2)
LEAST_IN_SYNC = 2
EPOCHS = 3
COMMITS = 2
"""How often the first owner may commit."""

NONCE = -1
"""The entry of the log that is the nonce; the others are the offsets that were committed."""


class State(NamedTuple):
    """Of the cluster and the two processes."""

    logs: tuple[tuple[int, ...], ...] = ((), (), ())
    """By broker, what it holds."""
    known: tuple[int, ...] = (0, 0, 0)
    """By broker, the latest epoch that it knows."""
    leaders: tuple[int, ...] = (0,)
    """By epoch, who was elected."""
    in_sync: frozenset[int] = frozenset(BROKERS)
    """As the controller has it."""
    believed: tuple[frozenset[int], ...] = (frozenset(BROKERS),) * 3
    """As each broker has it, if it leads."""
    acknowledged: tuple[int, ...] = (0, 0, 0)
    """By broker, how much of its log it knows to be acknowledged."""
    written: int = 0
    """How often the first owner has written an offset."""
    committed: int = 0
    """The last offset that was acknowledged to it."""
    fenced: bool = False
    start: int | None = None
    """Where the second owner begins."""


class Rule(NamedTuple):
    """What the second owner does; a control does less."""

    waits_for_nonce: bool = True
    """It takes only an answer that shows the nonce."""
    fences_first: bool = True
    """It writes the nonce once nobody else can commit."""
    acknowledged_only: bool = True
    """A coordinator answers from what is acknowledged. Kafka's does."""


def leads(state: State, broker: int) -> bool:
    """Whether a broker takes itself for the leader."""
    return state.leaders[state.known[broker]] == broker


def elections(state: State) -> Iterator[State]:
    """The controller elects another broker, or takes one out of those in sync, or in again; a
    broker hears of an election.
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
    if state.known[leader] == epoch:  # the controller does what the leader that it knows asks for
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
    """How many entries two logs begin with."""
    return next(
        (
            place
            for place, (left, right) in enumerate(zip(one, other, strict=False))
            if left != right
        ),
        min(len(one), len(other)),
    )


def replications(state: State) -> Iterator[State]:
    """A replica fetches the next entry of the leader that it knows; a leader acknowledges what all
    in sync hold.
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
        if not leads(state, leader) or len(believed) < LEAST_IN_SYNC:
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
    """The first owner commits, through whoever takes itself for the leader; the second one fences,
    and writes its nonce likewise.
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
    # Opening waits for the end of the last transaction: what was written is acknowledged, or cut
    # off by an election.
    if not state.fenced and (
        state.committed == state.written or not any(state.written in log for log in state.logs)
    ):
        yield state._replace(fenced=True)


def answers(state: State, rule: Rule) -> Iterator[State]:
    """Whoever takes itself for the coordinator answers the second owner."""
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
    """With another value in one place."""
    return (*values[:place], value, *values[place + 1 :])


def search(rule: Rule) -> tuple[int, State | None]:
    """Go through all states that can be reached. Returns how many starts there were, and one that
    is wrong.
    """
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


def test_no_answer_that_shows_the_nonce_is_older_than_the_barrier() -> None:
    starts, wrong = search(Rule())
    assert wrong is None
    assert starts > 1_000, "the model came to few starts"


@pytest.mark.parametrize(
    "rule", [Rule(waits_for_nonce=False), Rule(fences_first=False), Rule(acknowledged_only=False)]
)
def test_a_part_of_the_rule_is_not_enough(rule: Rule) -> None:
    _starts, wrong = search(rule)
    assert wrong is not None
