"""Required rights of each process in Kafka, as ACLs, and a check of them.

A process checks before it starts, so that all missing rights are reported at once. The check has no
effect: a cluster reports a client's operations on a topic (KIP-430). Rights on groups and
transactional ids are probed by requests that cannot succeed; Kafka checks the right first.
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
    """The cluster denies this client a required right."""


class Resource(Enum):
    """Resource type of an ACL, as ``kafka-acls`` names it."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Operation(Enum):
    """Operation of an ACL; the values are those of Kafka's protocol."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10

    def __str__(self) -> str:
        return self.name.title().replace("_", "")


@dataclass(frozen=True, slots=True)
class Acl:
    """A right on one resource, or on all with a name prefix."""

    resource: Resource
    name: str
    prefixed: bool
    operation: Operation

    def covers(self, name: str) -> bool:
        """Whether it covers the resource with this name."""
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
    """Minimum rights of a process, a command or a foreign program."""

    owner: str
    """Their owner, as named by ``rollcall topics acls``."""
    acls: tuple[Acl, ...]
    """Read and Write imply Describe."""
    topics: tuple[str, ...]
    """Topics whose rights are checked. Missing topics are skipped."""


def on_topic(name: str, *operations: Operation) -> tuple[Acl, ...]:
    """ACLs on one topic, or on a name prefix: one that ends with a dot or a hyphen."""
    return tuple(
        Acl(Resource.TOPIC, name, name.endswith((".", "-")), operation) for operation in operations
    )


def on_transactions(group: str) -> tuple[Acl, ...]:
    """ACLs of a consumer group whose lanes' transactional ids start with its name."""
    return Acl(Resource.GROUP, group, False, Operation.READ), Acl(
        Resource.TRANSACTIONAL_ID, f"{group}-", True, Operation.WRITE
    )


async def check_rights(settings: Settings, bootstrap: str, rights: Rights) -> None:
    """Check this client's rights in the cluster.

    Rights that the cluster cannot report count as granted: those on missing topics.

    Raises:
        RightsError: rights are missing; the message names them.
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
            f"ask an administrator of the cluster for: 'rollcall topics acls {rights.owner}'"
        )
        raise RightsError(
            f"Kafka does not allow what {rights.owner} needs: {'; '.join(missing)}; {granted_by}"
        )


async def diagnose(settings: Settings, bootstrap: str, rights: Rights) -> RollcallError | None:
    """The error of this client's connection or rights, or None."""
    try:
        await check_rights(settings, bootstrap, rights)
    except RollcallError as error:
        return error
    return None


def is_refusal(error: BaseException | None) -> bool:
    """Whether an error or one of its causes is about a missing right."""
    while error is not None:
        if isinstance(error, REFUSALS):
            return True
        error = error.__cause__
    return False


async def _probe(connection: AIOKafkaConnection, acl: Acl) -> str | None:
    """The right on a group or on transactional ids, if it is missing. The requests have no effect:
    no group has this member, and no producer this id.
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
        # Create is a right on a name, not on a topic: it is checked when a topic is created.
        if acl.resource is not Resource.TOPIC or acl.operation is Operation.CREATE:
            continue
        reported = {
            name: operations
            for name, operations in allowed.items()
            if acl.covers(name) and operations is not None
        }
        denied = [
            name for name, operations in reported.items() if acl.operation.value not in operations
        ]
        if denied:
            missing.append(
                str(acl)
                if len(denied) == len(reported)
                else f"{acl.operation} on topic {', '.join(denied)}"
            )
    return missing
