"""Sends the events of files to the raw topic, and remembers how far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from rollcall.ingest.file.progress import Progress, ProgressFile
from rollcall.ingest.file.reading import EventFile
from rollcall.ingest.file.splitting import Broken, Place, Slice, Splitter
from rollcall.ingest.file.window import Entry, Window
from rollcall.ingest.raw_records import FILE_HEADERS, RawRecord, raw_keys
from rollcall.ingest.sink import KafkaAwayError, KafkaSink, RecordRefusedError
from rollcall.kafka.bounded import close, promptly
from rollcall.kafka.client import client_options
from rollcall.kafka.topic_ids import describe_topics
from rollcall.process.topics import TopicNames
from rollcall.settings import Settings

MOST_RECORDS = 1_000
MOST_BYTES = 16 * 1024**2
"""Most records, and bytes of records, that Kafka has not acknowledged."""

SAVE_SECONDS = 1.0
"""Interval at which the progress is saved. After a crash, so much is sent twice."""

RETRY_SECONDS = 1.0

SHORTEST_PAUSE_SECONDS = 0.01
"""With a rate, shorter pauses are saved up."""


class Fault(NamedTuple):
    """A place of a file that was not sent."""

    title: str
    broken: Broken


class FileIngest:
    """Sends the events of some files to the raw topic.

    Args:
        rate: most events a second; None: no limit.
        is_resumed: go on where an earlier command stopped.
        report: takes each fault.

    Raises:
        ConfigurationError: the schemas cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap: str,
        *,
        rate: float | None,
        is_resumed: bool,
        report: Callable[[Fault], object],
    ) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._pace = None if rate is None else _Pace(rate)
        self._is_resumed = is_resumed
        self._report = report
        self._keys = raw_keys(settings)
        self._sink = KafkaSink(settings, bootstrap)
        self._room = asyncio.Event()
        self._failure: BaseException | None = None
        self.topic = TopicNames(settings.topic_prefix).raw
        self.file: EventFile | None = None
        """The file that is being read."""
        self.sent = 0
        """Events that Kafka has acknowledged."""
        self.faults = 0
        """Places that were not sent, also by the earlier commands that are resumed."""

    @property
    def unavailable_reason(self) -> str | None:
        """Why Kafka takes no records at the moment; None: it does."""
        return self._sink.unavailable_reason

    async def run(self, names: Sequence[str]) -> None:
        """Send the events of files, one file after another, until Kafka has acknowledged all. If
        cancelled, wait for the acknowledgement of what was sent, and save the progress.

        Raises:
            RightsError, TopicsError, ConfigurationError, ResumeError: an operator must act.
        """
        try:
            await self._sink.start()
            topic_id = await self._topic_id()
            resumed = [self._earlier(name, topic_id) for name in names]
            for name, progress in zip(names, resumed, strict=True):
                if progress is not None:
                    self.faults += progress.broken
                if progress is None or not progress.is_complete:
                    with EventFile(name) as self.file:
                        await self._ingest(self.file, progress, topic_id)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        await self._sink.stop()
        await asyncio.sleep(0)  # for the last acknowledgements

    async def _topic_id(self) -> str:
        """Id of the raw topic. Waits for Kafka."""
        while True:
            with suppress(KafkaError, OSError):
                admin = AIOKafkaAdminClient(**client_options(self._settings, self._bootstrap))
                try:
                    await promptly(admin.start())
                    _, topics = await promptly(describe_topics(admin, [self.topic]))
                    if (topic := topics.get(self.topic)) is not None:
                        return topic.identity
                finally:
                    await close(admin.close())
            await asyncio.sleep(RETRY_SECONDS)

    def _earlier(self, name: str, topic_id: str) -> Progress | None:
        if not self._is_resumed:
            return None
        with EventFile(name) as file:
            return self._progress_file(file).load(file.identity(), topic_id)

    def _progress_file(self, file: EventFile) -> ProgressFile:
        return ProgressFile(self._settings.data, name=file.name, topic=self.topic)

    async def _ingest(self, file: EventFile, earlier: Progress | None, topic_id: str) -> None:
        reading = _Reading(file, Place() if earlier is None else earlier.place)
        reading.faults = 0 if earlier is None else earlier.broken
        if not file.is_resumable:
            await self._read(reading)
            return
        store = self._progress_file(file)
        identity = file.identity()

        def save(*, is_complete: bool = False) -> None:
            store.save(
                Progress(
                    path=store.path,
                    identity=identity,
                    topic_id=topic_id,
                    place=reading.window.place,
                    broken=reading.faults,
                    is_complete=is_complete,
                )
            )

        save()  # also shows that the data directory can be written to
        saving = asyncio.ensure_future(_repeat(save))
        try:
            await self._read(reading)
        except asyncio.CancelledError:
            await self._stop()
            save()
            raise
        finally:
            saving.cancel()
        save(is_complete=True)

    async def _read(self, reading: _Reading) -> None:
        """Send all values of a file, and wait for the acknowledgements."""
        file, splitter, window = reading.file, reading.splitter, reading.window
        async for piece in file.pieces(window.place.offset):
            await self._hand_over(splitter.feed(piece), reading)
            window.pass_to(splitter.place)
            await asyncio.sleep(0)
        await self._hand_over(splitter.close(), reading)
        if file.damage is not None:
            place = splitter.place
            self._fault(reading, Broken(place.line, place.column, file.damage))
        while len(window):
            await self._wait_for_room()

    async def _hand_over(self, found: Sequence[Slice | Broken], reading: _Reading) -> None:
        window = reading.window
        for part in found:
            if isinstance(part, Broken):
                self._fault(reading, part)
                continue
            window.pass_to(part.place)
            if self._pace is not None:
                await self._pace.wait()
            size = len(part.text)
            while not window.has_room(size):
                await self._wait_for_room()
            self._send(part, window.add(part.place, size), reading)

    def _send(self, part: Slice, entry: Entry, reading: _Reading) -> None:
        record = RawRecord(self._keys.key(part.text), part.text, FILE_HEADERS)

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                self._ended(task.exception(), entry, reading)

        try:
            self._sink.begin(record).add_done_callback(ended)
        except RecordRefusedError as error:
            self._ended(error, entry, reading)

    def _ended(self, error: BaseException | None, entry: Entry, reading: _Reading) -> None:
        """Kafka has acknowledged a value, or has not."""
        match error:
            case None:
                self.sent += 1
            case RecordRefusedError():
                self._fault(reading, Broken(entry.place.line, entry.place.column, str(error)))
            case KafkaAwayError():
                return
            case _:
                self._failure = error
                self._room.set()
                return
        reading.window.done(entry)
        self._room.set()

    async def _wait_for_room(self) -> None:
        self._room.clear()
        await self._room.wait()
        if self._failure is not None:
            raise self._failure

    def _fault(self, reading: _Reading, broken: Broken) -> None:
        reading.faults += 1
        self.faults += 1
        self._report(Fault(reading.file.title, broken))


class _Reading:
    """The state of one file."""

    def __init__(self, file: EventFile, start: Place) -> None:
        self.file = file
        self.splitter = Splitter(start)
        self.window = Window(start, most_records=MOST_RECORDS, most_bytes=MOST_BYTES)
        self.faults = 0


class _Pace:
    """Limits the rate. What was missed, while Kafka was away, is not made up for."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._due = 0.0

    async def wait(self) -> None:
        """Wait for the turn of the next event."""
        now = time.monotonic()
        self._due = max(self._due, now - SHORTEST_PAUSE_SECONDS) + self._interval
        if (pause := self._due - self._interval - now) > SHORTEST_PAUSE_SECONDS:
            await asyncio.sleep(pause)


async def _repeat(save: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(SAVE_SECONDS)
        save()
