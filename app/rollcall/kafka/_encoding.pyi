class RecordBatch:
    """Records of one batch. Created by :class:`RecordBatches`."""

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
        """The encoded records, uncompressed. While a view of it exists, it does not change, and a
        record that needs more memory is refused with a BufferError.
        """

class RecordBatches:
    """Records of one topic and partition, in batches of at most ``max_bytes``. A larger record is a
    batch by itself.
    """

    def __init__(self, max_bytes: int) -> None: ...
    @property
    def batches(self) -> list[RecordBatch]: ...
    def append(
        self,
        timestamp: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: bytes,
    ) -> None:
        """Add a record to the last batch, or to a new one. ``timestamp`` is in milliseconds since
        the epoch; None: now. ``headers`` are encoded.
        """
