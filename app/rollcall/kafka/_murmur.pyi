def hashed(data: bytes) -> int:
    """32-bit murmur2 of ``data``, unsigned; otherwise the same as
    ``org.apache.kafka.common.utils.Utils.murmur2``.
    """

class Partitioner:
    """From key to partition, for topics with ``partitions`` partitions."""

    def __init__(self, partitions: int) -> None: ...
    def __call__(self, key: bytes) -> int: ...
