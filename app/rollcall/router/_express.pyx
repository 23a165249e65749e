# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=True
"""Valid events in plain form, from the fetched record into the batch in one step. What it stands
for: app/rollcall/router/express.py.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp, memcpy

import hashlib

from rollcall.events.scan._json cimport Field, NOTHING, STRING
from rollcall.events.scan._scanner cimport Said, Scanner, has_epoch, value_of
from rollcall.kafka._murmur cimport partition_of
from rollcall.kafka._encoding cimport RecordBatches, Room, encode_headers, encoded_size, write_varint

from rollcall.events.ids import normal_id
from rollcall.events.pipeline import EVENT_ID_DIGITS, ERROR_PREFIX, OWN_HEADERS
from rollcall.events.times import read_valid_time

cdef enum:
    EVENT_ID_BYTES = 16
    MOST_ROOT = 40  # of the text of a root_account_id that is remembered
    OWN_BYTES = 512  # more than the headers take that follow from the event itself

assert EVENT_ID_DIGITS == 2 * EVENT_ID_BYTES

cdef Py_ssize_t _OWN_HEADERS = len(OWN_HEADERS)

_sha256 = hashlib.sha256

NO_LIMIT = 2**63 - 1
"""No record bears a later timestamp."""


cdef bytes encoded(list headers):
    """Headers as they stand in a record, without their number."""
    cdef bytes room = PyBytes_FromStringAndSize(NULL, encoded_size(headers))
    cdef uint8_t* start = <uint8_t*> PyBytes_AS_STRING(room)
    cdef uint8_t number[10]
    cdef Py_ssize_t skipped = write_varint(number, len(headers)) - number
    return room[skipped : encode_headers(start, headers) - start]


cdef inline uint8_t* write_piece(uint8_t* out, bytes content) noexcept:
    """Write bytes as they are."""
    memcpy(out, PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content))
    return out + PyBytes_GET_SIZE(content)


cdef inline uint8_t* write_hexadecimal(uint8_t* out, const uint8_t* content,
int size) noexcept nogil:
    cdef const char* digits = b"0123456789abcdef"
    cdef int index
    for index in range(size):
        out[2 * index] = digits[content[index] >> 4]
        out[2 * index + 1] = digits[content[index] & 15]
    return out + 2 * size


cdef class Express:
    """See app/rollcall/router/_express.pyi."""

    cdef Scanner scanner
    cdef object pipeline
    cdef object redactor
    cdef list names
    cdef list topics
    cdef list beginnings
    cdef bytes time_name
    cdef int partitions
    cdef Py_ssize_t most_bytes
    # What was last asked of the pipeline about a root account.
    cdef uint8_t root_text[MOST_ROOT]
    cdef Py_ssize_t root_size
    cdef int root_kind
    cdef object shard
    cdef bytes source
    # Of the chunk at hand.
    cdef list places
    cdef object outputs
    cdef object result
    cdef int64_t earliest
    cdef int64_t latest
    # The headers of the record at hand.
    cdef Room headers

    def __init__(self, Scanner scanner not None, pipeline, types, int partitions,
    Py_ssize_t most_bytes):
        self.scanner = scanner
        self.pipeline = pipeline
        self.redactor = pipeline.redactor
        self.names, self.topics, self.beginnings = [], [], []
        for name, topic, headers in types:
            self.names.append(name)
            self.topics.append(topic)
            # The digits of the event's id come next.
            self.beginnings.append(encoded([*headers, ("ce_id",
            b"0" * EVENT_ID_DIGITS)]).removesuffix(b"0" * EVENT_ID_DIGITS))
        # Its value comes next; null takes one byte.
        time_name = encoded([("ce_time", None)])
        self.time_name = time_name[: len(time_name) - 1]
        self.partitions = partitions
        self.most_bytes = most_bytes
        self.root_size = -1
        self.headers = Room()

    def begin(self, outputs, result, earliest, latest):
        """See app/rollcall/router/_express.pyi."""
        self.places = [None] * (len(self.topics) * self.partitions)
        self.outputs = outputs
        self.result = result
        self.earliest = min(earliest, NO_LIMIT)
        self.latest = min(latest, NO_LIMIT)

    def end(self):
        """See app/rollcall/router/_express.pyi."""
        self.places = self.outputs = self.result = None

    def run(self, list records not None, Py_ssize_t start):
        """See app/rollcall/router/_express.pyi."""
        cdef Py_ssize_t index = start
        cdef list routed = self.result.routed
        cdef list event_times = self.result.event_times
        while index < len(records) and self.take(records[index], routed, event_times):
            index += 1
        return index

    cdef bint take(self, record, list routed, list event_times) except -1:
        """Route one record, unless it is for others to judge."""
        cdef Said said
        cdef bytes value, canonical, key, digest
        cdef list raw
        cdef uint8_t* its_headers
        cdef uint8_t* out
        cdef const uint8_t* key_text
        cdef Py_ssize_t key_size
        cdef Py_ssize_t raw_bytes = 0
        cdef int64_t timestamp
        cdef RecordBatches batches
        cdef int place
        cdef bint redacted = False
        fetched = record.value
        if not fetched:
            return False
        value = fetched
        fetched = record.headers
        raw = list(fetched) if fetched else None
        if self.redactor is not None and (raw or self.redactor.names_any(value)):
            value, raw, redacted = self.pipeline.redact(value, raw or [])
        canonical = self.scanner.scan(value, &said)
        if canonical is None or not self.look_up_root(&said.root_account_id):
            return False
        # The key: what is not global already, is made so by the one who knows how.
        if said.entity_id.kind == STRING and 13 < said.entity_id.size < 19:
            key_text = said.entity_id.text
            key_size = said.entity_id.size
        else:
            normal = normal_id(value_of(&said.entity_id), self.shard)
            if normal is None:
                return False
            key = normal.encode()
            key_text = <const uint8_t*> PyBytes_AS_STRING(key)
            key_size = PyBytes_GET_SIZE(key)
        # The time.
        if has_epoch(&said.moment):
            epoch = said.moment.microseconds / <double> 1_000_000
            time = None
        else:
            instant = read_valid_time(value_of(&said.event_time))
            if instant is None:
                return False
            epoch, time = instant
        # The headers.
        if raw:
            raw = [header for header in raw if header[0] not in OWN_HEADERS and not header[0].startswith(ERROR_PREFIX)]
            raw_bytes = encoded_size(raw)
        if PyBytes_GET_SIZE(value) + 4 * raw_bytes > self.most_bytes:
            return False
        digest = _sha256(canonical).digest()
        beginning = <bytes> self.beginnings[said.number]
        its_headers = self.headers.of(OWN_BYTES + PyBytes_GET_SIZE(beginning) + PyBytes_GET_SIZE(self.source) + raw_bytes)
        out = write_varint(its_headers, _OWN_HEADERS + (len(raw) if raw else 0))
        out = write_piece(out, beginning)
        out = write_hexadecimal(out, <const uint8_t*> PyBytes_AS_STRING(digest), EVENT_ID_BYTES)
        out = write_piece(out, self.time_name)
        if time is None:
            out = write_varint(out, said.event_time.size)
            memcpy(out, said.event_time.text, said.event_time.size)
            out += said.event_time.size
        else:
            text = (<str> time).encode()
            out = write_piece(write_varint(out, PyBytes_GET_SIZE(text)), text)
        out = write_piece(out, self.source)
        if raw:
            out = write_piece(out, encoded(raw))
        # The place.
        place = said.number * self.partitions + partition_of(key_text, key_size, self.partitions)
        batches = self.places[place]
        if batches is None:
            batches = self.places[place] = self.outputs.of(self.topics[said.number],
            place % self.partitions)
        stamp = record.timestamp
        if stamp is not None and self.earliest <= <int64_t> stamp <= self.latest:
            timestamp = stamp
        else:
            timestamp = batches.now()
        batches.put(timestamp, key_text, key_size, <const uint8_t*> PyBytes_AS_STRING(value),
        PyBytes_GET_SIZE(value), its_headers, out - its_headers)
        # The counts.
        name = self.names[said.number]
        routed.append(name)
        event_times.append(epoch)
        if said.unknown_fields:
            self.result.unknown_fields[name] += said.unknown_fields
        if said.unknown_values:
            self.result.unknown_values[name] += said.unknown_values
        if redacted:
            self.result.redacted += 1
        return True

    cdef bint look_up_root(self, const Field* root) except -1:
        """Let the shard and the source be those of a root account; mostly it is that of the event
        before. False: that is for others to say.
        """
        cdef Py_ssize_t size = 0 if root.kind == NOTHING else root.size
        if size > MOST_ROOT:
            return False
        # What is null points nowhere.
        if self.root_size == size and self.root_kind == root.kind and (size == 0 or memcmp(self.root_text, root.text, size) == 0):
            return True
        self.root_size = -1
        self.shard, header = self.pipeline.origin(value_of(root))
        self.source = encoded([header])
        if size:
            memcpy(self.root_text, root.text, size)
        self.root_size = size
        self.root_kind = root.kind
        return True
