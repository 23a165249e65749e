"""What Kafka must let each process do, as ACLs, and whether it does.

A process asks before it begins, so that everything that is missing is told at once. Asking has no effect: a cluster tells what its client may do with a topic
(KIP-430), and of groups and transactional ids it is found out by requests that cannot succeed, which are refused first of all when the right is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TransactionalIdAuthorizationFailed
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.transaction import EndTxnRequest

from app.connection import broker_connection
from app.errors import BrokerUnavailableError, RollcallError
from app.kafka import REFUSALS
from app.rosters.topics import plan_roster_topics
from app.settings import Settings
from app.streaming.topic_ids import allowed_operations
from app.topic_plan import plan_topics
from app.topics import TopicNames, TopicPlan, barrier_topic, plan_router_topics


class AccessError(RollcallError):
    """The cluster does not let this client do what it must."""


class Resource(Enum):
    """What an ACL is about, as ``kafka-acls`` calls it."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Operation(Enum):
    """What an ACL allows; the values are those of Kafka's protocol."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10

    def __str__(self) -> str:
        return self.name.title().replace("_", "")


@dataclass(frozen=True, slots=True)
class Acl:
    """A right on one resource, or on all whose names begin with a prefix."""

    resource: Resource
    name: str
    prefixed: bool
    operation: Operation

    def covers(self, name: str) -> bool:
        """Whether it is about the resource of this name."""
        return name.startswith(self.name) if self.prefixed else name == self.name

    def __str__(self) -> str:
        kind = self.resource.value.replace("-", " ")
        return f"{self.operation} on {kind}s that begin with {self.name}" if self.prefixed else f"{self.operation} on {kind} {self.name}"


def required_acls(settings: Settings) -> Mapping[str, tuple[Acl, ...]]:
    """The least that each needs: the processes, the commands ``topics`` and ``roster``, the bridge that sends events, and whoever reads typed topics.

    Read and Write imply Describe. ``topics`` needs Create only for what is missing, and a process only where nobody ran ``rollcall topics apply`` before.
    """
    names = TopicNames(settings.topic_prefix)
    router, rosters = settings.group("router"), settings.group("rosters")
    events, tables, internal = f"{names.prefix}.events.", f"{names.prefix}.rosters.", f"{rosters}-"
    read, write, create, describe, configs = Operation.READ, Operation.WRITE, Operation.CREATE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS

    def topic(name: str, *operations: Operation) -> list[Acl]:
        return [Acl(Resource.TOPIC, name, name.endswith((".", "-")), operation) for operation in operations]

    def transactions(group: str) -> list[Acl]:
        return [Acl(Resource.GROUP, group, False, read), Acl(Resource.TRANSACTIONAL_ID, f"{group}-", True, write)]

    acls = {
        "router": [
            *topic(names.raw, read, configs),
            *topic(events, write, configs),
            *topic(names.unknown, write, configs),
            *topic(names.dead_letter, write, configs),
            *topic(barrier_topic(router), read, configs),
            *transactions(router),
        ],
        "rosters": [
            *topic(events, read, configs),
            *topic(internal, read, write, configs),
            *topic(tables, write, configs),
            *topic(names.dead_letter, write, configs),
            *transactions(rosters),
        ],
        "serve": [*topic(tables, read), *topic(names.dead_letter, read)],
        "topics": [
            *topic(f"{names.prefix}.", describe, configs, create),
            *topic(internal, describe, configs, create),
            *topic(barrier_topic(router), describe, configs, create),
        ],
        "roster": topic(tables, read),
        "bridge": topic(names.raw, write),
        "reader": topic(events, read),
    }
    return {name: tuple(found) for name, found in acls.items()}


async def check_access(settings: Settings, bootstrap: str, process: str) -> None:
    """Ask the cluster whether it lets this client do what a process must.

    What a cluster does not tell passes: of topics that are not there.

    Args:
        process: as :func:`required_acls` calls it.

    Raises:
        AccessError: it does not; the message names every right that seems to be missing.
        BrokerUnavailableError, ConfigurationError: there is no connection.
    """
    acls = required_acls(settings)[process]
    async with broker_connection(settings, bootstrap) as connection:
        try:
            missing = [lack for acl in acls if acl.resource is not Resource.TOPIC and (lack := await _probe(connection, acl))]
            names = [plan.name for plan in _plans(settings, process)]
            missing += _missing_on_topics(acls, await allowed_operations(connection, names))
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(f"Kafka at {bootstrap} ended the connection ({type(error).__name__}); look at the brokers' logs") from None
    if missing:
        raise AccessError(
            f"Kafka does not allow what {process} needs: {'; '.join(missing)}; whoever administers the cluster can grant it: 'rollcall topics acls {process}'"
        )


async def diagnose(settings: Settings, bootstrap: str, process: str) -> RollcallError | None:
    """What is wrong with this client's connection or its rights, if anything is."""
    try:
        await check_access(settings, bootstrap, process)
    except RollcallError as error:
        return error
    return None


def is_refusal(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, is that of a right that is missing."""
    while error is not None:
        if isinstance(error, REFUSALS):
            return True
        error = error.__cause__
    return False


def _plans(settings: Settings, process: str) -> tuple[TopicPlan, ...]:
    return {"router": plan_router_topics, "rosters": plan_roster_topics}.get(process, plan_topics)(settings)


async def _probe(connection: AIOKafkaConnection, acl: Acl) -> str | None:
    """The right on a group or on transactional ids, if it is missing. No group has this member, and no producer this id, so nothing comes of the requests."""
    if acl.resource is Resource.GROUP:
        answer, refusal = await connection.send(HeartbeatRequest(acl.name, -1, "rollcall")), GroupAuthorizationFailedError.errno
    else:
        answer, refusal = await connection.send(EndTxnRequest(f"{acl.name}nobody", -1, -1, False)), TransactionalIdAuthorizationFailed.errno
    return str(acl) if answer.error_code == refusal else None


def _missing_on_topics(acls: Iterable[Acl], allowed: Mapping[str, frozenset[int] | None]) -> list[str]:
    missing = []
    for acl in acls:
        # To create a topic is not allowed on it but on its name, so it is found out when one is created.
        if acl.resource is not Resource.TOPIC or acl.operation is Operation.CREATE:
            continue
        told = {name: operations for name, operations in allowed.items() if acl.covers(name) and operations is not None}
        lacking = [name for name, operations in told.items() if acl.operation.value not in operations]
        if lacking:
            missing.append(str(acl) if len(lacking) == len(told) else f"{acl.operation} on topic {', '.join(lacking)}")
    return missing
