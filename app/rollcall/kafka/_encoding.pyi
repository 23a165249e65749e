class RecordBatch:
    """Records of one batch. Made by :class:`RecordBatches`."""

    @property
    def count(self) -> int: ...
    @property
    def first_timestamp(self) -> int:
        """Milliseconds since the epoch."""

    @property
    def max_timestamp(self) -> int:
        """Milliseconds since the epoch."""

    @property
    def encoded(self) -> bytes | memoryview:
        """The records, one behind the other, not compressed. As long as somebody holds this, it
        stays what it is, and a record that needs more room is refused with a BufferError.
        """

class RecordBatches:
    """Records of one topic and partition, in batches of ``most_bytes`` at most; a record larger
    than that is a batch by itself.
    """

    def __init__(self, most_bytes: int) -> None: ...
    @property
    def batches(self) -> list[RecordBatch]: ...
    def append(
        self,
        timestamp: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes | None]],
    ) -> None:
        """Add a record to the last batch, or to a new one. ``timestamp`` is in milliseconds since
        the epoch; None: now.
        """
