"""Program ``rollcall`` in which Faust checks partitions for standstill ten times a second, with
minimal time limits.

    python impatient.py [--upstream] router|rosters

Without Rollcall's override, Faust complains only after 5 minutes. Each check writes a line
``checked`` to the log.
"""

from __future__ import annotations

import sys

import faust
from faust.transport.consumer import Consumer

from rollcall.__main__ import main
from rollcall.streaming.application import StreamingApplication
from rollcall.streaming.faust.transport import ChunkConsumer

CHECKED = "checked"

CHECK_SECONDS = 0.1


def make_impatient(*, upstream: bool) -> None:
    """Patch the application. ``upstream``: without Rollcall's override."""
    new_app = StreamingApplication._new_app
    check = (Consumer if upstream else ChunkConsumer).verify_all_partitions_active

    def new_impatient_app(application: StreamingApplication, scratch: str) -> faust.App:
        app = new_app(application, scratch)
        # the time between two checks is a multiple of this interval
        app.conf.broker_commit_interval = CHECK_SECONDS / 2.5
        app.conf.broker_commit_livelock_soft_timeout = app.conf.stream_processing_timeout = 0.001
        return app

    async def check_and_log(consumer: ChunkConsumer) -> None:
        await check(consumer)
        if consumer.assignment():
            print(CHECKED, flush=True)

    StreamingApplication._new_app = new_impatient_app  # type: ignore[method-assign,assignment]
    ChunkConsumer.verify_all_partitions_active = check_and_log  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    make_impatient(upstream=sys.argv[1:2] == ["--upstream"])
    sys.argv = [sys.argv[0], *[argument for argument in sys.argv[1:] if argument != "--upstream"]]
    main()
