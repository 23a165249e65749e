"""The topics that Rollcall needs: planned, created, and checked against what a cluster has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from app.connection import broker_connection
from app.errors import BrokerUnavailableError, RollcallError
from app.events.registry import REGISTRY, EventType
from app.kafka import client_options
from app.setting_types import FOR_EVER_DAYS
from app.settings import Settings

DAY_MS = 86_400_000
FOR_EVER_MS = -1
"""``retention.ms`` of a topic that keeps everything."""

NEVER_TOO_LATE = str(2**63 - 1)
"""Output records keep the raw record's timestamp. Kafka's default refuses timestamps more than an hour ahead, so one producer with a wrong clock would stop
the router."""

VISIBLE_SECONDS = 20.0
"""A created topic is known to the brokers after some milliseconds. This is for machines that are busy with other things."""

DEFAULT_RECORD_BYTES = 1_048_588
"""``max.message.bytes`` of Kafka, where a cluster does not tell."""

LEAST_RECORD_BYTES = 16_384
"""What every topic must take: the record of a dead letter, with its reason, has to fit somewhere."""


_LIMITS = ("max.message.bytes", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms", "retention.ms")
"""The configuration behind the fields of :class:`TopicLimits`."""


_ASK_FOR = "the right {} on it seems to be missing; 'rollcall topics acls' shows which ones are needed (docs/security.md)"


class TopicsError(RollcallError):
    """The cluster's topics are not what Rollcall needs."""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names of the topics, for a prefix."""

    prefix: str

    @property
    def raw(self) -> str:
        """What the bridge sends."""
        return f"{self.prefix}.raw"

    @property
    def unknown(self) -> str:
        """Events whose name has no schema."""
        return f"{self.prefix}.unknown"

    @property
    def dead_letter(self) -> str:
        """Whatever is no valid event."""
        return f"{self.prefix}.dead-letter"

    def typed(self, event_type: EventType) -> str:
        """Valid events of one type."""
        return event_type.topic(self.prefix)


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str]
    any_partitions: bool = False
    """An existing topic may have another number of partitions: its producers decide."""
    record_bytes: int = LEAST_RECORD_BYTES
    """So large records it must take."""


class TopicState(Enum):
    """How a cluster's topic compares to its plan."""

    MISSING = "missing"
    FINE = "fine"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """What an existing topic takes. None: not known, or no limit."""

    record_bytes: int | None = None
    """``max.message.bytes``."""
    ahead_ms: int | None = None
    """``message.timestamp.after.max.ms``: how far in the future a record's timestamp may lie."""
    behind_ms: int | None = None
    """``message.timestamp.before.max.ms``: how far in the past."""
    retention_ms: int | None = None
    """``retention.ms``: records with older timestamps are deleted, however short they have been there. -1: never."""


@dataclass(frozen=True, slots=True)
class TopicFinding:
    """One planned topic, as found."""

    plan: TopicPlan
    state: TopicState
    problem: str
    """What is wrong and what to do; empty when nothing is."""
    limits: TopicLimits
    note: str = ""
    """What is otherwise than planned and may be meant so; empty when nothing is."""
    partitions: int | None = None
    """None: there is no such topic."""


def least_record_bytes(topics: Iterable[TopicLimits]) -> int:
    """What all of these topics take."""
    return min((limits.record_bytes for limits in topics if limits.record_bytes is not None), default=DEFAULT_RECORD_BYTES)


def barrier_topic(group: str) -> str:
    """The name of a consumer group's topic of barriers."""
    return f"{group}-barrier"


def plan_barrier_topic(group: str, lanes: int) -> TopicPlan:
    """The empty topic for whose partitions a group's lanes commit their barriers: see :mod:`app.streaming.barrier`.

    Args:
        lanes: a partition for each; with fewer the lanes wait for each other.
    """
    return TopicPlan(barrier_topic(group), lanes, {"cleanup.policy": "compact", "delete.retention.ms": str(DAY_MS)}, any_partitions=True)


def plan_router_topics(settings: Settings) -> tuple[TopicPlan, ...]:
    """The topics of the router: raw, typed, unknown and dead-letter, and that of its barriers."""
    names = TopicNames(settings.topic_prefix)

    def plan(name: str, days: int, *, any_partitions: bool = False) -> TopicPlan:
        retention = FOR_EVER_MS if days == FOR_EVER_DAYS else days * DAY_MS
        config = {"cleanup.policy": "delete", "retention.ms": str(retention), "message.timestamp.after.max.ms": NEVER_TOO_LATE}
        return TopicPlan(name, settings.partitions, config, any_partitions)

    return (
        plan(names.raw, settings.retention_raw_days, any_partitions=True),
        *(plan(names.typed(event_type), settings.retention_typed_days) for event_type in REGISTRY.values()),
        plan(names.unknown, settings.retention_unknown_days),
        plan(names.dead_letter, settings.retention_dead_letter_days),
        plan_barrier_topic(settings.group("router"), settings.partitions),
    )


class TopicAdmin:
    """Speaks to the cluster about topics."""

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._admin = AIOKafkaAdminClient(**client_options(settings, bootstrap), request_timeout_ms=20_000)

    async def __aenter__(self) -> TopicAdmin:
        """Connect.

        Raises:
            BrokerUnavailableError: no broker answers.
            ConfigurationError: one does, and does not let this client in, or is not who it should be.
        """
        try:
            async with broker_connection(self._settings, self._bootstrap):
                pass  # it tells why there is none, which the client of topics does not
            await self._admin.start()
        except RollcallError:
            await self._admin.close()
            raise
        except (KafkaError, OSError) as error:
            await self._admin.close()
            raise BrokerUnavailableError(f"no Kafka broker answers at {self._bootstrap} ({type(error).__name__}); start one, or check ROLLCALL_KAFKA") from None
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self._admin.close()

    async def inspect(self, plans: Sequence[TopicPlan]) -> list[TopicFinding]:
        """Compare the cluster to the plans."""
        existing = await self._partition_counts()
        found = [plan.name for plan in plans if plan.name in existing]
        configs = await self._configs(found)
        return [_compare(plan, existing.get(plan.name), configs.get(plan.name, {})) for plan in plans]

    async def create(self, plans: Sequence[TopicPlan]) -> None:
        """Create topics and wait until clients can see them; one that another process creates at the same time is fine.

        Raises:
            TopicsError: the cluster refuses (the message says which topic and why), or a topic does not appear.
        """
        if not plans:
            return
        new = [NewTopic(plan.name, plan.partitions, self._settings.replication_factor, topic_configs=dict(plan.config)) for plan in plans]
        response = await self._admin.create_topics(new)
        refused = [topic for topic, code, *_reason in response.topic_errors if code == TopicAuthorizationFailedError.errno]
        if refused:
            raise TopicsError(f"Kafka does not allow to create {', '.join(refused)}: {_ASK_FOR.format('Create')}")
        for topic, code, *reason in response.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise TopicsError(f"topic {topic} cannot be created: {error.__name__} {' '.join(str(part) for part in reason if part)}".rstrip())
        # The controller answers before every broker has heard of the topics.
        deadline = time.monotonic() + VISIBLE_SECONDS
        while unseen := {plan.name for plan in plans} - (await self._partition_counts()).keys():
            if time.monotonic() >= deadline:
                raise TopicsError(
                    f"created, but not to be seen after {VISIBLE_SECONDS:.0f} s: {', '.join(sorted(unseen))}; look at the brokers' logs and try again"
                )
            await asyncio.sleep(0.05)

    async def _partition_counts(self) -> dict[str, int]:
        topics = await self._admin.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in topics if not topic["error_code"]}

    async def _configs(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        if not topics:
            return {}
        keys = ("cleanup.policy", *_LIMITS)
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(keys)) for name in topics]
        configs: dict[str, dict[str, str]] = {}
        for response in await self._admin.describe_configs(resources):
            refused = [name for code, _message, _kind, name, _entries in response.resources if code == TopicAuthorizationFailedError.errno]
            if refused:
                raise TopicsError(f"Kafka does not tell how {', '.join(refused)} is configured: {_ASK_FOR.format('DescribeConfigs')}")
            for _code, _message, _kind, name, entries in response.resources:
                configs[name] = {entry[0]: entry[1] for entry in entries}
        return configs


async def ensure_topics(
    settings: Settings, bootstrap: str, plans: Sequence[TopicPlan], *, before_creating: Callable[[set[str]], Awaitable[None]] | None = None
) -> list[TopicFinding]:
    """Create what is missing (unless the settings forbid it), check the rest, and return the findings, all fine.

    Args:
        before_creating: called with the names of what is missing, if anything is; raises when it must not be created.

    Raises:
        TopicsError: topics are missing and must not be created, or are not as they must be. The message says what to do for each.
        BrokerUnavailableError: no broker answers.
    """
    async with TopicAdmin(settings, bootstrap) as admin:
        findings = await admin.inspect(plans)
        missing = [finding.plan for finding in findings if finding.state is TopicState.MISSING]
        if missing and before_creating is not None:
            await before_creating({plan.name for plan in missing})
        if missing and not settings.create_topics:
            raise TopicsError(
                f"topics are missing: {', '.join(plan.name for plan in missing)}; run 'rollcall topics apply', or set ROLLCALL_CREATE_TOPICS=true"
            )
        if missing:
            await admin.create(missing)
            findings = await admin.inspect(plans)
        problems = [f"{finding.plan.name}: {finding.problem}" for finding in findings if finding.state is not TopicState.FINE]
        if problems:
            raise TopicsError("; ".join(problems))
        return findings


def _compare(plan: TopicPlan, partitions: int | None, config: Mapping[str, Any]) -> TopicFinding:
    if partitions is None:
        return TopicFinding(plan, TopicState.MISSING, "missing: run 'rollcall topics apply'", TopicLimits())
    problems = []
    limits = TopicLimits(*(int(config[key]) if config.get(key) else None for key in _LIMITS))
    limit = limits.record_bytes
    if limit is not None and limit < plan.record_bytes:
        problems.append(f"takes records of {limit} bytes at most and must take {plan.record_bytes}: alter max.message.bytes")
    policy, wanted = config.get("cleanup.policy", ""), plan.config["cleanup.policy"]
    if partitions != plan.partitions and not plan.any_partitions:
        problems.append(
            f"has {partitions} partitions and should have {plan.partitions}, or keys would be where nobody looks for them: "
            f"set ROLLCALL_PARTITIONS={partitions} if all topics have so many"
        )
    if set(policy.split(",")) != set(wanted.split(",")):
        problems.append(
            f"has cleanup.policy={policy} and needs {wanted}: alter it with kafka-configs --alter --topic {plan.name} --add-config cleanup.policy={wanted}"
        )
    return TopicFinding(
        plan, TopicState.WRONG if problems else TopicState.FINE, "; ".join(problems), limits, _note_on_retention(plan, limits.retention_ms), partitions
    )


def _note_on_retention(plan: TopicPlan, found_ms: int | None) -> str:
    """Operators alter retention on purpose, for a replay for example: the cluster's counts."""
    planned = plan.config.get("retention.ms")
    if planned is None or found_ms is None or found_ms == int(planned):
        return ""
    return (
        f"keeps records {_in_days(found_ms)}, and the settings say {_in_days(int(planned))}; "
        f"kafka-configs --alter --topic {plan.name} --add-config retention.ms={planned} makes it so"
    )


def _in_days(milliseconds: int) -> str:
    return "for ever" if milliseconds == FOR_EVER_MS else f"{milliseconds / DAY_MS:.4g} days"
