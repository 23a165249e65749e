"""Where the demo takes place: on a broker of its own, or on the user's cluster under names of its
own.
"""

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
"""Settings of the user that hold in the demo: how to reach the cluster, and where files may be. All
others are as if they were not set.
"""

PROCESSES = ("router", "rosters")
"""What the demo starts: commands, and the last words of consumer groups."""

REMOVE_SECONDS = 20.0


def demo_settings() -> Settings:
    """The settings of the demo. On the user's cluster, all names begin with a word that nobody else
    has.

    Raises:
        ConfigurationError: one of the settings that are kept is wrong.
    """
    others = {
        name: field.default for name, field in Settings.model_fields.items() if name not in KEPT
    }
    settings = load_settings(**others)
    word = "demo-" + "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(5))
    names = (
        {"group_prefix": "rollcall-demo"}
        if settings.kafka is None
        else {"group_prefix": word, "topic_prefix": word}
    )
    return settings.model_copy(
        update={**names, "port": 0, "log_format": "json", "data": settings.data.absolute()}
    )


@contextlib.contextmanager
def workplace(settings: Settings) -> Iterator[Path]:
    """The demo's folder, empty, for this demo alone.

    Raises:
        BrokerUnavailableError: another demo is running there.
        ConfigurationError: the folder cannot be written.
    """
    folder = settings.data / "demo"
    try:
        with locked(settings.data / "demo.lock", timeout=1, purpose="running the demo"):
            if (folder / "kafka").exists():
                _broker(folder, settings).stop()  # of a demo that was killed a moment ago
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
    except PermissionError as error:
        raise ConfigurationError(
            f"cannot write {error.filename}; set ROLLCALL_DATA to a folder that can be written"
        ) from None


@contextlib.contextmanager
def cluster(settings: Settings, folder: Path, announce: Callable[[str], object]) -> Iterator[str]:
    """Bootstrap servers: of the user's cluster, or of a broker that lives as long as the context.

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
        broker.stop()  # the first Ctrl-C may have come while it was being stopped
        raise
    shutil.rmtree(broker.directory, ignore_errors=True)


async def remove(settings: Settings, bootstrap: str) -> list[str]:
    """Delete the demo's topics and groups from the user's cluster; returns what could not be
    deleted, with the reason.
    """
    topics, groups = (
        [plan.name for plan in plan_topics(settings)],
        [settings.group(name) for name in PROCESSES],
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
        # aiokafka knows the request and has no method for it.
        [(_, code)] = (await admin._send_request(DeleteGroupsRequest([group]), coordinator)).results
        error = for_code(code)
        if error in (NoError, GroupIdNotFound):
            return
        if error is not NonEmptyGroup:
            raise error
        # a process that was killed is a member until its session times out
        await asyncio.sleep(0.5)


def _broker(folder: Path, settings: Settings) -> EmbeddedBroker:
    return EmbeddedBroker(folder / "kafka", jars=settings.data / "kafka-libs")
