"""A program: ``rollcall router`` as it was before its schemas were mended.

python older.py --schemas FOLDER --without EVENT_NAME router
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from rollcall.__main__ import main
from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.validation import load_validators
from rollcall.router import judging


def run() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--schemas", type=Path, required=True)
    parser.add_argument(
        "--without", action="append", default=[], help="an event_name that has no schema yet"
    )
    parser.add_argument("command")
    options = parser.parse_args()
    known = {
        name: event_type for name, event_type in REGISTRY.items() if name not in options.without
    }
    judging.load_validators = partial(load_validators, options.schemas, known)  # type: ignore[attr-defined]
    sys.argv = ["rollcall", options.command]
    main()


if __name__ == "__main__":
    run()
