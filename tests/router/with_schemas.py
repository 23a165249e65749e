"""A program: a command of ``rollcall`` with the schemas of another folder.

python with_schemas.py FOLDER router
"""

from __future__ import annotations

import sys
from pathlib import Path

from rollcall.events.schemas import files


def run() -> None:
    """The command line."""
    folder = Path(sys.argv.pop(1))
    files.schema_folder = lambda: folder
    from rollcall.__main__ import main  # only now: the registry is made at its import

    main()


if __name__ == "__main__":
    run()
