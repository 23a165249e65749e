"""A program: ``rollcall rosters`` that suspends or kills itself at one exact moment of one
transaction, optionally without fencing or transactions.

    python interrupted.py [--stage STAGE --moment MOMENT --signal SIGNAL --mark FILE] [--without
        fence|transactions] rosters

A suspended process does not notice it. After it resumes, it writes its pending outputs, unless the
broker refuses them.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from aiokafka import TopicPartition

from rollcall.__main__ import main
from rollcall.kafka.batches import BatchedOutputs
from rollcall.streaming.application import StreamingApplication
from rollcall.streaming.chunks import Halt
from rollcall.streaming.lane import Lane

MOMENTS = ("computed", "written", "committed")
"""The outputs are computed, but not written; they are acknowledged, but not committed; all is
committed.
"""

Write = Callable[[Lane, Any, Halt | None, BatchedOutputs], Awaitable[None]]


class Interruption:
    """Sends a signal to this process once, at a moment of a stage's first transaction with a
    minimum number of records.
    """

    def __init__(
        self, stage: str, moment: str, number: signal.Signals, mark: Path, min_records: int
    ) -> None:
        self._stage = stage
        self._moment = moment
        self._number = number
        self._mark = mark
        self._min_records = min_records
        self._is_over = False

    def matches(self, lane: Lane, outputs: BatchedOutputs) -> bool:
        """Whether to interrupt this transaction. True once."""
        if (
            self._is_over
            or lane.agent.name != self._stage
            or records_in(outputs) < self._min_records
        ):
            return False
        self._is_over = True
        return True

    def at(self, moment: str) -> None:
        """Send the signal if this is the moment."""
        if moment == self._moment:
            self._mark.touch()
            os.kill(os.getpid(), self._number)


class _InterruptedOutputs(BatchedOutputs):
    """The same batches. Interrupts after their acknowledgement."""

    __slots__ = ("_interruption",)

    def __init__(self, outputs: BatchedOutputs, interruption: Interruption) -> None:
        super().__init__(outputs._producer)
        self._batches = outputs._batches
        self._interruption = interruption

    async def send(self) -> dict[TopicPartition, int]:
        """See :class:`BatchedOutputs`."""
        ends = await super().send()
        self._interruption.at("written")
        return ends


def records_in(outputs: BatchedOutputs) -> int:
    """Number of records in the batches."""
    return sum(batch.count for place in outputs._batches.values() for batch in place.batches)


def interrupt(interruption: Interruption) -> None:
    """Patch lanes to be interrupted."""
    original = cast(Write, Lane._write)

    async def write(lane: Lane, positions: Any, halt: Halt | None, outputs: BatchedOutputs) -> None:
        if not interruption.matches(lane, outputs):
            await original(lane, positions, halt, outputs)
            return
        interruption.at("computed")
        await original(lane, positions, halt, _InterruptedOutputs(outputs, interruption))
        interruption.at("committed")

    Lane._write = write  # type: ignore[method-assign,assignment]


def without_fence() -> None:
    """Give each process its own transactional ids, so that none fences another."""
    new_producer = StreamingApplication._new_producer

    def new_own_producer(application: StreamingApplication, transactional_id: str) -> Any:
        return new_producer(application, f"{transactional_id}-{os.getpid()}")

    StreamingApplication._new_producer = new_own_producer  # type: ignore[method-assign,assignment]


def without_transactions() -> None:
    """Write outputs in one transaction, and table and offsets in another one after it."""
    original = cast(Write, Lane._write)

    async def write(lane: Lane, positions: Any, halt: Halt | None, outputs: BatchedOutputs) -> None:
        others, table = BatchedOutputs(outputs._producer), BatchedOutputs(outputs._producer)
        for place, batches in outputs._batches.items():
            (table if place[0].endswith("-changelog") else others)._batches[place] = batches
        await original(lane, {}, None, others)
        await original(lane, positions, halt, table)

    Lane._write = write  # type: ignore[method-assign,assignment]


def run() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stage", default="course")
    parser.add_argument("--moment", choices=MOMENTS)
    parser.add_argument(
        "--signal", choices=[number.name for number in signal.Signals], default="SIGSTOP"
    )
    parser.add_argument(
        "--min-records", type=int, default=1, help="minimum number of records in the transaction"
    )
    parser.add_argument("--mark", type=Path, help="a file that is created just before the signal")
    parser.add_argument("--without", choices=["fence", "transactions"], action="append", default=[])
    parser.add_argument("command")
    options = parser.parse_args()
    if "fence" in options.without:
        without_fence()
    if options.moment is not None:
        interrupt(
            Interruption(
                options.stage,
                options.moment,
                signal.Signals[options.signal],
                options.mark,
                options.min_records,
            )
        )
    if "transactions" in options.without:
        without_transactions()
    sys.argv = ["rollcall", options.command]
    main()


if __name__ == "__main__":
    run()
