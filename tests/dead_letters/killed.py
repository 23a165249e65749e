"""A program: ``rollcall`` that gets a signal when the first records that it sends are acknowledged.

python killed.py SIGNAL dead-letters replay --send
"""

from __future__ import annotations

import os
import signal
import sys

from rollcall.__main__ import main
from rollcall.kafka.batches import BatchedOutputs


def run() -> None:
    """The command line."""
    number = signal.Signals[sys.argv.pop(1)]
    send = BatchedOutputs.send

    async def send_and_strike(outputs: BatchedOutputs) -> None:
        await send(outputs)
        os.kill(os.getpid(), number)

    BatchedOutputs.send = send_and_strike  # type: ignore[method-assign,assignment]
    main()


if __name__ == "__main__":
    run()
