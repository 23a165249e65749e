"""``rollcall dead-letters``: count, show, replay and export dead letters and unknown events."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from rollcall.events.outcomes import ErrorCode

dead_letters_cli = typer.Typer(
    no_args_is_help=True,
    help="Dead letters and unknown events: count, show, replay, export.",
)

DEFAULT_ATTEMPTS = 3

P = ParamSpec("P")


class Origin(StrEnum):
    """The topic to read."""

    DEAD_LETTER = "dead-letter"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Options of all commands: the topic, and conditions that a record must all meet."""

    origin: Annotated[
        Origin,
        typer.Option("--from", help="The topic: dead letters, or events without a typed topic."),
    ] = Origin.DEAD_LETTER
    code: Annotated[
        list[ErrorCode] | None,
        typer.Option(help="Only this code; may be repeated. For dead letters only."),
    ] = None
    event: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this event_name; may be repeated."),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only this timestamp or later: an age such as 2h or 3d, 2024-03-29, "
            "2024-03-29T15:43:00Z.",
        ),
    ] = None
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only timestamps before this time.")
    ] = None
    partition: Annotated[int | None, typer.Option(min=0, help="Only this partition.")] = None
    offset: Annotated[
        int | None, typer.Option(min=0, help="Only the record at this offset of --partition.")
    ] = None
    from_offset: Annotated[
        int | None, typer.Option(min=0, help="Only this offset of --partition or later.")
    ] = None
    to_offset: Annotated[
        int | None, typer.Option(min=0, help="Only offsets of --partition before this one.")
    ] = None


Raw = Annotated[
    bool,
    typer.Option(
        "--raw", help="The records' data, unredacted: personal data, and any other content."
    ),
]


def _with_filters(command: Callable[Concatenate[Filters, P], None]) -> Callable[..., None]:
    """Put the options of :class:`Filters` before a command's own. The command takes them as its
    first argument.
    """
    hints = get_type_hints(Filters, include_extras=True)
    hints |= get_type_hints(command, include_extras=True)
    filters = inspect.signature(Filters).parameters
    _filters, *own = inspect.signature(command).parameters.values()
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in (*filters.values(), *own)
    ]

    @functools.wraps(command)
    def with_options(**options: Any) -> None:
        chosen = Filters(**{name: options.pop(name) for name in filters})
        command(chosen, **options)  # type: ignore[call-arg]

    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return with_options


@dead_letters_cli.command("list")
@_with_filters
def list_counts(
    filters: Filters,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One JSON object: the number of records, and groups by code, event, schema, path "
            "and hour.",
        ),
    ] = False,
) -> None:
    """Count records by reason, event, path and hour.

    Reads the records that are committed now, without a consumer group. The hour is that of the
    record's timestamp.
    """
    import asyncio

    from rollcall.cli.dead_letter_query import new_query
    from rollcall.cli.printing import print_parts, until_output_closes
    from rollcall.dead_letters.outline import known_words
    from rollcall.dead_letters.reading import read_selected
    from rollcall.dead_letters.report import tally_report
    from rollcall.dead_letters.tally import Tally

    query = new_query(filters)
    tally = Tally(known_words(query.settings.schemas))

    async def count_all() -> tuple[int, int]:
        read = matching = 0
        async for batch in read_selected(*query):
            read += batch.read_count
            matching += len(batch.records)
            for record in batch.records:
                tally.add(record)
        return read, matching

    read, matching = asyncio.run(count_all())
    with until_output_closes():
        if as_json:
            groups = [
                group._asdict() | {"count": count}
                for group, count in sorted(
                    tally.counts.items(), key=lambda item: (-item[1], str(item[0]))
                )
            ]
            print(json.dumps({"topic": query.topic, "records": matching, "groups": groups}))
            return
        if matching:
            print_parts(*tally_report(tally, with_errors=filters.origin is Origin.DEAD_LETTER))
        of = f" match, of {read:,} read" if query.has_filter else ""
        print(f"{matching:,} record{'' if matching == 1 else 's'} on {query.topic}{of}")


@dead_letters_cli.command()
@_with_filters
def show(
    filters: Filters,
    limit: Annotated[
        int,
        typer.Option(min=1, help="Maximum number of records, in the order of partition, offset."),
    ] = 5,
    raw: Raw = False,
) -> None:
    """Show records: origin, error, and the structure of the value, without its data.

    With --raw, print only the values, each with a line end. A file or a pipe gets the exact bytes;
    a terminal gets no control characters.
    """
    import asyncio
    from contextlib import aclosing

    from rollcall.cli.dead_letter_query import new_query
    from rollcall.cli.printing import print_parts, print_value, until_output_closes
    from rollcall.dead_letters.outline import known_words
    from rollcall.dead_letters.reading import read_selected
    from rollcall.dead_letters.report import record_report

    query = new_query(filters)
    words = known_words(query.settings.schemas)

    async def print_records() -> None:
        count = 0
        async with aclosing(read_selected(*query)) as batches:
            async for batch in batches:
                for record in batch.records[: limit - count]:
                    if raw:
                        print_value(record.value or b"")
                    else:
                        print_parts(*([""] if count else []), *record_report(record, words))
                    count += 1
                if count == limit:
                    return
        if not count:
            raise query.not_found()

    with until_output_closes():
        asyncio.run(print_records())


@dead_letters_cli.command()
@_with_filters
def replay(
    filters: Filters,
    send: Annotated[
        bool,
        typer.Option("--send", help="Send. Without it, only report the records to send."),
    ] = False,
    most_attempts: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Skip dead letters with this many attempts. [default: {DEFAULT_ATTEMPTS}]",
        ),
    ] = None,
    also_invalid: Annotated[
        bool,
        typer.Option(
            "--also-invalid",
            help="Send records that would fail again by the schemas installed here, too.",
        ),
    ] = False,
) -> None:
    """Send records that are valid now to the raw topic; the router judges them again.

    Sends only with --send, else reports the records to send. The stored records stay: an event that
    is replayed twice is twice on the typed topic, with one ce_id; the rosters ignore the second. An
    interrupted replay can be repeated: nothing is lost. Restart the routers with the mended schemas
    first.
    """
    import asyncio

    from rollcall.cli.dead_letter_query import new_query
    from rollcall.cli.printing import print_parts, until_output_closes
    from rollcall.dead_letters.outline import known_words
    from rollcall.dead_letters.replay import Judge, ReplayPolicy
    from rollcall.dead_letters.report import replay_report
    from rollcall.dead_letters.sending import Replay, dry_run, resend
    from rollcall.errors import ConfigurationError, RollcallError
    from rollcall.process.topics import TopicNames
    from rollcall.router.pipeline_factory import new_pipeline

    if filters.origin is Origin.UNKNOWN and most_attempts is not None:
        raise ConfigurationError(
            "--most-attempts is for dead letters: unknown events have no attempts; leave it out"
        )
    query = new_query(filters)
    policy = ReplayPolicy(
        DEFAULT_ATTEMPTS if most_attempts is None else most_attempts, also_invalid
    )
    judge = Judge(new_pipeline(query.settings), policy, shard=query.settings.shard)
    state = Replay(judge, known_words(query.settings.schemas))
    try:
        asyncio.run((resend if send else dry_run)(*query, state))
    except (RollcallError, KeyboardInterrupt):
        if send and state.counts:
            print(
                f"rollcall: interrupted; {state.sent:,} records were sent; run it again: it starts "
                "from the beginning, and nothing is lost",
                file=sys.stderr,
            )
        raise
    if not state.counts:
        raise query.not_found()
    with until_output_closes():
        print_parts(*replay_report(state))
        total, raw_topic = sum(state.counts.values()), TopicNames(query.settings.topic_prefix).raw
        if send:
            print(f"{state.sent:,} of {total:,} records of {query.topic} were sent to {raw_topic}")
        else:
            print(
                f"{state.to_send:,} of {total:,} records of {query.topic} would be sent to "
                f"{raw_topic}; to send them, add --send"
            )


@dead_letters_cli.command()
@_with_filters
def export(
    filters: Filters,
    output: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="Write to this new file. Only its owner may read it.",
        ),
    ] = None,
    raw: Raw = False,
) -> None:
    """Write records as JSON lines: error, and the structure of the value; with --raw, key, headers
    and value.

    Bytes that are not UTF-8 become {"base64": …}.
    """
    import asyncio
    from contextlib import aclosing

    from rollcall.cli.dead_letter_query import new_query
    from rollcall.cli.printing import new_file, until_output_closes
    from rollcall.dead_letters.export import export_object
    from rollcall.dead_letters.outline import known_words
    from rollcall.dead_letters.reading import read_selected

    query = new_query(filters)
    words = known_words(query.settings.schemas)

    async def write(file: IO[str]) -> int:
        count = 0
        async with aclosing(read_selected(*query)) as batches:
            async for batch in batches:
                count += len(batch.records)
                file.writelines(
                    f"{json.dumps(export_object(record, words, raw=raw))}\n"
                    for record in batch.records
                )
        if not count:
            raise query.not_found()
        return count

    if output is None:
        with until_output_closes():
            asyncio.run(write(sys.stdout))
        return
    with new_file(output) as file:
        count = asyncio.run(write(file))
    print(f"{count:,} record{'' if count == 1 else 's'} in {output}", file=sys.stderr)
