"""Pools of values for fields of events, serialized in advance: an event then costs one choice for
each field, and no serialization.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import cache, lru_cache
from random import Random

from rollcall.sandbox.canvas.fields import Field, FieldKind

Pool = Sequence[bytes]
"""Values as JSON."""

SHARD = 2107
OTHER_SHARD = 17
SHARD_SIZE = 10_000_000_000_000

CREDENTIAL = "7~trafficTrafficTRAFFIC0123456789"
"""The only credential in the traffic. Redaction must remove it everywhere."""

_USUAL_COUNT = 2_048

_COUNTS = {
    "enrollment": 16_384,
    "course": 500,
    "section": 1_000,
    "user": 8_192,
    "group": 2_048,
    "group_category": 256,
    "group_membership": 16_384,
    "account": 100,
    "root_account": 1,
    "account_notification": 500,
    "term": 20,
    "developer_key": 20,
    "submission": 16_384,
    "grade_status": 8,
    "grading_period": 8,
    "external_tool": 20,
}
"""Number of entities of each kind, if it is not :data:`_USUAL_COUNT`: few enough that each has many
events.
"""

_NAMES = (
    "Isaac Newton", "Grace Hopper", "Ada Lovelace", "Zoë Kravčenko", "José Ñandú", "李小龍",
    "山田 太郎", "Владимир Ёлкин", "محمد علي", "אברהם כהן",
    "Nguyễn Thị Minh", "Ólafur Þór", "Siobhán O'Connor", 'Robert "Bob" Tables', "Back\\slash",
    "Ümlaut-Straße", "🦉 Owl", "a\u0301 decomposed", "Łukasz Żółć",
    "tab\there", "100 % sure", "<b>bold</b>", "", "İpek",
)  # fmt: skip

_TITLES = (
    "Linear Algebra", "Live_events_Group1", "Group 1", "Mathématiques II", "化学入門", "Философия",
    "Section A / B", 'Intro to "Quotes"', "Team 🚀",
    "Übung 3 (50 %)", "Organic Chemistry",
)  # fmt: skip

_TEXTS: dict[str, tuple[str, ...]] = {
    "status": ("paid", "trial", "active"),
    "host": ("example.instructure.com", "oxana.instructure.com", "canvas.example.edu"),
    "zone": ("America/Chicago", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Etc/UTC"),
    "locale": ("en", "de", "zh-Hant", "pt-BR"),
    "icon": ("information", "warning", "question", "calendar", "error"),
    "role": ("TeacherEnrollment", "StudentEnrollment", "AccountAdmin", "User"),
    "agent": (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_3) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/73.0.3683.103 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "python-requests/2.32.3",
        "CanvasStudent/7.1 (Android 14)",
    ),
    "url": (
        "https://oxana.instructure.com/api/v1/sections/4811/enrollments?enrollment[user_id]=20064&enrollment[type]=StudentEnrollment&enrollment[notify]=true",
        "https://oxana.instructure.com/api/v1/courses/565/sections",
        "https://oxana.instructure.com/courses/2635/gradebook",
        "https://oxana.instructure.com/api/v1/group_categories/49/groups?per_page=100&page=2",
    ),
    "map": (
        "",
        f"https://files.example.edu/maps/5512.json?access_token={CREDENTIAL}",
        "https://files.example.edu/maps/5513.json",
    ),
    "submission_types": ("online_upload", "online_text_entry,online_url", "on_paper, none", "none"),
    "grade": ("17.5", "5", "A-", "complete", "Missing", "", "85%"),
    "rules": ("drop_lowest:1\n", "drop_highest:1\nnever_drop:123\n", ""),
    "file": ("notes%20on%20osmosis.pdf", "Bericht_%C3%9C.docx", "data.csv"),
    "media": ("application/pdf", "image/png", "unknown/unknown"),
    "color": ("127A1B", "0B874B", "E0061F"),
    "html": (
        "<p>This is a new Announcement</p>",
        "<p>Die Prüfung fällt aus.</p>",
        '<a href="https://example.edu/?a=1&amp;b=2">more</a>',
        "<p>" + "All classes are moved to the main hall. " * 40 + "</p>",
    ),
}

_CREDENTIAL_URLS = (
    f"https://oxana.instructure.com/api/v1/courses/565/enrollments?access_token={CREDENTIAL}",
    f"https://oxana.instructure.com/api/v1/users/self?access_token={CREDENTIAL}&per_page=10",
    f"https://oxana.instructure.com/login/oauth2/auth?redirect=https%3A%2F%2Fexample.edu%2F%3Faccess_token%3D{CREDENTIAL}%26a%3Db",
    f"https://oxana.instructure.com/api/v1/groups/51?a=1&refresh_token={CREDENTIAL}#top",
)


class Pools:
    """All pools of one run. The same random numbers give the same pools.

    Args:
        random: source of random numbers.
        until_ms: the latest time in bodies, milliseconds since the epoch.
    """

    def __init__(self, random: Random, until_ms: int) -> None:
        self._random = random
        self._until = datetime.fromtimestamp(until_ms / 1000, UTC)
        self._tokens = [
            _quoted(
                "".join(
                    random.choices(
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=40
                    )
                )
            )
            for _ in range(1_024)
        ]
        self._sessions = [_quoted(f"{random.getrandbits(128):032x}") for _ in range(1_024)]
        self._requests = [
            _quoted(str(uuid.UUID(int=random.getrandbits(128), version=4))) for _ in range(4_096)
        ]
        self._addresses = [_quoted(f"192.0.2.{number}") for number in range(1, 255)] + [
            _quoted(f"2001:db8::{number:x}") for number in range(1, 100)
        ]
        self._logins = [
            _quoted(f"{login}@example.com") for login in ("oxana", "test", "jörg", "李")
        ] + [_quoted(f"user{number}") for number in range(500)]
        self._foreign = (
            [_quoted(f"2017.100.101.{number}") for number in range(200)]
            + [str(number).encode() for number in range(50)]
            + [b'""', _quoted("ß-7")]
        )
        self._names = [
            *map(_quoted, _NAMES),
            *map(_escaped, _NAMES),
            *(_quoted(f"Test Student {number}") for number in range(200)),
        ]
        self._titles = [
            *map(_quoted, _TITLES),
            *map(_escaped, _TITLES),
            *(_quoted(f"{title} {number}") for title in _TITLES for number in range(20)),
        ]
        self._texts = {name: list(map(_quoted, texts)) for name, texts in _TEXTS.items()}
        # some JSON libraries escape "&" or "/"
        self.credential_urls: Pool = [
            text
            for url in _CREDENTIAL_URLS
            for text in (
                _quoted(url),
                _quoted(url).replace(b"&", b"\\u0026"),
                _quoted(url).replace(b"/", b"\\/"),
            )
        ]
        self.ids = cache(self._ids)
        self.times = cache(self._times)

    def texts(self, pool: str) -> Pool:
        """Texts of a pool, named as in :attr:`rollcall.sandbox.canvas.fields.Field.pool`."""
        match pool:
            case "name":
                return self._names
            case "title":
                return self._titles
            case "token":
                return self._tokens
            case "session":
                return self._sessions
            case "request":
                return self._requests
            case "address":
                return self._addresses
            case "login":
                return self._logins
        return self._texts[pool]

    def values(self, field: Field) -> Pool:
        """Valid values of a field, all in one random format, usually Canvas's own."""
        match field.kind:
            case FieldKind.ID | FieldKind.ID_OR_ZERO:
                usual = self._random.random() < 0.8
                local = field.local if usual else self._random.random() < 0.5
                number = field.number if usual else self._random.random() < 0.5
                if field.kind is FieldKind.ID_OR_ZERO and self._random.random() < 0.2:
                    return (b"0",) if number else (b'"0"',)
                return self.ids(field.pool, local, number)
            case FieldKind.TIME:
                return self.times(self._random.randrange(_DAY))
            case FieldKind.WORD:
                return _words(field.words)
            case FieldKind.TEXT:
                return self.texts(field.pool)
            case FieldKind.FLAG:
                return (b"true", b"false")
            case FieldKind.COUNT:
                return _SMALL_NUMBERS
            case FieldKind.ID_OR_EMPTY:
                return (*self.ids(field.pool, field.local, field.number), b'""')
            case FieldKind.IDS:
                return _lists(self.ids(field.pool, field.local, field.number))
            case FieldKind.DAY:
                return self.times(_DAY) if self._random.random() < 0.8 else self.times(1)
            case FieldKind.NUMBER:
                return _NUMBERS
            case FieldKind.FOREIGN_IDS:
                return _lists(self._foreign)
            case FieldKind.ANY_OBJECT:
                return _OBJECTS
            case FieldKind.ANY:
                return (*_OBJECTS, b"null", b'"https://files.example.edu/maps/1.json"', b"[1.5]")
            case FieldKind.FOREIGN:
                return self._foreign
            case FieldKind.WORDS:
                return _word_lists(field.words)
            case FieldKind.NULL:
                return (b"null",)
            case FieldKind.OBJECT | FieldKind.OBJECTS:
                raise ValueError("an object has no pool of values: its fields have")

    def _ids(self, entity: str, local: bool, number: bool) -> Pool:
        first = 1 if entity == "root_account" else 101
        numbers = list(range(first, first + _COUNTS.get(entity, _USUAL_COUNT)))
        if not local:
            # a user may live on another shard than the event's institution
            numbers = [
                number
                + SHARD_SIZE * (OTHER_SHARD if entity == "user" and number % 20 == 0 else SHARD)
                for number in numbers
            ]
        return [str(id_).encode() if number else b'"%d"' % id_ for id_ in numbers]

    def _times(self, form: int) -> Pool:
        write = _TIME_FORMS[form]
        moments = (
            self._until - timedelta(milliseconds=self._random.randrange(2 * 365 * 86_400_000))
            for _ in range(1_024)
        )
        return [write(moment) for moment in moments]


@cache
def _words(words: tuple[str, ...]) -> Pool:
    return tuple(map(_quoted, words))


@cache
def _word_lists(words: tuple[str, ...]) -> Pool:
    return (b"[]", json.dumps(words[:1]).encode(), json.dumps(words).encode())


def _lists(values: Pool) -> Pool:
    """Lists of up to three of these values."""
    return tuple(
        b"[%b]" % b",".join(values[start : start + size])
        for start in range(20)
        for size in range(4)
    )


_NUMBERS: Pool = (
    *(b"%d" % number for number in range(0, 101, 5)),
    *(b"%d.0" % number for number in range(0, 101, 5)),
    *(b"%d.%d" % (number, number % 9 + 1) for number in range(100)),
    *(b"0.333333333333333", b"66.66666666666667", b"100.00", b"1e2", b"-1.5", b"0.0"),
)
"""Scores and points: mostly as Canvas writes them, also with needless digits."""

_OBJECTS: Pool = (
    b"{}",
    b'{"content":true,"points":true,"due_dates":false}',
    b'{"Assignment":{"content":true},"Quizzes::Quiz":{"content":false,"points":null}}',
    b'{"quizzes2":{"assignment":{"title":"Quiz"}},"is_set_up":false,"list":[1,2.5,"x"]}',
)

_SMALL_NUMBERS: Pool = tuple(str(number).encode() for number in range(200))


def _quoted(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def _escaped(text: str) -> bytes:
    return json.dumps(text).encode()


def _zoned(offset_hours: float, pattern: str, separator: str) -> Callable[[datetime], bytes]:
    """A function that formats a time in the acting user's zone.

    Args:
        offset_hours: the zone's offset.
        pattern: format of the time without offset, for ``strftime``.
        separator: text between hours and minutes of the offset.
    """
    zone = timezone(timedelta(hours=offset_hours))

    def write(moment: datetime) -> bytes:
        hours, minutes = divmod(int(abs(offset_hours) * 60), 60)
        offset = f"{'-' if offset_hours < 0 else '+'}{hours:02d}{separator}{minutes:02d}"
        return f'"{moment.astimezone(zone).strftime(pattern)}{offset}"'.encode()

    return write


_TIME_FORMS: tuple[Callable[[datetime], bytes], ...] = (
    lambda moment: f'"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"'.encode(),
    lambda moment: f'"{moment:%Y-%m-%dT%H:%M:%S}Z"'.encode(),
    _zoned(-7, "%Y-%m-%dT%H:%M:%S", ":"),
    _zoned(5.5, "%Y-%m-%dT%H:%M:%S", ":"),
    _zoned(-8, "%Y-%m-%d %H:%M:%S ", ""),
    _zoned(0, "%Y-%m-%dT%H:%M:%S.%f", ":"),
    lambda moment: f'"{moment:%Y-%m-%d %H:%M:%S} UTC"'.encode(),
    lambda moment: f'"{moment:%Y-%m-%d}"'.encode(),
)
_DAY = len(_TIME_FORMS) - 1
"""Index of the form without a time."""


@lru_cache(maxsize=8_192)
def _second(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def utc_milliseconds(ms: int) -> bytes:
    """An event_time in the format of current Canvas."""
    seconds, rest = divmod(ms, 1000)
    return b'"%b.%03dZ"' % (_second(seconds), rest)


def utc_seconds(ms: int) -> bytes:
    """An event_time in the format of older Canvas."""
    return b'"%bZ"' % _second(ms // 1000)


def zoned_seconds(ms: int) -> bytes:
    """A time with the offset -07:00."""
    return b'"%b-07:00"' % _second(ms // 1000 - 7 * 3600)


def rails_seconds(ms: int) -> bytes:
    """A time in the default format of Rails."""
    return b'"%b -0800"' % _second(ms // 1000 - 8 * 3600).replace(b"T", b" ")
