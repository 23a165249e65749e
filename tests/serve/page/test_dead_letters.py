"""The last dead letters: the view of one, and the end of a topic on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from hypothesis import given
from hypothesis import strategies as st

from rollcall.dead_letters.outline import known_words
from rollcall.dead_letters.view import view_of
from rollcall.events.outcomes import DeadLetter, ErrorCode
from rollcall.process.dead_letter_records import dead_letter_headers
from rollcall.serve.page.dead_letters import BEFORE_THE_END, MOST_KEPT, DeadLetters
from rollcall.settings import load_settings
from tests.dead_letters.records import Stored
from tests.kafka_client import Sent, create_topic, delete_topic, send
from tests.waiting import eventually, in_time

WORDS = known_words()
VALUE = orjson.dumps(
    {"metadata": {"event_name": "user_created", "event_time": 5}, "body": {"name": "Isaac Newton"}}
)


def headers_of(
    code: ErrorCode = ErrorCode.SCHEMA_VIOLATION, offset: int = 7
) -> list[tuple[str, bytes | None]]:
    """As the router writes them."""
    letter = DeadLetter(
        code,
        "type: must be a time",
        "/metadata/event_time",
        "urn:rollcall:canvas:user_created:1.0.0",
        "user_created",
        VALUE,
        [],
        False,
    )
    return dead_letter_headers(letter, "canvas.raw", 2, offset)


def test_what_is_shown_of_a_letter() -> None:
    letter = view_of(
        Stored(VALUE, headers_of(), partition=1, offset=2**60, timestamp=1_541_000_000_123), WORDS
    ).as_json()
    assert letter["id"] == f"1-{2**60}"
    assert letter["at"] == "2018-10-31T15:33:20.123Z"
    assert (letter["code"], letter["message"], letter["path"]) == (
        "schema_violation",
        "type: must be a time",
        "/metadata/event_time",
    )
    assert letter["schema"] == "urn:rollcall:canvas:user_created:1.0.0"
    assert letter["from"] == {"topic": "canvas.raw", "partition": "2", "offset": "7"}
    assert letter["event_name"] == "user_created"
    assert letter["size"] == str(len(VALUE))
    assert [1, "name", "text, 12 characters"] in letter["lines"]
    assert b"Newton" not in orjson.dumps(letter)


def test_the_name_of_a_typed_event_is_known_by_its_header() -> None:
    assert (
        view_of(Stored(b"cut off", [("ce_type", b"group_created")]), WORDS).event_name
        == "group_created"
    )
    assert view_of(Stored(b"cut off", [("ce_type", b"Isaac Newton")]), WORDS).event_name is None


def test_a_value_that_is_withheld_is_told_from_an_empty_one() -> None:
    assert view_of(Stored(b"", [("rollcall.dropped", b"*")]), WORDS).outline.kind.startswith(
        "withheld"
    )
    assert not view_of(
        Stored(b"", [("rollcall.dropped", b"client_ip")]), WORDS
    ).outline.kind.startswith("withheld")


header_values = st.none() | st.binary(max_size=20)


@given(
    st.none() | st.binary(),
    st.lists(
        st.tuples(
            st.text() | st.sampled_from(["rollcall.error.code", "rollcall.error.size", "ce_type"]),
            header_values,
        )
    ),
    st.integers(),
)
def test_any_record_can_be_shown(
    value: bytes | None, headers: list[tuple[str, bytes | None]], timestamp: int
) -> None:
    assert (
        orjson.loads(
            orjson.dumps(
                view_of(Stored(value, headers, offset=1, timestamp=timestamp), WORDS).as_json()
            )
        )["id"]
        == "0-1"
    )


def test_so_many_are_kept() -> None:
    letters = DeadLetters(load_settings(kafka="127.0.0.1:1"), "127.0.0.1:1")
    letters.add(
        view_of(Stored(b"", offset=number, timestamp=1000 - number), WORDS) for number in range(3)
    )
    assert [one["offset"] for one in letters.view()["letters"]] == ["0", "1", "2"], (
        "the latest first"
    )
    letters.add(view_of(Stored(b"", offset=number), WORDS) for number in range(500))
    assert len(letters.view()["letters"]) == MOST_KEPT
    assert letters.view()["version"] == 2


@asynccontextmanager
async def followed(bootstrap: str, prefix: str) -> AsyncIterator[DeadLetters]:
    """The end of a topic."""
    letters = DeadLetters(load_settings(topic_prefix=prefix), bootstrap)
    task = asyncio.create_task(letters.run())
    try:
        yield letters
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_end_of_a_topic_is_followed(bootstrap: str, prefix: str) -> None:
    topic = f"{prefix}.dead-letter"

    def sent(number: int, partition: int) -> Sent:
        headers = tuple((name, content or b"") for name, content in headers_of(offset=number))
        return Sent(
            VALUE, partition=partition, headers=headers, timestamp_ms=1_700_000_000_000 + number
        )

    async with followed(bootstrap, prefix) as letters:
        await eventually(lambda: "is not there yet" in (letters.problem or ""), what="the letters")
        await asyncio.to_thread(create_topic, bootstrap, topic, 2)
        await eventually(lambda: letters.problem is None, what="the letters")
        assert letters.view()["letters"] == []
        await asyncio.to_thread(
            send,
            bootstrap,
            topic,
            [sent(number, number % 2) for number in range(4)],
            transactional_id=prefix,
        )
        await eventually(lambda: len(letters.view()["letters"]) == 4, what="the letters")
        # What is never committed is never seen.
        await asyncio.to_thread(
            send, bootstrap, topic, [sent(90, 0)], transactional_id=prefix, commit=False
        )
        await asyncio.to_thread(send, bootstrap, topic, [sent(4, 1)], transactional_id=prefix)
        await eventually(lambda: len(letters.view()["letters"]) == 5, what="the letters")
        assert {one["from"]["offset"] for one in letters.view()["letters"]} == {
            "0",
            "1",
            "2",
            "3",
            "4",
        }

    # Whoever comes later sees the end of each partition, in the order of time.
    await asyncio.to_thread(
        send, bootstrap, topic, [sent(number, number % 2) for number in range(100, 300)]
    )
    async with followed(bootstrap, prefix) as letters:
        await eventually(lambda: bool(letters.view()["letters"]), what="the letters")
        numbers = [int(one["from"]["offset"]) for one in letters.view()["letters"]]
        assert numbers == sorted(range(300 - 2 * BEFORE_THE_END, 300), reverse=True)
        # A topic that is made anew begins at zero again.
        await asyncio.to_thread(delete_topic, bootstrap, topic)
        await asyncio.to_thread(create_topic, bootstrap, topic, 2)
        await asyncio.to_thread(send, bootstrap, topic, [sent(1000, 0)])
        await eventually(
            lambda: letters.view()["letters"][0]["from"]["offset"] == "1000", what="the letters"
        )


async def test_kafka_may_be_away() -> None:
    letters = DeadLetters(load_settings(), "127.0.0.1:1")
    task = asyncio.create_task(letters.run())
    await eventually(lambda: "does not answer" in (letters.problem or ""), what="the letters")
    task.cancel()
    await in_time(asyncio.gather(task, return_exceptions=True), what="the end of the task")
    assert letters.view()["problem"]
