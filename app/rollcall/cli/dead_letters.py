"""``rollcall dead-letters``: what was set aside, seen, sent again, written out."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer

from rollcall.events.outcomes import ErrorCode

dead_letters_cli = typer.Typer(
    no_args_is_help=True,
    help="Records that were set aside: counted, shown, sent again, written out.",
)

DEFAULT_ATTEMPTS = 3


class Origin(StrEnum):
    """Where to look."""

    DEAD_LETTER = "dead-letter"
    UNKNOWN = "unknown"


From = Annotated[
    Origin,
    typer.Option("--from", help="The topic: dead letters, or events whose name had no schema."),
]
Code = Annotated[
    list[ErrorCode] | None,
    typer.Option(help="Only with this code; may be repeated. Unknown events have none."),
]
Event = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Only of this event_name; may be repeated.")
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Only with this timestamp or a later one: 2h or 3d ago, 2024-03-29, "
        "2024-03-29T15:43:00Z.",
    ),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only with an earlier timestamp.")]
Partition = Annotated[int | None, typer.Option(min=0, help="Only in this partition.")]
Offset = Annotated[
    int | None, typer.Option(min=0, help="Only the record at this offset, of --partition.")
]
FromOffset = Annotated[
    int | None, typer.Option(min=0, help="Only from this offset on, of --partition.")
]
ToOffset = Annotated[
    int | None, typer.Option(min=0, help="Only before this offset, of --partition.")
]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw", help="What records say, as it is: personal data, and whatever else somebody sent."
    ),
]


@dead_letters_cli.command("list")
def list_counts(
    origin: From = Origin.DEAD_LETTER,
    code: Code = None,
    event: Event = None,
    since: Since = None,
    until: Until = None,
    partition: Partition = None,
    offset: Offset = None,
    from_offset: FromOffset = None,
    to_offset: ToOffset = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One JSON object: the number of records, and groups by code, event, schema, path "
            "and hour.",
        ),
    ] = False,
) -> None:
    """Count what was set aside: why, of which event, where in it, and when.

    Reads what is committed now, without a consumer group. The hour is that of the record's
    timestamp.
    """
    import asyncio

    from rollcall.cli.printing import print_parts, until_nobody_reads
    from rollcall.cli.selecting import place_of
    from rollcall.dead_letters.outline import known_words
    from rollcall.dead_letters.reading import read_selected
    from rollcall.dead_letters.report import tally_report
    from rollcall.dead_letters.selection import Selection
    from rollcall.dead_letters.tally import Tally

    place = place_of(origin, code, event, since, until, partition, offset, from_offset, to_offset)
    tally = Tally(known_words())

    async def count_all() -> tuple[int, int]:
        read = fitting = 0
        async for batch in read_selected(*place):
            read += batch.read
            fitting += len(batch.records)
            for record in batch.records:
                tally.add(record)
        return read, fitting

    read, fitting = asyncio.run(count_all())
    with until_nobody_reads():
        if as_json:
            groups = [
                group._asdict() | {"count": count}
                for group, count in sorted(
                    tally.counts.items(), key=lambda item: (-item[1], str(item[0]))
                )
            ]
            print(json.dumps({"topic": place.topic, "records": fitting, "groups": groups}))
            return
        if fitting:
            print_parts(*tally_report(tally, with_errors=origin is Origin.DEAD_LETTER))
        of = "" if place.selection == Selection() else f" that fit, of {read:,} that were read"
        print(f"{fitting:,} record{'' if fitting == 1 else 's'} on {place.topic}{of}")


@dead_letters_cli.command()
def show(
    origin: From = Origin.DEAD_LETTER,
    code: Code = None,
    event: Event = None,
    since: Since = None,
    until: Until = None,
    partition: Partition = None,
    offset: Offset = None,
    from_offset: FromOffset = None,
    to_offset: ToOffset = None,
    limit: Annotated[
        int,
        typer.Option(
            min=1, help="So many records at most, in the order of partitions and offsets."
        ),
    ] = 5,
    raw: Raw = False,
) -> None:
    """Show records: where they came from, what is wrong, and how their values are built, but not
    what they say.

    With --raw, only the values, each with a line end behind it: byte for byte into a file or a
    pipe, without what steers a terminal on one.
    """
    import asyncio
    from contextlib import aclosing

    from rollcall.cli.printing import print_parts, print_value, until_nobody_reads
    from rollcall.cli.selecting import place_of
    from rollcall.dead_letters.outline import known_words
    from rollcall.dead_letters.reading import read_selected
    from rollcall.dead_letters.report import letter_report

    place = place_of(origin, code, event, since, until, partition, offset, from_offset, to_offset)
    words = known_words()

    async def print_some() -> None:
        shown = 0
        async with aclosing(read_selected(*place)) as batches:
            async for batch in batches:
                for record in batch.records[: limit - shown]:
                    if raw:
                        print_value(record.value or b"")
                    else:
                        print_parts(*([""] if shown else []), *letter_report(record, words))
                    shown += 1
                if shown == limit:
                    return
        if not shown:
            raise place.nothing()

    with until_nobody_reads():
        asyncio.run(print_some())


@dead_letters_cli.command()
def replay(
    origin: From = Origin.DEAD_LETTER,
    code: Code = None,
    event: Event = None,
    since: Since = None,
    until: Until = None,
    partition: Partition = None,
    offset: Offset = None,
    from_offset: FromOffset = None,
    to_offset: ToOffset = None,
    send: Annotated[
        bool,
        typer.Option("--send", help="Send. Without it nothing is sent: only said what would be."),
    ] = False,
    most_attempts: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Leave dead letters that have failed so often. [default: {DEFAULT_ATTEMPTS}]",
        ),
    ] = None,
    also_invalid: Annotated[
        bool,
        typer.Option(
            "--also-invalid",
            help="Send also what would fail again by the schemas that are installed here.",
        ),
    ] = False,
) -> None:
    """Send to the raw topic again what would be valid now; the router judges it anew.

    Only with --send; without it, say what would be sent. Records stay where they are, so what is
    replayed twice is twice on the typed topic, with one ce_id: rosters do not mind. Broken off, it
    can be run again: nothing is lost. Restart the routers with mended schemas first.
    """
    import asyncio

    from rollcall.cli.printing import print_parts, until_nobody_reads
    from rollcall.cli.selecting import place_of
    from rollcall.dead_letters.outline import known_words
    from rollcall.dead_letters.replay import Judge, ReplayPolicy
    from rollcall.dead_letters.report import replay_report
    from rollcall.dead_letters.sending import Replay, rehearse, send_again
    from rollcall.errors import ConfigurationError, RollcallError
    from rollcall.process.topics import TopicNames
    from rollcall.router.judging import new_pipeline

    if origin is Origin.UNKNOWN and most_attempts is not None:
        raise ConfigurationError(
            "--most-attempts is for dead letters: unknown events count none; leave it out"
        )
    place = place_of(origin, code, event, since, until, partition, offset, from_offset, to_offset)
    policy = ReplayPolicy(
        DEFAULT_ATTEMPTS if most_attempts is None else most_attempts, also_invalid
    )
    state = Replay(
        Judge(new_pipeline(place.settings), policy, shard=place.settings.shard), known_words()
    )
    try:
        asyncio.run((send_again if send else rehearse)(*place, state))
    except (RollcallError, KeyboardInterrupt):
        if send and state.counts:
            print(
                f"rollcall: broken off, {state.sent:,} records were sent for certain; run it "
                "again: it begins anew, and nothing is lost",
                file=sys.stderr,
            )
        raise
    if not state.counts:
        raise place.nothing()
    with until_nobody_reads():
        print_parts(*replay_report(state))
        total, raw_topic = sum(state.counts.values()), TopicNames(place.settings.topic_prefix).raw
        if send:
            print(f"{state.sent:,} of {total:,} records of {place.topic} were sent to {raw_topic}")
        else:
            print(
                f"{state.to_send:,} of {total:,} records of {place.topic} would be sent to "
                f"{raw_topic}; none was: add --send"
            )


@dead_letters_cli.command()
def export(
    origin: From = Origin.DEAD_LETTER,
    code: Code = None,
    event: Event = None,
    since: Since = None,
    until: Until = None,
    partition: Partition = None,
    offset: Offset = None,
    from_offset: FromOffset = None,
    to_offset: ToOffset = None,
    output: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="Write there, to a file that does not exist yet, for its owner only.",
        ),
    ] = None,
    raw: Raw = False,
) -> None:
    """Write records as JSON lines: what is wrong with each and how it is built; with --raw, key,
    headers and value themselves.

    Bytes that are no UTF-8 text become {"base64": …}.
    """
    import asyncio
    from contextlib import aclosing

    from rollcall.cli.printing import new_file, until_nobody_reads
    from rollcall.cli.selecting import place_of
    from rollcall.dead_letters.export import exported
    from rollcall.dead_letters.outline import known_words
    from rollcall.dead_letters.reading import read_selected

    place = place_of(origin, code, event, since, until, partition, offset, from_offset, to_offset)
    words = known_words()

    async def write(file: IO[str]) -> int:
        count = 0
        async with aclosing(read_selected(*place)) as batches:
            async for batch in batches:
                count += len(batch.records)
                file.writelines(
                    f"{json.dumps(exported(record, words, raw=raw))}\n" for record in batch.records
                )
        if not count:
            raise place.nothing()
        return count

    if output is None:
        with until_nobody_reads():
            asyncio.run(write(sys.stdout))
        return
    with new_file(output) as file:
        count = asyncio.run(write(file))
    print(f"{count:,} record{'' if count == 1 else 's'} in {output}", file=sys.stderr)
