"""``python -m tests.audit``, which is ``make audit``: prints a table. Exit code 1 if something is
not as it should be.
"""

from __future__ import annotations

import sys

from tests.audit.audit import audit, table

if __name__ == "__main__":
    parts = audit()
    print(*table(parts), sep="\n")
    sys.exit(any(part.problems for part in parts))
