"""The express: valid events in plain form, which are nearly all, go from the fetched record into
the batch in one step.

Everything else, one record after the other, is left to the pipeline, and all that the express does
for an event it does as the pipeline and the handler would: the same bytes, on the same partition,
in the same order, with the same counts (``tests/router/test_express.py`` holds the two together).
Compiled (``_express.pyx``), as is what it is made of: the scanner of
``app/rollcall/events/scan/plain.py``, and the encoding of ``app/rollcall/kafka/encoding.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.events.pipeline import Pipeline
from rollcall.events.registry import REGISTRY
from rollcall.events.scan.plain import new_scanner
from rollcall.process.topics import TopicNames

if TYPE_CHECKING:
    from rollcall.router._express import Express as Express
else:
    try:
        from rollcall.router._express import Express
    except ModuleNotFoundError:  # it was not compiled
        Express = None


def new_express(
    pipeline: Pipeline, names: TopicNames, partitions: int, most_bytes: int
) -> Express | None:
    """The express beside a pipeline.

    None where it was not compiled; and where fields are dropped, since the scanner leaves all bytes
    in their place.
    """
    scanner = new_scanner(pipeline.validators)
    if scanner is None or Express is None or pipeline.drops_fields:
        return None
    types = [
        (name, names.typed(REGISTRY[name]), pipeline.known_headers(name))
        for name in pipeline.validators
    ]
    return Express(scanner, pipeline, types, partitions, most_bytes)
