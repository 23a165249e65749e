"""A program: ``rollcall router`` as it was before its schemas were mended.

python older.py --schemas FOLDER router
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from rollcall.__main__ import main
from rollcall.events.schemas.files import read_schema_folder
from rollcall.events.schemas.validation import EventValidator, load_validators
from rollcall.router import pipeline_factory
from rollcall.settings import Settings


def run() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--schemas", type=Path, required=True)
    parser.add_argument("command")
    options = parser.parse_args()

    def validators_of(
        settings: Settings, names: Collection[str] | None = None
    ) -> Mapping[str, EventValidator]:
        return load_validators(read_schema_folder(options.schemas), names)

    pipeline_factory.validators_of = validators_of  # type: ignore[attr-defined]
    sys.argv = ["rollcall", options.command]
    main()


if __name__ == "__main__":
    run()
