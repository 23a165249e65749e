"""Writes generated roster rows to the roster topics, in place of a rosters process."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import uvloop
from aiokafka import AIOKafkaProducer

from rollcall.kafka.batches import BatchedOutputs
from rollcall.kafka.partitioner import partitioner
from rollcall.record import NO_HEADERS
from rollcall.sandbox.bench.typed import chunks_at_rate, chunks_of

HOME = 2107 * 10_000_000_000_000
LARGE_COURSE = HOME + 1
COURSE_ROWS = 50
"""Enrollments in each course but the large one."""

USERS = 200_000

_ENROLLMENT = (
    '{"enrollment_id":"%d","course_id":"%d","course_section_id":"%d","user_id":"%d","user_name":'
    '"Isaac Newton %d","type":"%s","workflow_state":"active","limit_privileges_to_course_section":'
    'false,"created_at":"2024-03-29T15:43:00-07:00","updated_at":"2024-03-29T15:%02d:%02d-07:00",'
    '"course_uuid":"RgDOeYBBwRlAqJPHxqZ3dXpUNsVyHBPOJhYbpDMf",'
    '"user_uuid":"cqRNSRjBz6gVvEXgPq8HGuyC3CYMFQW7kAHAAyzl",'
    '"state":"%s","state_reason":"dates","as_of":"2024-03-29T22:43:%02d.%03dZ"}'
)
_SECTION = (
    '{"course_section_id":"%d","course_id":"%d","root_account_id":"%d","name":"Section '
    '%d","workflow_state":"active","sis_source_id":"S-%d",%s}'
)
_USER = (
    '{"user_id":"%d","uuid":"cqRNSRjBz6gVvEXgPq8H","name":"Isaac Newton '
    '%d","short_name":"Isaac","workflow_state":"registered",%s}'
)
_MORE = (
    '"created_at":"2024-03-29T22:43:00Z","updated_at":"2024-03-29T22:43:00Z",'
    '"user_login":"user%d@example.com","user_sis_id":"S-%d",%s'
)
_COURSE = (
    '{"course_id":"%d","uuid":"RgDOeYBBwRlA","account_id":"%d","name":"Course '
    '%d","workflow_state":"available","created_at":"2024-03-29T22:43:00Z",%s}'
)
_SHOWN = '"state":"%s","state_reason":"%s","as_of":"2024-03-29T22:43:00.000Z"'


class RosterRecord(NamedTuple):
    """A record for a roster topic."""

    relation: str
    key: bytes
    value: bytes


def enrollment(number: int, large: int, state: str = "active") -> RosterRecord:
    """The enrollment with a number. The first ``large`` ones are in one course with 25 sections."""
    if number <= large:
        course, section = LARGE_COURSE, HOME + 1 + number % 25
    else:
        course = HOME + 2 + (number - large - 1) // COURSE_ROWS
        section = course + 1_000
    user = HOME + 1 + number % USERS
    kind = "TeacherEnrollment" if number % 50 == 0 else "StudentEnrollment"
    value = _ENROLLMENT % (
        HOME + number,
        course,
        section,
        user,
        number % USERS,
        kind,
        number % 60,
        number % 60,
        state,
        number % 60,
        number % 1000,
    )
    return RosterRecord("enrollments", b"%d/%d" % (course, HOME + number), value.encode())


def all_rows(count: int, large: int) -> Iterator[RosterRecord]:
    """``count`` enrollments, with their users, courses and sections."""
    courses = [LARGE_COURSE, *range(HOME + 2, HOME + 2 + -(-(count - large) // COURSE_ROWS))]
    for course in courses:
        value = _COURSE % (course, HOME + 1, course - HOME, _SHOWN % ("available", "course"))
        yield RosterRecord("courses", b"%d" % course, value.encode())
        sections = range(HOME + 1, HOME + 26) if course == LARGE_COURSE else [course + 1_000]
        for section in sections:
            value = _SECTION % (
                section,
                course,
                HOME + 1,
                section - HOME,
                section - HOME,
                _SHOWN % ("active", "section"),
            )
            yield RosterRecord("sections", b"%d/%d" % (course, section), value.encode())
    for user in range(1, min(USERS, count) + 1):
        value = _USER % (HOME + user, user, _MORE % (user, user, _SHOWN % ("registered", "user")))
        yield RosterRecord("users", b"%d" % (HOME + user), value.encode())
    for number in range(1, count + 1):
        yield enrollment(number, large)


def changes(count: int, large: int, seed: int) -> Iterator[RosterRecord]:
    """An endless sequence of changed enrollments; one in ten is in the large course."""
    chance = random.Random(seed)  # noqa: S311
    while True:
        number = (
            chance.randint(1, large) if chance.random() < 0.1 else chance.randint(large + 1, count)
        )
        yield enrollment(
            number, large, chance.choice(("active", "inactive", "completed", "invited"))
        )


async def send_rows(
    bootstrap: str,
    prefix: str,
    partitions: int,
    records: Iterable[RosterRecord],
    rate: float | None,
) -> int:
    """Send records in chunks, each after the acknowledgement of the last one; return their number.
    ``rate``: records a second; None: no limit.
    """
    partition_of = partitioner(partitions)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    sent = 0
    try:
        async for chunk in (
            chunks_of(records) if rate is None else chunks_at_rate(list(records), rate)
        ):
            outputs = BatchedOutputs(producer)
            for relation, key, value in chunk:
                outputs.append(
                    f"{prefix}.rosters.{relation}",
                    partition_of(key.partition(b"/")[0]),
                    key,
                    value,
                    None,
                    NO_HEADERS,
                )
            await outputs.send()
            sent += len(chunk)
        return sent
    finally:
        await producer.stop()


def main() -> None:
    """Send changes at a steady rate, and print their number. Runs as a process, so that its CPU
    time is not that of the process under test.

    Arguments: bootstrap servers, topic prefix, partitions, enrollments, enrollments in the large
    course, records per second, seconds.
    """
    bootstrap, prefix, partitions, count, large, rate, seconds = sys.argv[1:]
    records = itertools.islice(
        changes(int(count), int(large), 1), int(float(rate) * float(seconds))
    )
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    print(asyncio.run(send_rows(bootstrap, prefix, int(partitions), records, float(rate))))


if __name__ == "__main__":
    main()
