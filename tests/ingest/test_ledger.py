"""The ledger of messages in hand, against a queue that delivers twice, in any order, and refuses.

The rules are those of docs/reliability.md. Each wrong ledger breaks one of them, and must be found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rollcall.ingest.sqs.ledger import (
    BATCH,
    DELETE_ATTEMPTS,
    KEEP_SECONDS,
    MOST_BYTES,
    MOST_BYTES_OF_A_MESSAGE,
    MOST_MESSAGES,
    Ledger,
    Receipt,
    Reception,
)
from tests.examples import examples

VISIBILITY = 100.0
REMEMBERED = 6
ALL = [f"m{number}" for number in range(12)]
IDS = st.sampled_from(ALL)
BOOLEANS = st.booleans()


class QueueAndKafka(RuleBasedStateMachine):
    """A queue and Kafka, as they truly are, around a ledger."""

    ledger_class: ClassVar[Callable[..., Ledger]] = Ledger

    @initialize()
    def begin(self) -> None:
        self.ledger = type(self).ledger_class(VISIBILITY, most_remembered=REMEMBERED)
        self.now = 0.0
        self.handles = 0
        self.latest: dict[str, str] = {}
        """The latest handle of each message in hand, as the queue knows it."""
        self.visible_from: dict[str, float] = {}
        self.received: dict[str, float] = {}
        self.producing: dict[str, int] = {}
        """Number of running writes."""
        self.size: dict[str, int] = {}
        self.acknowledged: list[str] = []
        """The latest acknowledgement last."""
        self.deleting: list[list[Receipt]] = []
        self.failures: dict[tuple[str, str], int] = {}

    @property
    def remembered(self) -> set[str]:
        return set(self.acknowledged[-REMEMBERED:])

    @rule(message_ids=st.one_of(st.lists(IDS, min_size=1, max_size=3), st.just(ALL)))
    def deliver(self, message_ids: list[str]) -> None:
        for message_id in message_ids:
            self.deliver_one(message_id, size=len(self.producing) + 1)

    def deliver_one(self, message_id: str, size: int) -> None:
        self.handles += 1
        handle = f"h{self.handles}"
        was_in_hand = message_id in self.latest
        reception = self.ledger.receive(
            Receipt(message_id, handle), size=size, sent_ms=7, asked=self.now
        )
        if was_in_hand:
            assert reception is not Reception.PRODUCE, "written twice while in hand"
        elif message_id in self.remembered:
            assert reception is Reception.DELETE, "written although Kafka has it"
        else:
            assert reception is Reception.PRODUCE, "never written"
            self.producing[message_id] = self.producing.get(message_id, 0) + 1
            self.size[message_id] = size
            self.received[message_id] = self.now
        if reception is Reception.DELETE:
            assert message_id in self.acknowledged, "deleted although Kafka does not have it"
        self.latest[message_id] = handle
        self.visible_from[message_id] = self.now + VISIBILITY

    @precondition(lambda self: any(self.producing.values()))
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        running = sorted(name for name, count in self.producing.items() if count)
        for message_id in [data.draw(st.sampled_from(running))] if data.draw(BOOLEANS) else running:
            self.acknowledge_one(message_id)

    def acknowledge_one(self, message_id: str) -> None:
        self.producing[message_id] -= 1
        if message_id in self.acknowledged:
            self.acknowledged.remove(message_id)
        self.acknowledged.append(message_id)
        self.size.pop(message_id, None)
        self.received.pop(message_id, None)
        self.ledger.produced(message_id)

    @precondition(lambda self: any(self.producing.values()))
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        message_id = data.draw(
            st.sampled_from(sorted(name for name, count in self.producing.items() if count))
        )
        if message_id in self.acknowledged:
            return
        self.producing[message_id] -= 1
        self.ledger.refused(message_id)
        self.forget(message_id)

    def forget(self, message_id: str) -> None:
        for known in (self.latest, self.visible_from, self.size, self.received):
            known.pop(message_id, None)

    @rule()
    def ask_to_delete(self) -> None:
        has_some = self.ledger.deletable > 0
        batch = self.ledger.to_delete()
        assert bool(batch) == has_some
        names = [receipt.message_id for receipt in batch]
        assert len(names) <= BATCH
        assert len(set(names)) == len(names), "one message twice in a call"
        running = {receipt for call in self.deleting for receipt in call}
        for receipt in batch:
            assert receipt.message_id in self.acknowledged, "deleted before Kafka has it"
            assert receipt.handle == self.latest[receipt.message_id], "an old handle"
            assert receipt not in running, "deleted by two calls at once"
        if batch:
            self.deleting.append(batch)

    @rule()
    def refuse_to_delete(self) -> None:
        """The queue refuses until the ledger gives up."""
        for _ in range(DELETE_ATTEMPTS):
            self.ask_to_delete()
            if self.deleting:
                self.answer(self.deleting.pop(), "refused")

    @precondition(lambda self: self.deleting)
    @rule(data=st.data(), answer=st.sampled_from(["deleted", "refused", "none"]))
    def answer_delete(self, data: st.DataObject, answer: str) -> None:
        batch = self.deleting.pop(data.draw(st.integers(0, len(self.deleting) - 1)))
        self.answer(batch, answer)

    def answer(self, batch: list[Receipt], answer: str) -> None:
        if answer == "none":
            self.ledger.postponed(batch)
            return
        for receipt in batch:
            is_latest = self.latest.get(receipt.message_id) == receipt.handle
            if answer == "deleted":
                self.ledger.deleted(receipt)
                if is_latest:
                    self.forget(receipt.message_id)
                continue
            stays = self.ledger.not_deleted(receipt)
            if is_latest:
                key = (receipt.message_id, receipt.handle)
                self.failures[key] = self.failures.get(key, 0) + 1
                assert stays == (self.failures[key] < DELETE_ATTEMPTS)
                if not stays:
                    self.forget(receipt.message_id)

    @rule(seconds=st.sampled_from([1.0, VISIBILITY / 4, KEEP_SECONDS / 2]))
    def wait(self, seconds: float) -> None:
        """Time passes in steps, each with a heartbeat."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + VISIBILITY / 4)
            for message_id in self.ledger.let_go(self.now):
                assert self.now - self.received[message_id] >= KEEP_SECONDS
                self.forget(message_id)
            assert all(moment > self.now for moment in self.visible_from.values()), "visible"
            receipts = self.ledger.to_extend(self.now)
            for receipt in receipts:
                assert receipt.handle == self.latest[receipt.message_id], "an old handle"
                self.visible_from[receipt.message_id] = self.now + VISIBILITY
                self.ledger.extended(receipt, self.now)
            for message_id, moment in self.received.items():
                assert self.now - moment < KEEP_SECONDS, f"{message_id} is kept too long"

    @invariant()
    def what_is_in_hand_stays_invisible(self) -> None:
        if not hasattr(self, "ledger"):
            return
        assert all(moment > self.now for moment in self.visible_from.values()), "visible to others"

    @invariant()
    def the_counts_are_right(self) -> None:
        if not hasattr(self, "ledger"):
            return
        assert len(self.ledger) == len(self.latest)
        assert self.ledger.bytes == sum(self.size.values())
        assert self.ledger.unproduced == len(self.received)

    def teardown(self) -> None:
        if not hasattr(self, "ledger"):
            return
        released = list(self.ledger.to_release())
        assert {receipt.message_id for receipt in released} == set(self.received)
        assert all(self.latest[name] == handle for name, handle in released)


class DeletesWhatIsReceived(Ledger):
    def receive(self, receipt: Receipt, **message: Any) -> Reception:
        reception = super().receive(receipt, **message)
        self._entries[receipt.message_id].is_produced = True
        return reception


class KeepsTheFirstHandle(Ledger):
    def receive(self, receipt: Receipt, **message: Any) -> Reception:
        if (entry := self._entries.get(receipt.message_id)) is not None:
            receipt = Receipt(receipt.message_id, entry.handle)
        return super().receive(receipt, **message)


class WritesDuplicatesAgain(Ledger):
    def receive(self, receipt: Receipt, **message: Any) -> Reception:
        super().receive(receipt, **message)
        return Reception.PRODUCE


class ForgetsWhatItHasWritten(Ledger):
    def produced(self, message_id: str) -> None:
        super().produced(message_id)
        self._remembered.clear()


class RemembersWhatItHasReceived(Ledger):
    def receive(self, receipt: Receipt, **message: Any) -> Reception:
        reception = super().receive(receipt, **message)
        self._remembered[receipt.message_id] = None
        return reception


class DeletesTheSameAgainAtOnce(Ledger):
    def to_delete(self) -> list[Receipt]:
        batch = super().to_delete()
        self.postponed(batch)
        return batch


class DeletesTooMany(Ledger):
    def to_delete(self) -> list[Receipt]:
        return super().to_delete() + super().to_delete()


class TrustsAnOldHandle(Ledger):
    def deleted(self, receipt: Receipt) -> None:
        self._drop(receipt.message_id)


class RetriesForEver(Ledger):
    def not_deleted(self, receipt: Receipt) -> bool:
        self.postponed([receipt])
        return True


class ExtendsTooLate(Ledger):
    def to_extend(self, now: float) -> list[Receipt]:
        return [
            Receipt(message_id, entry.handle)
            for message_id, entry in self._entries.items()
            if entry.visible_from <= now
        ]


class ExtendsOnlyUnwritten(Ledger):
    def to_extend(self, now: float) -> list[Receipt]:
        return [
            receipt
            for receipt in super().to_extend(now)
            if not self._entries[receipt.message_id].is_produced
        ]


class NeverLetsGo(Ledger):
    def let_go(self, now: float) -> list[str]:
        return []


class ReleasesWhatIsWritten(Ledger):
    def to_release(self) -> Any:
        return [Receipt(name, entry.handle) for name, entry in self._entries.items()]


class CountsBytesForEver(Ledger):
    def refused(self, message_id: str) -> bool:
        size = self._bytes
        first = super().refused(message_id)
        self._bytes = size
        return first


WRONG = (
    DeletesWhatIsReceived,
    KeepsTheFirstHandle,
    WritesDuplicatesAgain,
    ForgetsWhatItHasWritten,
    RemembersWhatItHasReceived,
    DeletesTheSameAgainAtOnce,
    DeletesTooMany,
    TrustsAnOldHandle,
    RetriesForEver,
    ExtendsTooLate,
    ExtendsOnlyUnwritten,
    NeverLetsGo,
    ReleasesWhatIsWritten,
    CountsBytesForEver,
)


@pytest.mark.hypothesis  # for tests/test_all_examples.py; @given would set it
def test_any_course_of_events() -> None:
    """Rows 1 to 6 of the failure table: nothing is deleted before Kafka has it, visibility never
    runs out, old handles are not used, failures are tried again, and then left to the queue.
    """
    run_state_machine_as_test(
        QueueAndKafka,
        settings=settings(
            max_examples=examples(300), stateful_step_count=40, deadline=None, print_blob=False
        ),
    )


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_a_wrong_ledger_is_found(wrong: type[Ledger]) -> None:
    class Machine(QueueAndKafka):
        ledger_class = wrong

    with pytest.raises((AssertionError, KeyError)):
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=300,
                stateful_step_count=40,
                deadline=None,
                print_blob=False,
                database=None,
                derandomize=True,
                report_multiple_bugs=False,
                phases=[phase for phase in settings().phases if phase.name == "generate"],
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_receiving_stops_in_time() -> None:
    """Row 3: there is room for what the open calls may still bring."""
    ledger = Ledger(VISIBILITY)
    number = 0
    while ledger.has_room(4):
        for _ in range(4 * BATCH):
            number += 1
            receipt = Receipt(f"m{number}", "h")
            ledger.receive(receipt, size=10, sent_ms=None, asked=0)
    assert MOST_MESSAGES - 4 * BATCH < len(ledger) <= MOST_MESSAGES
    assert ledger.has_room(0)

    large = Ledger(VISIBILITY)
    number = 0
    while large.has_room(1):
        for _ in range(BATCH):
            number += 1
            receipt = Receipt(f"m{number}", "h")
            large.receive(receipt, size=MOST_BYTES_OF_A_MESSAGE, sent_ms=None, asked=0)
    assert MOST_BYTES - BATCH * MOST_BYTES_OF_A_MESSAGE < large.bytes <= MOST_BYTES


def test_a_refused_message_is_reported_once() -> None:
    """Row 7: a record that Kafka refuses stays in the queue and blocks nothing."""
    ledger = Ledger(VISIBILITY)
    for first in (True, False):
        receipt = Receipt("m1", f"h{first}")
        reception = ledger.receive(receipt, size=5, sent_ms=None, asked=0)
        assert reception is Reception.PRODUCE
        assert ledger.refused("m1") is first
        assert len(ledger) == 0
        assert ledger.bytes == 0
        assert ledger.to_delete() == []


def test_the_oldest_message_in_hand() -> None:
    ledger = Ledger(VISIBILITY)
    assert ledger.oldest_sent_ms is None
    for number, sent in enumerate((300, None, 200)):
        ledger.receive(Receipt(f"m{number}", "h"), size=1, sent_ms=sent, asked=0)
    assert ledger.oldest_sent_ms == 200
