"""The SQS server of demo and tests."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

from moto.core.base_backend import BackendDict
from moto.sqs.models import Queue, sqs_backends

from rollcall.sandbox.canvas.sqs_server import start_server


def queue() -> Any:
    """A queue without a server."""
    assert isinstance(sqs_backends, BackendDict)
    return sqs_backends["123456789012"]["us-east-1"].create_queue("races", {})


class Message:
    """A message as the queue sees it."""

    visible, delayed = True, False

    def __init__(self, handle: str, on_search: Callable[[], object] = lambda: None) -> None:
        self.handle = handle
        self.all_receipt_handles = {handle}
        self._on_search = on_search

    def had_receipt_handle(self, handle: str) -> bool:
        """Whether it was received with this handle."""
        self._on_search()
        return handle == self.handle


def test_messages_that_are_deleted_at_the_same_time_are_both_deleted() -> None:
    """As upstream deletes, the last one would be there again."""
    start_server().stop()
    races = queue()
    others: list[Thread] = []

    def delete_another() -> None:
        if not others:
            others.append(Thread(target=Queue.delete_message, args=(races, "last")))
            others[0].start()
            others[0].join(0.2)  # it waits for the deletion of the first one

    races._messages += [Message("first"), Message("middle", delete_another), Message("last")]
    Queue.delete_message(races, "first")
    others[0].join()
    assert [kept.handle for kept in races._messages] == ["middle"]


def test_messages_may_be_received_while_others_are() -> None:
    """Upstream fails if the set of received messages changes while it is read."""
    start_server().stop()
    races = queue()

    class Received:
        @property
        def group_id(self) -> str:
            races.pending_messages.add(Message("another"))
            return "group"

    races.pending_messages.update((Received(), Received()))
    assert races.pending_message_groups == {"group"}
