"""How many examples property tests draw: a part of them in ``make test``, all of them in the long
cut (tests/test_all_examples.py).
"""

from __future__ import annotations

import os

VARIABLE = "ALL_EXAMPLES"
"""Set: all of them."""


def examples(number: int, *, part: int = 3) -> int:
    """The ``max_examples`` of a property test that draws this number in the long cut, and one
    ``part``-th of it otherwise.
    """
    return number if os.environ.get(VARIABLE) else number // part
