"""Program ``rollcall`` whose clients let the broker create requested topics, as aiokafka does."""

from __future__ import annotations

import inspect

from aiokafka.protocol.metadata import MetadataRequest

import rollcall.kafka.patches  # noqa: F401
from rollcall.__main__ import main

if __name__ == "__main__":
    MetadataRequest.build = inspect.unwrap(MetadataRequest.build)
    main()
