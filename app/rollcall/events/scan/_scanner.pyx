# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=True
"""Reads a valid event in one pass over its bytes. Purpose and limits:
app/rollcall/events/scan/scannable.py.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcmp, memcpy

import orjson
from jsonschema_rs import Draft202012Validator

from rollcall.events.recognised cimport Recognised
from rollcall.events.scan._canonical cimport sort_fields, write_object, write_unescaped
from rollcall.events.scan._json cimport (
    BOOLEAN,
    COMPOUND,
    FRACTION,
    INTEGER,
    MOST_FIELDS,
    NOTHING,
    OTHER,
    STRING,
    Field,
    after_space,
    read_name,
    read_object,
    read_value,
)
from rollcall.events.scan._text cimport Moment, is_date, is_id, is_time

from rollcall.events.times import read_valid_time

cdef enum:
    SLOTS = 256
    MOST_RULES = 128  # half of the slots, so that a search ends
    EXACT = 9_007_199_254_740_992  # the greatest number up to which a float is exact
    MICROSECONDS = 1_000_000

cdef enum Text:
    ANY
    NOT_EMPTY
    ID
    ID_OR_ZERO
    ID_OR_EMPTY
    TIME
    DAY_OR_TIME
    CONSTANT

cdef enum Role:
    NO_ROLE
    KEY
    ROOT_ACCOUNT
    EVENT_TIME

cdef enum KeyKind:
    NO_KEY
    ID_KEY
    TEXT_KEY
    NESTED_ID_KEY

_KINDS = {
    "string": STRING,
    "integer": INTEGER,
    "number": INTEGER | FRACTION,
    "boolean": BOOLEAN,
    "null": NOTHING,
    "compound": COMPOUND,
    "any": STRING | INTEGER | FRACTION | BOOLEAN | NOTHING | OTHER,
}
_TEXTS = {
    "": ANY,
    "not_empty": NOT_EMPTY,
    "id": ID,
    "id_or_zero": ID_OR_ZERO,
    "id_or_empty": ID_OR_EMPTY,
    "time": TIME,
    "event_time": TIME,
    "day_or_time": DAY_OR_TIME,
    "constant": CONSTANT,
}
_METADATA_ROLES = {"root_account_id": ROOT_ACCOUNT, "event_time": EVENT_TIME}

_loads = orjson.loads
_dumps = orjson.dumps
_SORTED = orjson.OPT_SORT_KEYS


cdef struct Findings:
    Field entity_id
    Field root_account_id
    Field event_time
    Moment moment
    int unknown_fields
    int unknown_values

cdef struct Word:
    const uint8_t* text
    Py_ssize_t size

cdef struct Rule:
    Word name
    int kinds
    Text text
    int64_t least  # of an integer, and 0 or 1; negative: any
    bint required
    Role role
    Word constant
    Word* known
    int known_count
    int check  # of an array or object: its number in the checks of the object, or -1

cdef inline bint same(Word word, const uint8_t* text, Py_ssize_t size) noexcept nogil:
    return word.size == size and memcmp(word.text, text, size) == 0


cdef inline uint32_t slot_of(const uint8_t* name, Py_ssize_t size) noexcept nogil:
    if size == 0:
        return 0
    return (<uint32_t> size * 31 + name[0] * 7 + name[size - 1] * 17 + name[size // 2] * 5) % SLOTS


cdef class _Object:
    """The rules of one object's fields."""

    cdef Rule* rules
    cdef int count
    cdef int required
    cdef uint8_t slots[SLOTS]  # of a hash table: a rule's number, counted from 1
    cdef list kept  # what the words of rules point into
    cdef list checks  # of arrays and objects

    def __cinit__(self, list rules, dict roles):
        if len(rules) > MOST_RULES:
            raise ValueError("too many rules")
        self.kept = []
        self.checks = []
        self.rules = <Rule*> PyMem_Calloc(len(rules) or 1, sizeof(Rule))
        if self.rules == NULL:
            raise MemoryError
        for rule in rules:
            self.add(rule, roles)

    def __dealloc__(self):
        cdef int index
        if self.rules != NULL:
            for index in range(self.count):
                PyMem_Free(self.rules[index].known)
            PyMem_Free(self.rules)

    cdef Word word(self, str text):
        cdef bytes kept = text.encode()
        cdef Word word
        self.kept.append(kept)
        word.text = <const uint8_t*> PyBytes_AS_STRING(kept)
        word.size = PyBytes_GET_SIZE(kept)
        return word

    cdef int add(self, rule, dict roles) except -1:
        cdef Rule* added = &self.rules[self.count]
        cdef uint32_t slot
        self.count += 1
        added.name = self.word(rule.name)
        for kind in rule.kinds:
            added.kinds |= <int> _KINDS[kind]
        added.text = <Text> <int> _TEXTS[rule.text]
        added.least = rule.least
        added.required = rule.required
        self.required += rule.required
        added.role = <Role> <int> roles.get(rule.name, NO_ROLE)
        added.check = -1
        if rule.compound is not None:
            added.check = len(self.checks)
            self.checks.append(Draft202012Validator(rule.compound).is_valid)
        if rule.text == "constant":
            added.constant = self.word(rule.constant)
        if rule.known:
            added.known = <Word*> PyMem_Calloc(len(rule.known), sizeof(Word))
            if added.known == NULL:
                raise MemoryError
            for value in rule.known:
                added.known[added.known_count] = self.word(value)
                added.known_count += 1
        slot = slot_of(added.name.text, added.name.size)
        while self.slots[slot]:
            slot = (slot + 1) % SLOTS
        self.slots[slot] = self.count
        return 0

    cdef const Rule* rule_of(self, const Field* field) noexcept nogil:
        cdef uint32_t slot = slot_of(field.name, field.name_size)
        cdef const Rule* rule
        while self.slots[slot]:
            rule = &self.rules[self.slots[slot] - 1]
            if same(rule.name, field.name, field.name_size):
                return rule
            slot = (slot + 1) % SLOTS
        return NULL

    cdef bint accepts(self, const Field* fields, int count, Findings* findings) noexcept nogil:
        """Whether each field is surely valid, and none is missing. Notes what it finds on the
        way.
        """
        cdef int index
        cdef int required = 0
        cdef const Field* field
        cdef const Rule* rule
        for index in range(count):
            field = &fields[index]
            rule = self.rule_of(field)
            if rule == NULL:
                findings.unknown_fields += 1
                continue
            if not rule.kinds & field.kind:
                return False
            if field.kind == STRING:
                if not accepts_text(rule, field, findings):
                    return False
            elif field.kind == INTEGER and rule.least >= 0 and (
            field.text[0] == c'-' or (field.text[0] == c'0' and rule.least > 0)):
                return False
            required += rule.required
            if rule.role == KEY:
                findings.entity_id = field[0]
            elif rule.role == ROOT_ACCOUNT:
                findings.root_account_id = field[0]
            elif rule.role == EVENT_TIME:
                findings.event_time = field[0]
        return required == self.required


cdef inline bint accepts_text(const Rule* rule, const Field* field,
Findings* findings) noexcept nogil:
    cdef Moment moment
    cdef int index
    if not rule.known_count:
        if rule.text == ANY:
            return True
        if rule.text == NOT_EMPTY:
            return field.size > 0
    if field.escaped:
        return False
    if rule.text == ID_OR_EMPTY and field.size == 0:
        return True
    if rule.text == ID or rule.text == ID_OR_ZERO or rule.text == ID_OR_EMPTY:
        return is_id(field.text, field.size, rule.text == ID_OR_ZERO)
    if rule.text == TIME:
        if not is_time(field.text, field.size, &moment):
            return False
        if rule.role == EVENT_TIME:
            findings.moment = moment
        return True
    if rule.text == DAY_OR_TIME:
        return is_date(field.text, field.size) or is_time(field.text, field.size, &moment)
    if rule.text == CONSTANT:
        return same(rule.constant, field.text, field.size)
    for index in range(rule.known_count):
        if same(rule.known[index], field.text, field.size):
            return True
    findings.unknown_values += 1
    return field.size > 0 or rule.text == ANY


cdef object value_of(const Field* field):
    if field.kind == NOTHING:
        return None
    text = PyUnicode_DecodeUTF8(<const char*> field.text, field.size, NULL)
    return int(text) if field.kind == INTEGER else text


cdef object text_key(const Field* field):
    """A key that is no id, or None; False: only a parser can say."""
    if field.kind == NOTHING or (field.kind == STRING and field.size == 0):
        return None
    if (field.kind == STRING and not field.escaped) or (
    field.kind == INTEGER and field.text[0] != c'-'):
        return slice_of(field.text, field.size)
    return False


cdef object nested_id(const Field* fields, int count, tuple path):
    """An id in a nested object, or None; False: only a parser can say."""
    cdef int index
    cdef bytes name = path[0].encode()
    value = None
    for index in range(count):
        if fields[index].name_size == len(name) and memcmp(
        fields[index].name, PyBytes_AS_STRING(name), len(name)) == 0:
            value = _loads(slice_of(fields[index].text, fields[index].size))
    for step in path[1:]:
        value = value.get(step) if type(value) is dict else None
    return value if value is None or type(value) is str or type(value) is int else False


cdef inline bytes slice_of(const uint8_t* text, Py_ssize_t size):
    return PyBytes_FromStringAndSize(<const char*> text, size)


cdef int settle(_Object rules, Field* fields, int count, list kept) except -2:
    """Read what only a parser can, and put its canonical form in its place. How many bytes longer
    all is then at most, or -1: no JSON, or an array or object that is not valid.
    """
    cdef int index
    cdef int longer = 0
    cdef bytes canonical
    cdef const Rule* rule
    for index in range(count):
        if fields[index].kind == OTHER:
            try:
                value = _loads(slice_of(fields[index].text, fields[index].size))
                canonical = _dumps(value, None, _SORTED)
            except (ValueError, TypeError):
                return -1
            if type(value) is float:
                fields[index].kind = FRACTION
            elif type(value) is list or type(value) is dict:
                rule = rules.rule_of(&fields[index])
                if rule != NULL and rule.check >= 0:
                    if not rules.checks[rule.check](value):
                        return -1
                    fields[index].kind = COMPOUND
            longer += max(0, len(canonical) - <int> fields[index].size)
            kept.append(canonical)
            fields[index].text = <const uint8_t*> PyBytes_AS_STRING(canonical)
            fields[index].size = PyBytes_GET_SIZE(canonical)
    return longer


cdef bint read_envelope(bytes value, Field* metadata, int* metadata_count, Field* body,
int* body_count) except -1:
    """Read the envelope. Returns whether it is one, in a form that the scanner reads."""
    cdef const uint8_t* start = <const uint8_t*> PyBytes_AS_STRING(value)
    cdef const uint8_t* end = start + PyBytes_GET_SIZE(value)
    cdef const uint8_t* p = after_space(start)
    cdef Field member
    if p[0] != c'{':
        return False
    while True:
        p = read_name(after_space(p + 1), end, &member)
        if p == NULL:
            return False
        if member.name_size == 4 and memcmp(member.name, b"body", 4) == 0:
            if body_count[0] >= 0:
                return False
            p = read_object(p, end, body, body_count)
        elif (member.name_size == 8 and memcmp(member.name, b"metadata", 8) == 0) or (
            member.name_size == 10 and memcmp(member.name, b"attributes", 10) == 0
        ):
            if metadata_count[0] >= 0:
                return False
            p = read_object(p, end, metadata, metadata_count)
        else:
            p = read_value(p, end, &member)
            if p != NULL and (member.escaped or member.kind == OTHER):
                try:
                    _loads(slice_of(member.text - member.escaped, member.size + 2 * member.escaped))
                except ValueError:
                    return False
        if p == NULL:
            return False
        p = after_space(p)
        if p[0] == c'}':
            break
        if p[0] != c',':
            return False
    if after_space(p + 1) != end or metadata_count[0] < 0 or body_count[0] < 0:
        return False
    if not value.isascii():
        try:
            PyUnicode_DecodeUTF8(<const char*> start, end - start, NULL)
        except UnicodeDecodeError:
            return False
    return True


cdef bytes write_canonical(const Field* metadata, int metadata_count, const Field* body,
int body_count, Py_ssize_t most):
    """The canonical form of ``{body, metadata}``, of at most ``most`` bytes. None: it has a string
    that the scanner does not read.
    """
    cdef bytes canonical = PyBytes_FromStringAndSize(NULL, most)
    cdef uint8_t* start = <uint8_t*> PyBytes_AS_STRING(canonical)
    cdef uint8_t* out = start
    memcpy(out, b'{"body":', 8)
    out = write_object(out + 8, body, body_count)
    if out == NULL:
        return None
    memcpy(out, b',"metadata":', 12)
    out = write_object(out + 12, metadata, metadata_count)
    if out == NULL:
        return None
    out[0] = c'}'
    return canonical[: out + 1 - start]


cdef class Scanner:
    """See app/rollcall/events/scan/_scanner.pyi."""

    cdef dict types
    cdef _Object dropped  # None: no members

    def __init__(self, types, dropped):
        self.types = {}
        for event_type, scannable in types.items():
            key_kind = NO_KEY
            metadata_roles, body_roles = dict(_METADATA_ROLES), {}
            nested = ()
            if scannable.key is not None:
                nested = scannable.key.path[1:]
                if len(nested) > 1:
                    key_kind = NESTED_ID_KEY
                else:
                    key_kind = ID_KEY if scannable.key.is_id else TEXT_KEY
                    roles = body_roles if scannable.key.is_in_body else metadata_roles
                    roles[nested[0]] = KEY
            self.types[scannable.name.encode()] = (
                event_type,
                _Object(list(scannable.metadata), metadata_roles),
                _Object(list(scannable.body), body_roles),
                key_kind,
                nested,
            )
        self.dropped = _Object(list(dropped), {}) if dropped else None

    def read(self, bytes value not None):
        """See app/rollcall/events/scan/_scanner.pyi."""
        cdef Findings findings
        cdef Moment moment
        cdef Field metadata[MOST_FIELDS]
        cdef Field body[MOST_FIELDS]
        cdef int metadata_count = -1
        cdef int body_count = -1
        cdef list kept = []
        cdef int longer, more, index
        cdef _Object of_metadata, of_body
        cdef int key_kind
        cdef tuple dropped = ()
        if not read_envelope(value, metadata, &metadata_count, body, &body_count):
            return None
        for index in range(metadata_count):
            if metadata[index].name_size == 10 and memcmp(metadata[index].name, b"event_name",
            10) == 0:
                known = self.types.get(slice_of(metadata[index].text, metadata[index].size))
                break
        else:
            return None
        if known is None:
            return None
        event_type, of_metadata, of_body, key_kind, nested = <tuple> known
        longer = settle(of_metadata, metadata, metadata_count, kept)
        more = settle(of_body, body, body_count, kept)
        if longer < 0 or more < 0:
            return None
        findings.entity_id.kind = findings.root_account_id.kind = findings.event_time.kind = NOTHING
        findings.unknown_fields = findings.unknown_values = 0
        if not of_metadata.accepts(metadata, metadata_count, &findings) or not of_body.accepts(body,
        body_count, &findings):
            return None
        if key_kind == ID_KEY:
            entity_id = value_of(&findings.entity_id)
        elif key_kind == TEXT_KEY:
            entity_id = text_key(&findings.entity_id)
        elif key_kind == NESTED_ID_KEY:
            entity_id = nested_id(body, body_count, <tuple> nested)
        else:
            entity_id = None
        if entity_id is False or not sort_fields(metadata, metadata_count) or not sort_fields(body,
        body_count):
            return None
        if self.dropped is not None:
            dropped = self.drop(value, metadata, &metadata_count)
            if dropped is None:
                return None
        canonical = write_canonical(metadata, metadata_count, body, body_count,
        PyBytes_GET_SIZE(value) + longer + more)
        if canonical is None:
            return None
        moment = findings.moment
        if moment.utc and -<int64_t> EXACT < moment.microseconds < <int64_t> EXACT:
            epoch = moment.microseconds / <double> MICROSECONDS
            time = slice_of(findings.event_time.text, findings.event_time.size)
        else:
            instant = read_valid_time(value_of(&findings.event_time))
            if instant is None:
                return None
            epoch, rfc3339 = instant
            time = rfc3339.encode()
        found = <Recognised> Recognised.__new__(Recognised)
        found.event_type = event_type
        found.entity_id = entity_id
        found.root_account_id = value_of(&findings.root_account_id)
        found.epoch = epoch
        found.time = time
        found.canonical = canonical
        found.unknown_fields = findings.unknown_fields
        found.unknown_values = findings.unknown_values
        found.dropped = dropped
        return found

    cdef tuple drop(self, bytes value, Field* metadata, int* count):
        """Take the dropped members out of the metadata. Returns where each begins, and its name.
        None: a string that is no JSON, or that the scanner does not read.
        """
        cdef int index
        cdef int kept = 0
        cdef Field* field
        cdef list dropped = []
        cdef bytes unescaped
        for index in range(count[0]):
            field = &metadata[index]
            if self.dropped.rule_of(field) == NULL:
                metadata[kept] = field[0]
                kept += 1
                continue
            if field.escaped:  # what is published is looked at when it is written
                unescaped = PyBytes_FromStringAndSize(NULL, field.size)
                if write_unescaped(<uint8_t*> PyBytes_AS_STRING(unescaped), field.text,
                field.text + field.size) == NULL:
                    return None
            name = PyUnicode_DecodeUTF8(<const char*> field.name, field.name_size, NULL)
            dropped.append((<const char*> field.name - 1 - PyBytes_AS_STRING(value), name))
        count[0] = kept
        return tuple(sorted(dropped))
