"""A program: ``rollcall rosters`` that stops or ends itself at one exact moment of one transaction,
and can be made to lack what protects the rosters then.

    python interrupted.py [--stage STAGE --moment MOMENT --signal SIGNAL --mark FILE] [--without
        fence|transactions] rosters

A process that is stopped has no way of noticing. What it holds ready is written when it goes on,
unless the broker refuses it.
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
"""A chunk's outputs are computed, and nothing is written; its outputs are acknowledged, and nothing
is committed; all is committed.
"""

Write = Callable[[Lane, Any, Halt | None, BatchedOutputs], Awaitable[None]]


class Interruption:
    """Stops or ends this process once, at a moment of the first transaction of a stage that has so
    many records.
    """

    def __init__(
        self, stage: str, moment: str, number: signal.Signals, mark: Path, least: int
    ) -> None:
        self._stage = stage
        self._moment = moment
        self._number = number
        self._mark = mark
        self._least = least
        self._is_over = False

    def awaits(self, lane: Lane, outputs: BatchedOutputs) -> bool:
        """Whether this transaction is the one. True once."""
        if self._is_over or lane.agent.name != self._stage or records_in(outputs) < self._least:
            return False
        self._is_over = True
        return True

    def at(self, moment: str) -> None:
        """Strike, if this is the moment."""
        if moment == self._moment:
            self._mark.touch()
            os.kill(os.getpid(), self._number)


class _ThenStrike(BatchedOutputs):
    """The same batches; strikes when they are acknowledged."""

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
    """How many records there are."""
    return sum(batch.count for place in outputs._batches.values() for batch in place.batches)


def interrupt(interruption: Interruption) -> None:
    """Have lanes interrupted."""
    whole = cast(Write, Lane._write)

    async def write(lane: Lane, positions: Any, halt: Halt | None, outputs: BatchedOutputs) -> None:
        if not interruption.awaits(lane, outputs):
            await whole(lane, positions, halt, outputs)
            return
        interruption.at("computed")
        await whole(lane, positions, halt, _ThenStrike(outputs, interruption))
        interruption.at("committed")

    Lane._write = write  # type: ignore[method-assign,assignment]


def without_fence() -> None:
    """Give each process transactional ids of its own, so that none fences another."""
    new_producer = StreamingApplication._new_producer

    def new_own_producer(application: StreamingApplication, transactional_id: str) -> Any:
        return new_producer(application, f"{transactional_id}-{os.getpid()}")

    StreamingApplication._new_producer = new_own_producer  # type: ignore[method-assign,assignment]


def without_transactions() -> None:
    """Let the outputs last before the table and the offsets do: a transaction for each."""
    whole = cast(Write, Lane._write)

    async def write(lane: Lane, positions: Any, halt: Halt | None, outputs: BatchedOutputs) -> None:
        others, table = BatchedOutputs(outputs._producer), BatchedOutputs(outputs._producer)
        for place, batches in outputs._batches.items():
            (table if place[0].endswith("-changelog") else others)._batches[place] = batches
        await whole(lane, {}, None, others)
        await whole(lane, positions, halt, table)

    Lane._write = write  # type: ignore[method-assign,assignment]


def run() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stage", default="course")
    parser.add_argument("--moment", choices=MOMENTS)
    parser.add_argument(
        "--signal", choices=[number.name for number in signal.Signals], default="SIGSTOP"
    )
    parser.add_argument("--least", type=int, default=1, help="records in the transaction")
    parser.add_argument("--mark", type=Path, help="a file that is made just before")
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
                options.least,
            )
        )
    if "transactions" in options.without:
        without_transactions()
    sys.argv = ["rollcall", options.command]
    main()


if __name__ == "__main__":
    run()
