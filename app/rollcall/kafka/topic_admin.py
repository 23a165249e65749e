"""Asking a cluster about Rollcall's topics: whether they are there and as planned. Creating those
that are missing.

Each broker keeps a copy of what the controller knows, and one hears of a change later than another.
So what matters is asked of every broker, until all say the same. Every code of every answer is
looked at: what may pass is waited for, everything else is told.
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
from rollcall.kafka.topic_ids import Topic, ask_any, nodes_of, topics_known_to
from rollcall.kafka.topics import LIMITS, TopicFinding, TopicPlan, TopicsError, TopicState, compare
from rollcall.settings import Settings

_T = TypeVar("_T")

log = logging.getLogger(__name__)

SETTLE_SECONDS = 30.0
"""A created topic is known to the brokers after some milliseconds. This is for machines that are
busy with other things, and for the time until the controller notices that a broker is gone.
"""

RETRY_SECONDS = 0.1

_REQUEST_MS = 20_000
_ANSWER_SECONDS = 5.0
"""Until a broker that does not answer is left out."""

_CONFIGURATION = ("cleanup.policy", *LIMITS)
_ASK_FOR = (
    "the right {} on it seems to be missing; 'rollcall topics acls' shows which ones are "
    "needed (docs/security.md)"
)


class _Answers(NamedTuple):
    """What all brokers know of some topics."""

    topics: Sequence[Mapping[str, Topic]]
    """Of each broker that answers."""
    silent: int
    """How many do not answer."""

    @property
    def agree(self) -> bool:
        """Whether all that answer know the same topics, by identity."""
        known = [
            {name: (topic.identity, topic.partitions) for name, topic in topics.items()}
            for topics in self.topics
        ]
        return all(other == known[0] for other in known)

    def lacking(self, names: Collection[str]) -> list[str]:
        """Topics that a broker does not know, or of which a partition has no leader."""
        return sorted(
            name
            for name in names
            if any(name not in topics or topics[name].leaderless for topics in self.topics)
        )


class TopicAdmin:
    """Speaks to the cluster about topics. Every failure of Kafka, in the whole block, becomes an
    error for people.
    """

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
            ConfigurationError: one does, and does not let this client in, or is not who it should
                be.
        """
        try:
            async with broker_connection(self._settings, self._bootstrap):
                pass  # it tells why there is none, which the client of topics does not
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
                f"Kafka at {self._bootstrap} refused what it was asked about topics ({error}); "
                "look at the brokers' logs"
            ) from None

    async def inspect(self, plans: Sequence[TopicPlan]) -> list[TopicFinding]:
        """Compare the cluster to the plans.

        Raises:
            BrokerUnavailableError: brokers do not answer, or do not agree on what topics there are.
            TopicsError: the cluster does not tell how a topic is configured.
        """

        async def inspect() -> list[TopicFinding] | None:
            answers = await self._ask_all([plan.name for plan in plans])
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

        findings = await self._until(inspect)
        if findings is None:
            raise BrokerUnavailableError(
                f"the brokers of {self._bootstrap} do not agree on what topics there are; look at "
                "their logs, and try again"
            )
        return findings

    async def create(self, plans: Sequence[TopicPlan]) -> None:
        """Create topics and wait until every broker knows them, with a leader for each partition.
        One that another process creates at the same time is fine.

        Raises:
            TopicsError: the cluster refuses (the message says which topic and why), or a topic does
                not appear.
            BrokerUnavailableError: brokers do not answer.
        """
        left = {
            plan.name: NewTopic(
                plan.name,
                plan.partitions,
                self._settings.replication_factor,
                topic_configs=dict(plan.config),
            )
            for plan in plans
        }
        if not left:
            return

        async def create() -> bool | None:
            await self._admin._client.bootstrap()  # who the controller is
            if self._admin._client.cluster.controller is None:
                raise NodeNotReadyError("the cluster has no controller")
            response = await self._admin.create_topics(list(left.values()))
            for topic, code, *reason in response.topic_errors:
                if self._is_created(topic, code, reason):
                    del left[topic]
            return None if left else True

        if await self._until(create) is None:
            raise TopicsError(
                f"Kafka at {self._bootstrap} did not create {', '.join(sorted(left))} in "
                f"{SETTLE_SECONDS:.0f} s; look at the brokers' logs"
            )
        await self._until_known([plan.name for plan in plans])

    @staticmethod
    def _is_created(topic: str, code: int, reason: Sequence[object]) -> bool:
        """False: to be tried again."""
        error = for_code(code)
        if error is TopicAuthorizationFailedError:
            raise TopicsError(
                f"Kafka does not allow to create {topic}: {_ASK_FOR.format('Create')}"
            )
        if error not in (NoError, TopicAlreadyExistsError) and not error.retriable:
            raise TopicsError(
                f"topic {topic} cannot be created: {error.__name__} "
                f"{' '.join(str(part) for part in reason if part)}".rstrip()
            )
        return not error.retriable

    async def _until_known(self, names: Sequence[str]) -> None:
        answers: _Answers | None = None

        async def known() -> bool | None:
            nonlocal answers
            answers = await self._ask_all(names)
            return None if answers.silent or not answers.agree or answers.lacking(names) else True

        if await self._until(known) is None:
            assert answers is not None
            if lacking := answers.lacking(names):
                raise TopicsError(
                    f"created, but not to be seen by all brokers after {SETTLE_SECONDS:.0f} s: "
                    f"{', '.join(lacking)}; look at the brokers' logs and try again"
                )
            log.warning(
                "topics were created, and %d brokers could not be asked whether they know them",
                answers.silent,
            )

    async def _until(self, attempt: Callable[[], Awaitable[_T | None]]) -> _T | None:
        """What an attempt gives that is not None, or None when there is none in time. A failure
        that may pass is one more attempt; the last one is raised.
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

    async def _ask_all(self, names: Sequence[str]) -> _Answers:
        """Ask every broker that there is now.

        Raises:
            aiokafka.errors.KafkaError: none answers, or one refuses.
        """
        await self._admin._client.bootstrap()  # which brokers there are; topics it does not ask for
        asked = (
            promptly(topics_known_to(self._admin, node, names), _ANSWER_SECONDS)
            for node in nodes_of(self._admin)
        )
        answers, failures = [], []
        for answer in await asyncio.gather(*asked, return_exceptions=True):
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
        response = await ask_any(
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
                f"{_ASK_FOR.format('DescribeConfigs')}"
            )
        for code, message, _kind, name, _entries in response.resources:
            if code:
                raise for_code(code)(f"{name}: {message or 'no reason is given'}")
        return {
            name: {entry[0]: entry[1] for entry in entries}
            for _code, _message, _kind, name, entries in response.resources
        }


async def ensure_topics(
    settings: Settings,
    bootstrap: str,
    plans: Sequence[TopicPlan],
    *,
    before_creating: Callable[[set[str]], Awaitable[None]] | None = None,
) -> list[TopicFinding]:
    """Create what is missing (unless the settings forbid it), check the rest, and return the
    findings, all fine.

    Args:
        before_creating: called with the names of what is missing, if anything is; raises when it
            must not be created.

    Raises:
        TopicsError: topics are missing and must not be created, or are not as they must be. The
            message says what to do for each.
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
