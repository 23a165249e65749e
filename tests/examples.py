"""Number of examples in property tests: a part in ``make test``, all in the long cut
(tests/test_all_examples.py).
"""

from __future__ import annotations

import os

VARIABLE = "ALL_EXAMPLES"
"""If set, all examples are drawn."""


def examples(number: int, *, part: int = 3) -> int:
    """``max_examples`` of a property test: ``number`` in the long cut, and one ``part``-th of it
    otherwise.
    """
    return number if os.environ.get(VARIABLE) else number // part
