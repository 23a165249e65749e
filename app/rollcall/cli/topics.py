"""``rollcall topics``: plan, describe, create and check the topics and rights on the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rollcall.kafka.topics import TopicFinding
    from rollcall.settings import Settings

topics_cli = typer.Typer(name="topics", no_args_is_help=True, help="The topics on the cluster.")


@topics_cli.command()
def plan() -> None:
    """Show the topics that Rollcall needs, without a cluster."""
    from rich.table import Table

    from rollcall.catalogue.plans import plan_topics
    from rollcall.cli.printing import print_table
    from rollcall.settings import load_settings

    settings = load_settings()
    table = Table(
        "topic",
        "partitions",
        "replicas",
        "configuration",
        title="planned topics",
        title_justify="left",
    )
    for topic in plan_topics(settings):
        partitions = f"{topic.partitions}{' (or any)' if topic.any_partitions else ''}"
        table.add_row(
            topic.name,
            partitions,
            str(settings.replication_factor),
            " ".join(f"{key}={value}" for key, value in topic.config.items()),
        )
    print_table(table, width=200)


@topics_cli.command()
def describe(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown page.")] = False,
) -> None:
    """Print the keys, headers, fields and examples of all topics, as an AsyncAPI document (JSON).
    Uses the settings, without a cluster.
    """
    from rollcall.catalogue.asyncapi import asyncapi_text
    from rollcall.catalogue.markdown import page
    from rollcall.catalogue.topics import catalogue
    from rollcall.settings import load_settings

    described = catalogue(load_settings())
    typer.echo(page(described) if markdown else asyncapi_text(described), nl=False)


@topics_cli.command()
def apply() -> None:
    """Create the missing topics. Existing topics are never changed. Exit code 1: an existing topic
    is wrong.
    """
    import asyncio

    from rollcall.cli.cluster import bootstrap_servers
    from rollcall.settings import load_settings

    settings = load_settings()
    findings, created = asyncio.run(_apply(settings, bootstrap_servers(settings)))
    for name in created:
        typer.echo(f"created {name}")
    _report(findings)


@topics_cli.command()
def check() -> None:
    """Compare the cluster with the plan, and change nothing. Exit code 1: a topic is missing or
    wrong.
    """
    import asyncio

    from rollcall.cli.cluster import bootstrap_servers
    from rollcall.settings import load_settings

    settings = load_settings()
    _report(asyncio.run(_inspect(settings, bootstrap_servers(settings))))


@topics_cli.command()
def acls(
    process: Annotated[
        str,
        typer.Argument(
            metavar="PROCESS",
            help="router, rosters, serve or ingest; topics or roster, for these commands; bridge; "
            "reader.",
        ),
    ],
    user: Annotated[
        str,
        typer.Option(help="Kafka's principal: the user's name, or the certificate's subject."),
    ] = "",
) -> None:
    """Print the minimal ACLs of a process as arguments of kafka-acls, one line each, without a
    cluster.
    """
    import shlex

    from rollcall.catalogue.plans import required_rights
    from rollcall.errors import ConfigurationError
    from rollcall.settings import load_settings

    settings = load_settings()
    rights = required_rights(settings)
    if process not in rights:
        raise ConfigurationError(
            f"there is no process {process!a}; choose one of {', '.join(rights)}"
        )
    for acl in rights[process].acls:
        pattern = " --resource-pattern-type prefixed" if acl.prefixed else ""
        principal = shlex.quote(f"User:{user or process}")
        typer.echo(
            f"--add --allow-principal {principal} --operation {acl.operation} "
            f"--{acl.resource.value} {shlex.quote(acl.name)}{pattern}"
        )


async def _inspect(settings: Settings, bootstrap: str) -> list[TopicFinding]:
    from rollcall.catalogue.plans import plan_topics, topics_rights
    from rollcall.kafka.rights import check_rights
    from rollcall.kafka.topic_admin import TopicAdmin

    await check_rights(settings, bootstrap, topics_rights(settings))
    async with TopicAdmin(settings, bootstrap) as admin:
        return await admin.inspect(plan_topics(settings))


async def _apply(settings: Settings, bootstrap: str) -> tuple[list[TopicFinding], list[str]]:
    from rollcall.catalogue.plans import plan_topics, topics_rights
    from rollcall.kafka.rights import check_rights
    from rollcall.kafka.topic_admin import TopicAdmin
    from rollcall.kafka.topics import TopicState

    await check_rights(settings, bootstrap, topics_rights(settings))
    plans = plan_topics(settings)
    async with TopicAdmin(settings, bootstrap) as admin:
        missing = [
            finding.plan
            for finding in await admin.inspect(plans)
            if finding.state is TopicState.MISSING
        ]
        await admin.create(missing)
        return await admin.inspect(plans), [plan.name for plan in missing]


def _report(findings: list[TopicFinding]) -> None:
    from rollcall.kafka.topics import TopicState

    for finding in findings:
        if finding.note:
            typer.echo(f"note: {finding.plan.name} {finding.note}")
    problems = [finding for finding in findings if finding.state is not TopicState.FINE]
    for finding in problems:
        typer.echo(f"{finding.plan.name}: {finding.problem}")
    typer.echo(f"{len(findings) - len(problems)} of {len(findings)} topics are as planned")
    if problems:
        raise typer.Exit(1)
