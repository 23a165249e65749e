"""``rollcall topics``: what Rollcall needs of a cluster, planned, created, checked."""

from __future__ import annotations

import asyncio

import typer
from rich.console import Console
from rich.table import Table

from app.cli.run import bootstrap_servers
from app.settings import Settings, load_settings
from app.topic_plan import plan_topics
from app.topics import TopicAdmin, TopicFinding, TopicState

topics_cli = typer.Typer(name="topics", no_args_is_help=True, help="The topics on the cluster.")


@topics_cli.command()
def plan() -> None:
    """Show the topics that Rollcall needs, without asking a cluster."""
    settings = load_settings()
    table = Table("topic", "partitions", "replicas", "configuration", title="planned topics", title_justify="left")
    for topic in plan_topics(settings):
        partitions = f"{topic.partitions}{' (or any)' if topic.any_partitions else ''}"
        table.add_row(topic.name, partitions, str(settings.replication_factor), " ".join(f"{key}={value}" for key, value in topic.config.items()))
    _console().print(table)


@topics_cli.command()
def apply() -> None:
    """Create the topics that are missing. What exists is never changed; a topic that is not as it must be is exit code 1."""
    settings = load_settings()
    findings, created = asyncio.run(_apply(settings, bootstrap_servers(settings)))
    for name in created:
        typer.echo(f"created {name}")
    _report(findings)


@topics_cli.command()
def check() -> None:
    """Compare the cluster with the plan, and change nothing. Exit code 1: something is missing or wrong."""
    settings = load_settings()
    _report(asyncio.run(_inspect(settings, bootstrap_servers(settings))))


async def _inspect(settings: Settings, bootstrap: str) -> list[TopicFinding]:
    async with TopicAdmin(settings, bootstrap) as admin:
        return await admin.inspect(plan_topics(settings))


async def _apply(settings: Settings, bootstrap: str) -> tuple[list[TopicFinding], list[str]]:
    plans = plan_topics(settings)
    async with TopicAdmin(settings, bootstrap) as admin:
        missing = [finding.plan for finding in await admin.inspect(plans) if finding.state is TopicState.MISSING]
        await admin.create(missing)
        return await admin.inspect(plans), [plan.name for plan in missing]


def _report(findings: list[TopicFinding]) -> None:
    for finding in findings:
        if finding.note:
            typer.echo(f"note: {finding.plan.name} {finding.note}")
    problems = [finding for finding in findings if finding.state is not TopicState.FINE]
    for finding in problems:
        typer.echo(f"{finding.plan.name}: {finding.problem}")
    typer.echo(f"{len(findings) - len(problems)} of {len(findings)} topics are as they should be")
    if problems:
        raise typer.Exit(1)


def _console() -> Console:
    return Console(width=None if Console().is_terminal else 200)
