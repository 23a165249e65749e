"""Command ``rollcall``; also ``python -m rollcall``."""

from __future__ import annotations

import gc

from rollcall.process.ending import end_on_signals, interrupt_on_ctrl_c, run_command

GC_THRESHOLDS = (200_000, 50, 1_000)
"""Loading modules creates many objects and frees none; a chunk has hundreds of thousands of
short-lived objects without cycles. With Python's defaults the collector scans them again and again,
which takes a sixth of the start's time, and an eighth of the router's.
"""


def main() -> None:
    """Run the command line. Signal handlers come first: see :mod:`rollcall.process.ending`.
    Processes replace them later, in their event loop.
    """
    end_on_signals()
    gc.set_threshold(*GC_THRESHOLDS)
    from rollcall.cli.main import main as run

    interrupt_on_ctrl_c()
    run_command(run)


if __name__ == "__main__":
    main()
