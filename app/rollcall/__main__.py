"""The command ``rollcall``; also ``python -m rollcall``."""

from __future__ import annotations

import gc

from rollcall.process.ending import end_on_signals, interrupt_on_ctrl_c, run_to_the_end

GC_THRESHOLDS = (200_000, 50, 1_000)
"""Modules make much, and throw nothing away; a chunk is hundreds of thousands of objects that live
for a moment and form no cycles. With Python's defaults the collector walks them again and again,
which takes a sixth of the time of a start, and an eighth of the router's.
"""


def main() -> None:
    """Run the command line. Signals come first: see :mod:`rollcall.process.ending`. Processes
    handle them later, in their event loop.
    """
    end_on_signals()
    gc.set_threshold(*GC_THRESHOLDS)
    from rollcall.cli.main import main as run

    interrupt_on_ctrl_c()
    run_to_the_end(run)


if __name__ == "__main__":
    main()
