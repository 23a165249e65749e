"""Program ``rollcall`` in which Faust checks partitions for standstill ten times a second, and
calls each of them slow at once.

    python impatient.py [--upstream] router|rosters

Without Rollcall's override, Faust complains only after 5 minutes. Each check writes a line
``looked`` to the log.
"""

from __future__ import annotations

import sys

import faust
from faust.transport.consumer import Consumer

from rollcall.__main__ import main
from rollcall.streaming.application import StreamingApplication
from rollcall.streaming.faust.transport import ChunkConsumer

LOOKED = "looked"

LOOK_SECONDS = 0.1


def make_impatient(*, upstream: bool) -> None:
    """``upstream``: without the override."""
    new_app = StreamingApplication._new_app
    look = (Consumer if upstream else ChunkConsumer).verify_all_partitions_active

    def new_impatient_app(application: StreamingApplication, scratch: str) -> faust.App:
        app = new_app(application, scratch)
        # of which the pause between two looks is a multiple
        app.conf.broker_commit_interval = LOOK_SECONDS / 2.5
        app.conf.broker_commit_livelock_soft_timeout = app.conf.stream_processing_timeout = 0.001
        return app

    async def look_and_tell(consumer: ChunkConsumer) -> None:
        await look(consumer)
        if consumer.assignment():
            print(LOOKED, flush=True)

    StreamingApplication._new_app = new_impatient_app  # type: ignore[method-assign,assignment]
    ChunkConsumer.verify_all_partitions_active = look_and_tell  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    make_impatient(upstream=sys.argv[1:2] == ["--upstream"])
    sys.argv = [sys.argv[0], *[argument for argument in sys.argv[1:] if argument != "--upstream"]]
    main()
