"""``rollcall bench``: reproducible benchmarks of router, rosters, serve, ingest and reconcile."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from rollcall.sandbox.canvas.mixes import Mix

Core = Annotated[
    int | None,
    typer.Option(
        help="The core for the process under test; all others use the other cores. Default: the "
        "last one."
    ),
]

bench_cli = typer.Typer(name="bench", no_args_is_help=True, help="Benchmarks.")


@bench_cli.callback()
def _group() -> None:
    """Benchmarks."""


def _chosen(core: int | None) -> int:
    return max(os.sched_getaffinity(0)) if core is None else core


@bench_cli.command()
def router(
    events: Annotated[
        int, typer.Option(min=20_000, help="Mixed events in the raw topic.")
    ] = 300_000,
    peer_events: Annotated[
        int, typer.Option(min=1_000, help="Number of these for the stock Faust agent.")
    ] = 20_000,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each; the median counts.")] = 3,
    latency_seconds: Annotated[
        float, typer.Option(min=1, help="Duration of the latency run, at half the rate.")
    ] = 20,
    core: Core = None,
    drop_metadata: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Fields of metadata that the router drops, separated by commas."
        ),
    ] = "",
    mix: Annotated[
        Mix,
        typer.Option(
            help="The types of the events: all, or those of accounts, users, courses, enrollments "
            "and groups.",
        ),
    ] = Mix.ALL,
) -> None:
    """Measure the router on one core, against a stock Faust agent on the same broker and events."""
    import asyncio

    from rich.table import Table

    from rollcall.cli.printing import print_table
    from rollcall.sandbox.bench.figures import median_cpu_ratio, median_ratio, median_run
    from rollcall.sandbox.bench.router import BenchPlan, bench_router
    from rollcall.settings import load_settings

    dropped = load_settings(drop_metadata=drop_metadata).drop_metadata
    plan = BenchPlan(
        events,
        peer_events,
        runs,
        latency_seconds,
        _chosen(core),
        dropped,
        mix,
    )
    result = asyncio.run(bench_router(plan, typer.echo))
    ours, peers = median_run(result.router), result.peers.values()
    figures = [ours, *map(median_run, peers)]
    table = Table(
        f"one core, median of {runs}", "router", *(f"stock Faust, {peer}" for peer in result.peers)
    )
    table.add_row("events/s", *(f"{each.per_second:,.0f}" for each in figures))
    table.add_row("CPU-µs/event", *(f"{each.cpu_microseconds:.1f}" for each in figures))
    table.add_row(
        "router is faster",
        "",
        *(f"{median_ratio(result.router, peer):.1f} times" for peer in peers),
    )
    table.add_row(
        "by CPU time alone",
        "",
        *(f"{median_cpu_ratio(result.router, peer):.1f} times" for peer in peers),
    )
    table.add_row("peak memory, MB", f"{ours.peak_bytes / 1e6:.0f}")
    table.add_row(
        f"p50 at {result.latency.per_second:,.0f} events/s", f"{result.latency.p50 * 1000:.0f} ms"
    )
    table.add_row(
        f"p99 at {result.latency.per_second:,.0f} events/s", f"{result.latency.p99 * 1000:.0f} ms"
    )
    print_table(table, width=120)


@bench_cli.command()
def rosters(
    events: Annotated[
        int, typer.Option(min=20_000, help="Typed events of a simulated institution.")
    ] = 200_000,
    runs: Annotated[
        int, typer.Option(min=1, help="Runs through all events; the median counts.")
    ] = 3,
    latency_seconds: Annotated[
        float, typer.Option(min=1, help="Duration of the latency run, at half the rate.")
    ] = 20,
    rows: Annotated[
        int,
        typer.Option(min=1_000, help="Enrollments in the tables, to measure recovery and memory."),
    ] = 1_000_000,
    core: Core = None,
) -> None:
    """Measure the rosters on one core: throughput, latency, recovery, memory."""
    import asyncio

    from rich.table import Table

    from rollcall.cli.printing import print_table
    from rollcall.sandbox.bench.figures import median_run
    from rollcall.sandbox.bench.rosters import RosterBenchPlan, bench_rosters

    plan = RosterBenchPlan(events, runs, latency_seconds, rows, _chosen(core))
    result = asyncio.run(bench_rosters(plan, typer.echo))
    ours, filling, recovery = median_run(result.rosters), result.filling, result.recovery
    table = Table(f"one core, median of {runs}", "rosters")
    table.add_row("typed events/s to final rosters", f"{ours.per_second:,.0f}")
    table.add_row("CPU-µs/typed event", f"{ours.cpu_microseconds:.1f}")
    table.add_row("peak memory, MB", f"{ours.peak_bytes / 1e6:.0f}")
    table.add_row(
        f"p50 at {result.latency.per_second:,.0f} events/s", f"{result.latency.p50 * 1000:.0f} ms"
    )
    table.add_row(
        f"p99 at {result.latency.per_second:,.0f} events/s", f"{result.latency.p99 * 1000:.0f} ms"
    )
    table.add_row(f"new enrollments/s, {filling.events:,} of them", f"{filling.per_second:,.0f}")
    table.add_row(f"start to ready, {recovery.rows:,} rows", f"{recovery.seconds:.1f} s")
    table.add_row("rows/s while loading", f"{recovery.rows / recovery.loading_seconds:,.0f}")
    table.add_row("peak memory with these rows, MB", f"{recovery.resident_bytes / 1e6:.0f}")
    for name, load in result.tables.items():
        if load.rows:
            table.add_row(
                f"table {name}, {load.rows:,} rows",
                f"{load.bytes / load.rows:.0f} bytes/row, {load.rows / load.seconds:,.0f} rows/s "
                "by itself",
            )
    print_table(table, width=120)


@bench_cli.command()
def serve(
    rows: Annotated[int, typer.Option(min=1_000, help="Enrollments in the replica.")] = 1_000_000,
    course_rows: Annotated[
        int, typer.Option(min=500, help="Enrollments in the requested course.")
    ] = 50_000,
    rate: Annotated[
        float, typer.Option(min=1, help="Requests a second, each for 100 enrollments.")
    ] = 200,
    row_rate: Annotated[
        float, typer.Option(min=1, help="Changed rows a second during the requests.")
    ] = 500,
    seconds: Annotated[float, typer.Option(min=1, help="Duration of the requests.")] = 20,
    core: Core = None,
) -> None:
    """Measure serve on one core: building the replica, and pages of a large course during
    changes.
    """
    import asyncio

    from rich.table import Table

    from rollcall.cli.printing import print_table
    from rollcall.sandbox.bench.serve import ServeBenchPlan, bench_serve

    plan = ServeBenchPlan(
        rows,
        course_rows,
        rate,
        row_rate,
        seconds,
        _chosen(core),
    )
    result = asyncio.run(bench_serve(plan, typer.echo))
    table = Table("one core", "serve")
    table.add_row(
        f"building the replica, {result.records:,} rows",
        f"{result.records / result.build_seconds:,.0f} rows/s, {result.build_seconds:.1f} s",
    )
    table.add_row(
        "its file",
        f"{result.file_bytes / 1e6:.0f} MB, {result.file_bytes / result.records:.0f} bytes/row",
    )
    for name, answers in (
        ("no rows change", result.quiet),
        (f"{row_rate:,.0f} rows/s change", result.streaming),
    ):
        table.add_row(f"p50 at {rate:g} requests/s, {name}", f"{answers.p50 * 1000:.1f} ms")
        table.add_row(f"p99 at {rate:g} requests/s, {name}", f"{answers.p99 * 1000:.1f} ms")
        table.add_row(f"longest at {rate:g} requests/s, {name}", f"{answers.longest * 1000:.0f} ms")
        table.add_row(f"core used, {name}", f"{answers.cpu_share:.0%}")
    table.add_row("peak memory, MB", f"{result.peak_bytes / 1e6:.0f}")
    print_table(table, width=120)


@bench_cli.command()
def ingest(
    rate: Annotated[float, typer.Option(min=1, help="Signed events a second.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=1, help="Duration of the requests.")] = 20,
    core: Core = None,
) -> None:
    """Measure ingest https on one core: signed events at a steady rate, each acknowledged by
    Kafka.
    """
    import asyncio

    from rich.table import Table

    from rollcall.cli.printing import print_table
    from rollcall.sandbox.bench.webhook import WebhookBenchPlan, bench_webhook

    plan = WebhookBenchPlan(rate, seconds, _chosen(core))
    result = asyncio.run(bench_webhook(plan, typer.echo))
    table = Table("one core", "ingest https")
    table.add_row("events, each answered with 204", f"{result.events:,}")
    table.add_row("mean size of a request's body", f"{result.body_bytes:,.0f} bytes")
    table.add_row(f"p50 at {rate:g} events/s", f"{result.p50 * 1000:.0f} ms")
    table.add_row(f"p99 at {rate:g} events/s", f"{result.p99 * 1000:.0f} ms")
    table.add_row(f"longest at {rate:g} events/s", f"{result.longest * 1000:.0f} ms")
    table.add_row("CPU-µs/event", f"{result.cpu_microseconds:.0f}")
    table.add_row("peak memory, MB", f"{result.peak_bytes / 1e6:.0f}")
    print_table(table, width=120)


@bench_cli.command()
def sqs(
    messages: Annotated[
        int, typer.Option(min=100, help="Messages that wait in the queue at the start.")
    ] = 5_000,
    core: Core = None,
) -> None:
    """Measure ingest sqs on one core: messages of moto's SQS server, each deleted after Kafka's
    acknowledgement.
    """
    import asyncio

    from rich.table import Table

    from rollcall.cli.printing import print_table
    from rollcall.sandbox.bench.queue import QueueBenchPlan, bench_queue

    plan = QueueBenchPlan(messages, _chosen(core))
    result = asyncio.run(bench_queue(plan, typer.echo))
    run = result.ingest
    table = Table("one core", "ingest sqs")
    table.add_row("messages/s, moved and deleted", f"{run.per_second:,.0f}")
    table.add_row("CPU-µs/message", f"{run.cpu_microseconds:.0f}")
    table.add_row("core used", f"{run.cpu_seconds / run.seconds:.0%}")
    table.add_row("core used by the SQS server", f"{result.server_share:.0%}")
    table.add_row("peak memory, MB", f"{run.peak_bytes / 1e6:.0f}")
    print_table(table, width=120)


@bench_cli.command()
def reconcile(
    courses: Annotated[
        int, typer.Option(min=1, help="Courses of the simulated Canvas, with 25 students each.")
    ] = 100,
    core: Core = None,
) -> None:
    """Measure reconcile on one core, against a simulated Canvas: a backfill of empty rosters, and a
    second run, which has nothing to write.
    """
    import asyncio

    from rich.table import Table

    from rollcall.cli.printing import print_table
    from rollcall.sandbox.bench.reconcile import ReconcileBenchPlan, bench_reconcile

    plan = ReconcileBenchPlan(courses, _chosen(core))
    result = asyncio.run(bench_reconcile(plan, typer.echo))
    runs = (result.backfill, result.second)
    table = Table(f"one core, {courses:,} courses", "backfill", "second run")
    table.add_row("rows of Canvas compared", *(f"{run.events:,}" for run in runs))
    table.add_row("snapshots written", *(f"{run.written:,}" for run in runs))
    table.add_row("calls", *(f"{run.calls:,}" for run in runs))
    table.add_row("rows/s", *(f"{run.per_second:,.0f}" for run in runs))
    table.add_row("CPU-µs/row", *(f"{run.cpu_microseconds:.0f}" for run in runs))
    table.add_row("peak memory, MB", *(f"{run.peak_bytes / 1e6:.0f}" for run in runs))
    print_table(table, width=120)
