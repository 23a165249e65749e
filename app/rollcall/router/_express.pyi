from collections.abc import Sequence

from rollcall.events.pipeline import Pipeline
from rollcall.events.scan._scanner import Scanner
from rollcall.kafka.batches import BatchedOutputs
from rollcall.record import Header, Record
from rollcall.router.handler import RouterResult

class Express:
    """Routes valid events in plain form (app/rollcall/router/express.py). For one thread: it keeps
    what it knows of the record at hand.

    Args:
        scanner: numbers the types as ``types`` does.
        pipeline: judges what is not for the scanner; it drops no fields.
        types: of each the event_name, the topic, and the headers that all its events have before
            ``ce_id``.
        partitions: of the topics.
        most_bytes: of a value that is surely small enough for the topics, with the headers that
            Rollcall gives it.
    """

    def __init__(
        self,
        scanner: Scanner,
        pipeline: Pipeline,
        types: Sequence[tuple[str, str, Sequence[Header]]],
        partitions: int,
        most_bytes: int,
    ) -> None: ...
    def begin(
        self, outputs: BatchedOutputs, result: RouterResult, earliest: int, latest: int
    ) -> None:
        """What is routed goes to these outputs, and is counted in this result; a timestamp that
        lies not between these two (ms) becomes now.
        """

    def run(self, records: list[Record], start: int) -> int:
        """Route records from a place on. Returns the place of the first that is for others to
        judge; the end, if there is none.
        """

    def end(self) -> None:
        """Let go of outputs and result."""
