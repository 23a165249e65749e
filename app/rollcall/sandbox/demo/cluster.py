"""The demo's cluster: its own broker, or the user's cluster with unique names."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupIdNotFound,
    KafkaError,
    NoError,
    NonEmptyGroup,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import DeleteGroupsRequest

from rollcall.catalogue.plans import plan_topics
from rollcall.errors import ConfigurationError
from rollcall.kafka.bounded import close
from rollcall.kafka.client import client_options
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.broker.files import locked
from rollcall.settings import Settings, load_settings

KEPT = frozenset({
    "kafka", "security_protocol", "sasl_mechanism", "sasl_username", "sasl_password", "ssl_ca_file",
    "ssl_cert_file", "ssl_key_file",
    "replication_factor", "data",
})  # fmt: skip
"""The user's settings that the demo uses: access to the cluster, and the data directory. The others
have their defaults.
"""

PROCESSES = ("router", "rosters")
"""Processes of the demo with a consumer group."""

GROUPS = (*PROCESSES, "reconcile")
"""All of its groups."""

REMOVE_SECONDS = 20.0


def demo_settings() -> Settings:
    """The settings of the demo. On the user's cluster, all names have a random prefix.

    Raises:
        ConfigurationError: one of the user's settings is wrong.
    """
    defaults = {
        name: field.default for name, field in Settings.model_fields.items() if name not in KEPT
    }
    settings = load_settings(**defaults)
    prefix = "demo-" + "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(5))
    names = (
        {"group_prefix": "rollcall-demo"}
        if settings.kafka is None
        else {"group_prefix": prefix, "topic_prefix": prefix}
    )
    return settings.model_copy(
        update={**names, "port": 0, "log_format": "json", "data": settings.data.absolute()}
    )


@contextlib.contextmanager
def workplace(settings: Settings) -> Iterator[Path]:
    """The demo's empty folder, locked for this demo.

    Raises:
        BrokerUnavailableError: another demo uses the folder.
        ConfigurationError: the folder cannot be written.
    """
    folder = settings.data / "demo"
    try:
        with locked(settings.data / "demo.lock", timeout=1, purpose="running the demo"):
            if (folder / "kafka").exists():
                _broker(folder, settings).stop()  # the broker of a demo that was just killed
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
    except PermissionError as error:
        raise ConfigurationError(
            f"cannot write {error.filename}; set ROLLCALL_DATA to a writable folder"
        ) from None


@contextlib.contextmanager
def cluster(settings: Settings, folder: Path, announce: Callable[[str], object]) -> Iterator[str]:
    """Bootstrap servers of the user's cluster, or of a broker that runs during the block.

    Raises:
        BrokerUnavailableError: the broker cannot be started.
    """
    if settings.kafka is not None:
        yield settings.kafka
        return
    broker = _broker(folder, settings)
    broker.ensure_libraries(announce=announce)
    try:
        with broker:
            yield broker.bootstrap
    except BaseException:
        broker.stop()  # Ctrl-C may have interrupted its stop
        raise
    shutil.rmtree(broker.directory, ignore_errors=True)


async def remove(settings: Settings, bootstrap: str) -> list[str]:
    """Delete the demo's topics and groups from the user's cluster. Returns those that could not be
    deleted, with reasons.
    """
    topics, groups = (
        [plan.name for plan in plan_topics(settings)],
        [settings.group(name) for name in GROUPS],
    )
    admin = AIOKafkaAdminClient(**client_options(settings, bootstrap), request_timeout_ms=10_000)
    try:
        async with asyncio.timeout(REMOVE_SECONDS):
            await admin.start()
            answers = (await admin.delete_topics(topics)).topic_error_codes
            left = [
                f"topic {topic} ({for_code(code).__name__})"
                for topic, code in answers
                if for_code(code) not in (NoError, UnknownTopicOrPartitionError)
            ]
            for group in groups:
                await _remove_group(admin, group)
    except (KafkaError, OSError, TimeoutError) as error:
        left = [
            f"topics {settings.topic_prefix}.* and groups {settings.group_prefix}-* "
            f"({type(error).__name__})"
        ]
    finally:
        await close(admin.close())
    return left


async def _remove_group(admin: AIOKafkaAdminClient, group: str) -> None:
    coordinator = await admin.find_coordinator(group)
    while True:
        # aiokafka has the request, but no method for it
        [(_, code)] = (await admin._send_request(DeleteGroupsRequest([group]), coordinator)).results
        error = for_code(code)
        if error in (NoError, GroupIdNotFound):
            return
        if error is not NonEmptyGroup:
            raise error
        # a killed process is a member until its session times out
        await asyncio.sleep(0.5)


def _broker(folder: Path, settings: Settings) -> EmbeddedBroker:
    return EmbeddedBroker(folder / "kafka", jars=settings.data / "kafka-libs")
