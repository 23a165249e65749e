"""What Kafka must let each process do, as ACLs, and whether it does.

A process asks before it begins, so that everything that is missing is told at once. Asking has no
effect: a cluster tells what its client may do with a topic (KIP-430), and of groups and
transactional ids it is found out by requests that cannot succeed, which are refused first of all
when the right is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.transaction import EndTxnRequest

from rollcall.errors import BrokerUnavailableError, RollcallError
from rollcall.kafka.client import REFUSALS
from rollcall.kafka.connection import broker_connection
from rollcall.kafka.topic_ids import allowed_operations
from rollcall.settings import Settings


class RightsError(RollcallError):
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
        return (
            f"{self.operation} on {kind}s that begin with {self.name}"
            if self.prefixed
            else f"{self.operation} on {kind} {self.name}"
        )


@dataclass(frozen=True, slots=True)
class Rights:
    """The least that a process, a command, or a program of somebody else needs."""

    owner: str
    """Who needs them, as ``rollcall topics acls`` calls it."""
    acls: tuple[Acl, ...]
    """Read and Write imply Describe."""
    topics: tuple[str, ...]
    """The topics on which a cluster is asked for them: those that exist may be covered by an ACL,
    and those that do not are passed over.
    """


def on_topic(name: str, *operations: Operation) -> tuple[Acl, ...]:
    """ACLs on one topic, or on all whose names begin with a prefix: one that ends with a dot or a
    hyphen.
    """
    return tuple(
        Acl(Resource.TOPIC, name, name.endswith((".", "-")), operation) for operation in operations
    )


def on_transactions(group: str) -> tuple[Acl, ...]:
    """ACLs of a consumer group whose lanes have transactional ids that begin with its name."""
    return Acl(Resource.GROUP, group, False, Operation.READ), Acl(
        Resource.TRANSACTIONAL_ID, f"{group}-", True, Operation.WRITE
    )


async def check_rights(settings: Settings, bootstrap: str, rights: Rights) -> None:
    """Ask the cluster whether it lets this client do what it must.

    What a cluster does not tell passes: of topics that are not there.

    Raises:
        RightsError: it does not; the message names every right that seems to be missing.
        BrokerUnavailableError, ConfigurationError: there is no connection.
    """
    async with broker_connection(settings, bootstrap) as connection:
        try:
            missing = [
                lack
                for acl in rights.acls
                if acl.resource is not Resource.TOPIC and (lack := await _probe(connection, acl))
            ]
            missing += _missing_on_topics(
                rights.acls, await allowed_operations(connection, rights.topics)
            )
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(
                f"Kafka at {bootstrap} ended the connection ({type(error).__name__}); look at the "
                "brokers' logs"
            ) from None
    if missing:
        granted_by = (
            f"whoever administers the cluster can grant it: 'rollcall topics acls {rights.owner}'"
        )
        raise RightsError(
            f"Kafka does not allow what {rights.owner} needs: {'; '.join(missing)}; {granted_by}"
        )


async def diagnose(settings: Settings, bootstrap: str, rights: Rights) -> RollcallError | None:
    """What is wrong with this client's connection or its rights, if anything is."""
    try:
        await check_rights(settings, bootstrap, rights)
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


async def _probe(connection: AIOKafkaConnection, acl: Acl) -> str | None:
    """The right on a group or on transactional ids, if it is missing. No group has this member, and
    no producer this id, so nothing comes of the requests.
    """
    if acl.resource is Resource.GROUP:
        answer, refusal = (
            await connection.send(HeartbeatRequest(acl.name, -1, "rollcall")),
            GroupAuthorizationFailedError.errno,
        )
    else:
        answer, refusal = (
            await connection.send(EndTxnRequest(f"{acl.name}nobody", -1, -1, False)),
            TransactionalIdAuthorizationFailed.errno,
        )
    return str(acl) if answer.error_code == refusal else None


def _missing_on_topics(
    acls: Iterable[Acl], allowed: Mapping[str, frozenset[int] | None]
) -> list[str]:
    missing = []
    for acl in acls:
        # To create a topic is not allowed on it but on its name, so it is found out when one is
        # created.
        if acl.resource is not Resource.TOPIC or acl.operation is Operation.CREATE:
            continue
        told = {
            name: operations
            for name, operations in allowed.items()
            if acl.covers(name) and operations is not None
        }
        lacking = [
            name for name, operations in told.items() if acl.operation.value not in operations
        ]
        if lacking:
            missing.append(
                str(acl)
                if len(lacking) == len(told)
                else f"{acl.operation} on topic {', '.join(lacking)}"
            )
    return missing
