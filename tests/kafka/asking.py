"""A program: ``rollcall``, with clients that let the broker create what they ask for, as aiokafka
has it.
"""

from __future__ import annotations

import inspect

from aiokafka.protocol.metadata import MetadataRequest

import rollcall.kafka.aiokafka_patches  # noqa: F401
from rollcall.__main__ import main

if __name__ == "__main__":
    MetadataRequest.build = inspect.unwrap(MetadataRequest.build)
    main()
