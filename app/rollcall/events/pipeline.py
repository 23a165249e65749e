"""The meaning of a raw record: bytes and headers in, :class:`Routed`, :class:`Unknown` or
:class:`DeadLetter` out.

Pure: no Kafka, no clock, no environment. It never raises, whatever the bytes.

    redact -> recognise -> drop -> publish

The scanner recognises an event, or else parser and schema do (app/rollcall/events/recognised.py).
The event is checked as received. Output and ``ce_id`` lack the dropped fields.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rollcall.events.dropping import MetadataDropper
from rollcall.events.outcomes import DeadLetter, ErrorCode, Outcome, Unknown, UnknownReason
from rollcall.events.publishing import OUTCOME_PREFIXES, REASON_HEADER, Publisher
from rollcall.events.recognised import Dropped, Recognised
from rollcall.events.redaction import Redactor
from rollcall.events.scan.scannable import new_scanner
from rollcall.events.schema_recogniser import SchemaRecogniser
from rollcall.events.schemas.validation import EventValidator
from rollcall.record import Header

REDACTED_HEADER = "rollcall.redacted"
DROPPED_HEADER = "rollcall.dropped"
WHOLE_VALUE = b"*"
"""Value of :data:`DROPPED_HEADER` if the whole value is withheld."""


class Pipeline:
    """Judges records one by one.

    Args:
        validators: of the selected event types, by event_name.
        not_selected: event_names of the other known types.
        shard: of local ids in events without a root account; None: unknown.
        redactor: None leaves credentials as they are.
        dropper: None leaves all fields of the metadata.
    """

    def __init__(
        self,
        validators: Mapping[str, EventValidator],
        *,
        not_selected: Collection[str] = (),
        shard: int | None = None,
        redactor: Redactor | None = None,
        dropper: MetadataDropper | None = None,
    ) -> None:
        self._not_selected = frozenset(not_selected)
        self._redactor = redactor
        self._names_any = None if redactor is None else redactor.names_any
        self._dropper = dropper
        scanner = new_scanner(validators, () if dropper is None else dropper.names)
        self._scan = None if scanner is None else scanner.read
        self._recognise = SchemaRecogniser(validators, dropper)
        self._publisher = Publisher(validators, shard)

    def __call__(self, value: bytes | None, headers: Sequence[Header] = ()) -> Outcome:
        """Judge one record. ``headers`` are the raw record's own."""
        return self.judge(value, headers)

    def judge(self, value: bytes | None, headers: Sequence[Header]) -> Outcome:
        """The same as a method, which the router calls: a method call takes less time."""
        raw = list(headers) if headers else []
        redacted = False
        if self._names_any is not None and (raw or (value and self._names_any(value))):
            value, raw, redacted = self._redact(value, raw)
        if not value:
            return DeadLetter(
                ErrorCode.EMPTY, "the record has no value", "", "", None, value, raw, redacted
            )
        found = (self._scan is not None and self._scan(value)) or self._recognise(value)
        if self._dropper is not None:
            value, raw = _drop(self._dropper, value, raw, found.dropped)
        if isinstance(found, Recognised):
            return self._publisher.publish(found, value, raw, redacted)
        if found.fault is not None:
            return DeadLetter(*found.fault, value, raw, redacted)
        reason = (
            UnknownReason.NOT_SELECTED
            if found.event_name in self._not_selected
            else UnknownReason.NO_SCHEMA
        )
        headers = [header for header in raw if not header[0].startswith(OUTCOME_PREFIXES)]
        headers.append((REASON_HEADER, reason.value.encode()))
        return Unknown(value, headers, redacted, reason)

    def _redact(
        self, value: bytes | None, raw: list[Header]
    ) -> tuple[bytes | None, list[Header], bool]:
        """The value and the raw headers without credentials, and whether there were any. A header
        names the parameters that were found.
        """
        redactor = self._redactor
        assert redactor is not None
        found: frozenset[bytes] = frozenset()
        if value:
            value, found = redactor(value)
        if raw:
            clean: list[Header] = []
            for name, content in raw:
                if content:
                    content, more = redactor(content)
                    found |= more
                clean.append((name, content))
            raw = clean
        if found:
            raw = _with_header(raw, REDACTED_HEADER, b",".join(sorted(found)))
        return value, raw, bool(found)

    def clean_key(self, key: bytes | None) -> bytes | None:
        """The raw record's key, redacted: the key of unknown events and dead letters."""
        return self._redactor(key)[0] if key and self._redactor is not None else key


def _drop(
    dropper: MetadataDropper, value: bytes, raw: list[Header], dropped: Dropped | None
) -> tuple[bytes, list[Header]]:
    """The value without the dropped fields. A header names those that were found."""
    if dropped is None:
        return b"", _with_header(raw, DROPPED_HEADER, WHOLE_VALUE)
    if not dropped:
        return value, raw
    names = ",".join(sorted({name for _, name in dropped}))
    return dropper.cut(value, dropped), _with_header(raw, DROPPED_HEADER, names.encode())


def _with_header(raw: list[Header], name: str, content: bytes) -> list[Header]:
    """The headers with one of Rollcall's own, which replaces that of an earlier attempt."""
    return [*(header for header in raw if header[0] != name), (name, content)]
