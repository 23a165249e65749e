"""``python -m tests.fuzz``: made-up inputs at every border. ``make fuzz`` runs a million."""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.run import BORDERS, fuzz, run_chunk, shown


def main() -> None:
    """Run, and print a table. Exit code 1 if something was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Made-up inputs at every border."
    )
    parser.add_argument(
        "--count",
        type=int,
        default=1_000_000,
        help="inputs of the pipeline; the other borders get shares of it (default: 1000000)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="another number gives other inputs (default: 1)"
    )
    parser.add_argument(
        "--border", choices=BORDERS, action="append", help="only this one; may be repeated"
    )
    parser.add_argument(
        "--number",
        type=int,
        help="only the input of this number, of the one border but serve's: to repeat a fault",
    )
    options = parser.parse_args()
    names = options.border or list(BORDERS)
    if options.number is not None:
        counts, faults = run_chunk(names[0], (), options.seed, options.number, options.number + 1)
        print(*counts, *(shown(fault, options.seed) for fault in faults), sep="\n")
    else:
        report = fuzz(options.count, options.seed, names, lambda line: print(line, flush=True))
        faults = report.faults
        print(*report.lines(), sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
