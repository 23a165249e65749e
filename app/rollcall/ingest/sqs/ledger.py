"""Bookkeeping of the messages in hand: received from the queue and not deleted from it yet.

Pure: times are passed in, in seconds of any clock that never goes back.

    received ──▶ produced (Kafka has acknowledged it) ──▶ deleted

Only what Kafka has acknowledged is deleted. A message that the queue delivers once more is the same
message, with a newer receipt handle: an older handle may delete nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

BATCH = 10
"""The most messages of one call of SQS."""

MOST_MESSAGES = 2_000
MOST_BYTES = 64 * 1024**2
MOST_BYTES_OF_A_MESSAGE = 1024**2
"""A limit of SQS."""

KEEP_SECONDS = 15 * 60.0
"""A message that is not acknowledged by then is let go: its visibility ends, and the queue delivers
it again.
"""

MOST_REMEMBERED = 100_000
"""Number of latest acknowledged messages that are not written again."""

DELETE_ATTEMPTS = 3
"""Attempts to delete a message with the same receipt handle. Then it is left to the queue, which
delivers it again with another handle.
"""


class Reception(Enum):
    """What a received message needs."""

    PRODUCE = "produce"
    """It is new: write it."""
    IN_HAND = "in hand"
    """It was received before, and is being worked on."""
    DELETE = "delete"
    """Kafka has it: it is only deleted again."""


class Receipt(NamedTuple):
    """A message and its latest receipt handle."""

    message_id: str
    handle: str


@dataclass(slots=True)
class _Entry:
    handle: str
    size: int
    sent_ms: int | None
    received: float
    visible_from: float
    """When the queue delivers it again, at the earliest."""
    is_produced: bool = False
    is_deleting: bool = False
    attempts: int = 0


class Ledger:
    """Messages in hand.

    Args:
        visibility: seconds for which a received message is invisible to others.
    """

    def __init__(
        self,
        visibility: float,
        *,
        most_messages: int = MOST_MESSAGES,
        most_bytes: int = MOST_BYTES,
        most_remembered: int = MOST_REMEMBERED,
    ) -> None:
        self._visibility = visibility
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._most_remembered = most_remembered
        self._entries: dict[str, _Entry] = {}
        self._remembered: dict[str, None] = {}
        self._refused: dict[str, None] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """Number of messages in hand."""
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Bytes of the messages that Kafka has not acknowledged."""
        return self._bytes

    @property
    def unproduced(self) -> int:
        """Number of messages in hand that Kafka has not acknowledged."""
        return sum(not entry.is_produced for entry in self._entries.values())

    @property
    def oldest_sent_ms(self) -> int | None:
        """When the queue took the oldest message in hand."""
        return min(
            (entry.sent_ms for entry in self._entries.values() if entry.sent_ms is not None),
            default=None,
        )

    def has_room(self, polls: int) -> bool:
        """Whether so many open calls may receive messages, each as many and as large as SQS
        allows.
        """
        return (
            len(self._entries) + polls * BATCH <= self._most_messages
            and self._bytes + polls * BATCH * MOST_BYTES_OF_A_MESSAGE <= self._most_bytes
        )

    def receive(
        self, receipt: Receipt, *, size: int, sent_ms: int | None, asked: float
    ) -> Reception:
        """Take a received message.

        Args:
            size: bytes of its body.
            sent_ms: when the queue took it.
            asked: when the call that received it began: its visibility counts from then at the
                earliest.
        """
        message_id, handle = receipt
        visible_from = asked + self._visibility
        entry = self._entries.get(message_id)
        if entry is not None:
            entry.handle, entry.visible_from, entry.attempts = handle, visible_from, 0
            return Reception.DELETE if entry.is_produced else Reception.IN_HAND
        is_produced = message_id in self._remembered
        self._entries[message_id] = _Entry(
            handle, 0 if is_produced else size, sent_ms, asked, visible_from, is_produced
        )
        self._bytes += self._entries[message_id].size
        return Reception.DELETE if is_produced else Reception.PRODUCE

    def produced(self, message_id: str) -> None:
        """Kafka has acknowledged a message. It may have been let go meanwhile."""
        self._remembered.pop(message_id, None)
        self._remembered[message_id] = None
        if len(self._remembered) > self._most_remembered:
            del self._remembered[next(iter(self._remembered))]
        if (entry := self._entries.get(message_id)) is not None:
            self._bytes -= entry.size
            entry.size = 0
            entry.is_produced = True

    def refused(self, message_id: str) -> bool:
        """Kafka does not take a message: it stays in the queue. Returns whether it is the first
        time, as far as is known.
        """
        self._drop(message_id)
        if message_id in self._refused:
            return False
        self._refused[message_id] = None
        if len(self._refused) > self._most_remembered:
            del self._refused[next(iter(self._refused))]
        return True

    def dropped(self, message_id: str) -> None:
        """A message is left to the queue."""
        self._drop(message_id)

    def to_delete(self) -> list[Receipt]:
        """Up to :data:`BATCH` messages to delete with one call. The answer is reported with
        :meth:`deleted`, :meth:`not_deleted` or :meth:`postponed`.
        """
        batch: list[Receipt] = []
        for message_id, entry in self._entries.items():
            if entry.is_produced and not entry.is_deleting:
                entry.is_deleting = True
                batch.append(Receipt(message_id, entry.handle))
                if len(batch) == BATCH:
                    break
        return batch

    @property
    def deletable(self) -> int:
        """Number of messages for :meth:`to_delete`."""
        return sum(entry.is_produced and not entry.is_deleting for entry in self._entries.values())

    def deleted(self, receipt: Receipt) -> None:
        """The queue says that it has deleted a message. With an older handle than the latest, it
        may not have: the message is deleted again.
        """
        entry = self._entries.get(receipt.message_id)
        if entry is None:
            return
        if entry.handle == receipt.handle:
            self._drop(receipt.message_id)
        else:
            entry.is_deleting = False

    def not_deleted(self, receipt: Receipt) -> bool:
        """The queue has refused to delete a message. Returns False if it is now left to the
        queue.
        """
        entry = self._entries.get(receipt.message_id)
        if entry is None:
            return False
        entry.is_deleting = False
        if entry.handle != receipt.handle:
            return True
        entry.attempts += 1
        if entry.attempts >= DELETE_ATTEMPTS:
            self._drop(receipt.message_id)
            return False
        return True

    def postponed(self, batch: Sequence[Receipt]) -> None:
        """The call to delete messages had no answer: try again."""
        for receipt in batch:
            if (entry := self._entries.get(receipt.message_id)) is not None:
                entry.is_deleting = False

    def to_extend(self, now: float) -> list[Receipt]:
        """Messages of whose visibility at most half is left."""
        return [
            Receipt(message_id, entry.handle)
            for message_id, entry in self._entries.items()
            if entry.visible_from - now <= self._visibility / 2
        ]

    def extended(self, receipt: Receipt, asked: float) -> None:
        """The queue has extended a message's visibility.

        Args:
            asked: when the call began.
        """
        entry = self._entries.get(receipt.message_id)
        if entry is not None and entry.handle == receipt.handle:
            entry.visible_from = max(entry.visible_from, asked + self._visibility)

    def let_go(self, now: float) -> list[str]:
        """Drop what Kafka has not acknowledged for :data:`KEEP_SECONDS`. Returns its ids."""
        old = [
            message_id
            for message_id, entry in self._entries.items()
            if not entry.is_produced and now - entry.received >= KEEP_SECONDS
        ]
        for message_id in old:
            self._drop(message_id)
        return old

    def to_release(self) -> Iterator[Receipt]:
        """At the end: messages that Kafka has not acknowledged, to be made visible at once."""
        return (
            Receipt(message_id, entry.handle)
            for message_id, entry in list(self._entries.items())
            if not entry.is_produced
        )

    def _drop(self, message_id: str) -> None:
        entry = self._entries.pop(message_id, None)
        if entry is not None:
            self._bytes -= entry.size
