"""Checks Rollcall's topics in a cluster against their plans, and creates missing ones.

Each broker has its own copy of the controller's metadata, and learns of changes at its own time. So
important questions go to every broker until all agree. Every error code is checked: passing errors
are retried, all others are raised.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    NodeNotReadyError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.admin import DescribeConfigsRequest

from rollcall.errors import BrokerUnavailableError, RollcallError
from rollcall.kafka.bounded import close, promptly
from rollcall.kafka.client import client_options
from rollcall.kafka.connection import broker_connection
from rollcall.kafka.errors import is_passing
from rollcall.kafka.topic_ids import Topic, Topics, broker_ids, request_any, topics_on_broker
from rollcall.kafka.topics import LIMITS, TopicFinding, TopicPlan, TopicsError, TopicState, compare
from rollcall.settings import Settings

_T = TypeVar("_T")

log = logging.getLogger(__name__)

SETTLE_SECONDS = 30.0
"""Time limit for brokers to learn of a created topic. That takes milliseconds; the limit allows for
busy machines, and for the time until the controller notices a lost broker.
"""

RETRY_SECONDS = 0.1

PARTITIONS_OF_A_REQUEST = 1_000
"""The most partitions that one request creates, unless one topic has more. Kafka's controller
refuses a request that makes more than 10,000 records: one for each partition, topic and
configuration of a topic.
"""

_REQUEST_MS = 20_000
_ANSWER_SECONDS = 5.0
"""Time limit for one broker's answer."""

_CONFIGURATION = ("cleanup.policy", *LIMITS)
_MISSING_RIGHT = (
    "the right {} on it seems to be missing; 'rollcall topics acls' shows which ones are "
    "needed (docs/security.md)"
)


class _Answers(NamedTuple):
    """The brokers' views of some topics."""

    topics: Sequence[Mapping[str, Topic]]
    """View of each broker that answers."""
    silent: int
    """Number of brokers that do not answer."""

    @property
    def agree(self) -> bool:
        """Whether all views have the same topics, by id."""
        known = [
            {name: (topic.identity, topic.partitions) for name, topic in topics.items()}
            for topics in self.topics
        ]
        return all(other == known[0] for other in known)

    def unknown_topics(self, names: Collection[str]) -> list[str]:
        """Topics that a broker does not know, or with a partition without a leader."""
        return sorted(
            name
            for name in names
            if any(name not in topics or topics[name].leaderless for topics in self.topics)
        )


class TopicAdmin:
    """Client for topics. Every Kafka error within the context becomes an error for users."""

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._admin = AIOKafkaAdminClient(
            **client_options(settings, bootstrap), request_timeout_ms=_REQUEST_MS
        )

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            BrokerUnavailableError: no broker answers.
            ConfigurationError: a broker refuses this client, or has the wrong identity.
        """
        try:
            async with broker_connection(self._settings, self._bootstrap):
                pass  # it explains a failure, which the admin client does not
            await self._admin.start()
        except BaseException as error:
            await close(self._admin.close())
            self._explain(error)
            raise
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await close(self._admin.close())
        self._explain(error)

    def _explain(self, error: BaseException | None) -> None:
        if isinstance(error, RollcallError) or error is None:
            return
        if is_passing(error):
            raise BrokerUnavailableError(
                f"Kafka at {self._bootstrap} does not answer as it should "
                f"({type(error).__name__}); look at the brokers' logs, or check ROLLCALL_KAFKA"
            ) from None
        if isinstance(error, KafkaError):
            raise TopicsError(
                f"Kafka at {self._bootstrap} refused a request about topics ({error}); "
                "look at the brokers' logs"
            ) from None

    async def inspect(self, plans: Sequence[TopicPlan]) -> list[TopicFinding]:
        """Compare the cluster's topics with the plans.

        Raises:
            BrokerUnavailableError: brokers do not answer, or do not agree on the topics.
            TopicsError: the cluster does not reveal a topic's configuration.
        """

        async def inspect() -> list[TopicFinding] | None:
            answers = await self._request_all([plan.name for plan in plans])
            if not answers.agree:
                return None
            [*_, existing] = answers.topics
            configs = await self._configs(list(existing))
            return [
                compare(
                    plan,
                    existing[plan.name].partitions if plan.name in existing else None,
                    configs.get(plan.name, {}),
                )
                for plan in plans
            ]

        findings = await self._retry(inspect)
        if findings is None:
            raise BrokerUnavailableError(
                f"the brokers of {self._bootstrap} do not agree on what topics there are; look at "
                "their logs, and try again"
            )
        return findings

    async def create(self, plans: Sequence[TopicPlan]) -> None:
        """Create topics and wait until every broker knows them, with a leader for each partition.
        Another process may create the same topics at the same time.

        Raises:
            TopicsError: the cluster refuses (the message names the topic and the reason), or a
                topic does not appear.
            BrokerUnavailableError: brokers do not answer.
        """
        for group in in_requests(plans, PARTITIONS_OF_A_REQUEST):
            await self._create_together(group)
        if plans:
            await self._wait_until_known([plan.name for plan in plans])

    async def _create_together(self, plans: Sequence[TopicPlan]) -> None:
        """Create topics with one request, and repeat it for those that a passing error stopped."""
        remaining = {
            plan.name: NewTopic(
                plan.name,
                plan.partitions,
                self._settings.replication_factor,
                topic_configs=dict(plan.config),
            )
            for plan in plans
        }

        async def create() -> bool | None:
            await self._admin._client.bootstrap()  # finds the controller
            if self._admin._client.cluster.controller is None:
                raise NodeNotReadyError("the cluster has no controller")
            response = await self._admin.create_topics(list(remaining.values()))
            for topic, code, *reason in response.topic_errors:
                if self._is_created(topic, code, reason):
                    del remaining[topic]
            return None if remaining else True

        if await self._retry(create) is None:
            raise TopicsError(
                f"Kafka at {self._bootstrap} did not create {', '.join(sorted(remaining))} in "
                f"{SETTLE_SECONDS:.0f} s; look at the brokers' logs"
            )

    @staticmethod
    def _is_created(topic: str, code: int, reason: Sequence[object]) -> bool:
        """Whether a topic exists now. False: retry."""
        error = for_code(code)
        if error is TopicAuthorizationFailedError:
            raise TopicsError(
                f"Kafka does not allow to create {topic}: {_MISSING_RIGHT.format('Create')}"
            )
        if error not in (NoError, TopicAlreadyExistsError) and not error.retriable:
            raise TopicsError(
                f"topic {topic} cannot be created: {error.__name__} "
                f"{' '.join(str(part) for part in reason if part)}".rstrip()
            )
        return not error.retriable

    async def _wait_until_known(self, names: Sequence[str]) -> None:
        answers: _Answers | None = None

        async def known() -> bool | None:
            nonlocal answers
            answers = await self._request_all(names)
            return (
                None
                if answers.silent or not answers.agree or answers.unknown_topics(names)
                else True
            )

        if await self._retry(known) is None:
            assert answers is not None
            if unknown_topics := answers.unknown_topics(names):
                raise TopicsError(
                    f"created, but not to be seen by all brokers after {SETTLE_SECONDS:.0f} s: "
                    f"{', '.join(unknown_topics)}; look at the brokers' logs and try again"
                )
            log.warning(
                "topics were created, and %d brokers could not be requests whether they know them",
                answers.silent,
            )

    async def _retry(self, attempt: Callable[[], Awaitable[_T | None]]) -> _T | None:
        """The first result of ``attempt`` that is not None, or None if time runs out. A passing
        error counts as a failed attempt; the last one is raised.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            try:
                if (result := await attempt()) is not None or time.monotonic() >= deadline:
                    return result
            except (KafkaError, OSError, TimeoutError) as error:
                if not is_passing(error) or time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    async def _request_all(self, names: Sequence[str]) -> _Answers:
        """Ask every current broker.

        Raises:
            aiokafka.errors.KafkaError: none answers, or one refuses.
        """
        await self._admin._client.bootstrap()  # finds the brokers, without topics

        async def ask(node: int) -> Topics:
            return await promptly(topics_on_broker(self._admin, node, names), _ANSWER_SECONDS)

        asked = await asyncio.gather(*map(ask, broker_ids(self._admin)), return_exceptions=True)
        answers, failures = [], []
        for answer in asked:
            if not isinstance(answer, BaseException):
                answers.append(answer.topics)
            elif is_passing(answer):
                failures.append(answer)
            else:
                raise answer
        if not answers:
            raise failures[0] if failures else NodeNotReadyError("no broker is known")
        return _Answers(answers, len(failures))

    async def _configs(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        if not topics:
            return {}
        response = await request_any(
            self._admin,
            DescribeConfigsRequest(
                [(ConfigResourceType.TOPIC, name, list(_CONFIGURATION)) for name in topics]
            ),
        )
        refused = [
            name
            for code, _message, _kind, name, _entries in response.resources
            if for_code(code) is TopicAuthorizationFailedError
        ]
        if refused:
            raise TopicsError(
                f"Kafka does not tell how {', '.join(refused)} is configured: "
                f"{_MISSING_RIGHT.format('DescribeConfigs')}"
            )
        for code, message, _kind, name, _entries in response.resources:
            if code:
                raise for_code(code)(f"{name}: {message or 'no reason is given'}")
        return {
            name: {entry[0]: entry[1] for entry in entries}
            for _code, _message, _kind, name, entries in response.resources
        }


def in_requests(plans: Sequence[TopicPlan], most: int) -> list[list[TopicPlan]]:
    """Topics in their order, in groups of at most so many partitions. A topic with more partitions
    is a group.
    """
    groups: list[list[TopicPlan]] = []
    room = 0
    for plan in plans:
        if not groups or plan.partitions > room:
            groups.append([])
            room = most
        groups[-1].append(plan)
        room -= plan.partitions
    return groups


async def ensure_topics(
    settings: Settings,
    bootstrap: str,
    plans: Sequence[TopicPlan],
    *,
    before_creating: Callable[[set[str]], Awaitable[None]] | None = None,
) -> list[TopicFinding]:
    """Create missing topics (unless the settings forbid it) and check the others. Returns the
    findings, all fine.

    Args:
        before_creating: called with the names of missing topics, if there are any; raises if they
            must not be created.

    Raises:
        TopicsError: topics are missing and must not be created, or differ from their plans. The
            message says how to correct each.
        BrokerUnavailableError: no broker answers.
    """
    async with TopicAdmin(settings, bootstrap) as admin:
        findings = await admin.inspect(plans)
        missing = [finding.plan for finding in findings if finding.state is TopicState.MISSING]
        if missing and before_creating is not None:
            await before_creating({plan.name for plan in missing})
        if missing and not settings.create_topics:
            raise TopicsError(
                f"topics are missing: {', '.join(plan.name for plan in missing)}; run 'rollcall "
                "topics apply', or set ROLLCALL_CREATE_TOPICS=true"
            )
        if missing:
            await admin.create(missing)
            findings = await admin.inspect(plans)
        problems = [
            f"{finding.plan.name}: {finding.problem}"
            for finding in findings
            if finding.state is not TopicState.FINE
        ]
        if problems:
            raise TopicsError("; ".join(problems))
        return findings
