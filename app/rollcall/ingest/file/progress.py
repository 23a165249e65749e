"""How far a file was sent, remembered for ``--resume`` in the data directory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from rollcall.errors import ConfigurationError, RollcallError
from rollcall.ingest.file.reading import Identity
from rollcall.ingest.file.splitting import Place

FOLDER = "ingest-file"
"""In the data directory."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file was sent. Kafka has acknowledged every event before ``place``."""

    path: str
    identity: Identity
    topic_id: str
    """Id of the topic that has the events."""
    place: Place = Place()
    broken: int = 0
    """Number of places that were not sent, as they are not JSON or too large."""
    is_complete: bool = False


class ResumeError(RollcallError):
    """A file cannot be resumed."""


class ProgressFile:
    """Progress of one input file, towards one raw topic.

    Args:
        data: the data directory.
    """

    def __init__(self, data: Path, *, name: str, topic: str) -> None:
        self.path = str(Path(name).absolute())
        self._name = name
        digest = hashlib.sha256(f"{topic}\n{self.path}".encode(errors="surrogateescape"))
        self._file = data / FOLDER / f"{digest.hexdigest()[:32]}.json"

    def load(self, identity: Identity, topic_id: str) -> Progress | None:
        """The progress of an earlier command; None: there was none.

        Raises:
            ResumeError: the file has changed since, or the events went to another topic.
            ConfigurationError: the progress cannot be read.
        """
        try:
            progress = msgspec.json.decode(self._file.read_bytes(), type=Progress)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigurationError(
                f"the progress in {str(self._file)!a} cannot be read ({error}); remove this file "
                f"and {_AGAIN}"
            ) from None
        if progress.identity != identity:
            raise ResumeError(
                f"{self._name!a} has changed since it was sent in part; to send all of it, {_AGAIN}"
            )
        if progress.topic_id != topic_id:
            raise ResumeError(
                f"a part of {self._name!a} was sent to another cluster, or to a topic that was "
                f"deleted since; to send all of it, {_AGAIN}"
            )
        return progress

    def save(self, progress: Progress) -> None:
        """Replace the file at once: a killed process leaves the old or the new one.

        Raises:
            OSError: it cannot be written.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(progress))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)


_AGAIN = "run the command without --resume: events that were sent are then sent again"
