def hashed(data: bytes) -> int:
    """The 32-bit murmur2 of ``data``, unsigned; same as
    ``org.apache.kafka.common.utils.Utils.murmur2`` but for the sign.
    """

class Partitioner:
    """From key to partition, for topics with so many partitions."""

    def __init__(self, partitions: int) -> None: ...
    def __call__(self, key: bytes) -> int: ...
