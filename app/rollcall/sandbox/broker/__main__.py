"""Commands for ``make``: ``python -m rollcall.sandbox.broker check`` before the venv exists, and
``python -m rollcall.sandbox.broker libraries`` later.
"""

from __future__ import annotations

import sys

from rollcall.errors import RollcallError
from rollcall.sandbox.broker.java import find_java, find_maven
from rollcall.sandbox.broker.libraries import ensure_libraries


def _main(command: str) -> None:
    if command == "check":
        find_java()
        find_maven()
    else:
        from rollcall.settings import load_settings

        ensure_libraries(load_settings().data / "kafka-libs", announce=print)


if __name__ == "__main__":
    try:
        _main(sys.argv[1])
    except RollcallError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
