"""Permanent Kafka errors end a process, with a message that names the settings of Rollcall and of
the brokers. No process retries for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError, for_code

from rollcall.errors import ConfigurationError, RollcallError
from rollcall.kafka.errors import FencedInstanceIdError
from rollcall.process.refusals import REFUSALS, explain
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.settings import load_settings
from tests.processes import RouterProcess

DEADLINE = 60.0


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_names_something_to_change(code: int) -> None:
    settings = load_settings(group_prefix="school", group_instance_id="router-1")
    try:
        try:
            raise for_code(code)
        except KafkaError as refusal:
            raise RollcallError("stopped") from refusal
    except RollcallError as error:
        explained = explain(error, settings, "router")
    assert FencedInstanceIdError.errno in REFUSALS
    assert isinstance(explained, REFUSALS[code].error_type)
    text = str(explained)
    assert re.search(r"ROLLCALL_[A-Z_]+|[a-z]+\.[a-z.]+[a-z]|Kafka 3\.6", text), text
    assert "{" not in text
    assert text.endswith("(stopped)")


def test_other_errors_have_no_explanation() -> None:
    assert explain(RollcallError("something else"), load_settings(), "router") is None


@pytest.fixture(scope="module")
def strict_broker(tmp_path_factory: pytest.TempPathFactory, jars: Path) -> Iterator[str]:
    """A broker with lower limits than usual."""
    properties = {
        "group.max.session.timeout.ms": "9000",
        "transaction.max.timeout.ms": "30000",
        "group.max.size": "1",
    }
    with EmbeddedBroker(
        tmp_path_factory.mktemp("strict") / "kafka", jars=jars, heap="384m", properties=properties
    ) as broker:
        yield broker.bootstrap


def assert_ends(router: RouterProcess, kind: type[RollcallError], *words: str) -> None:
    assert router.process.wait(DEADLINE) == kind.exit_code
    last = router.log_file.read_text().splitlines()[-1]
    assert last.startswith("rollcall: ")
    for word in words:
        assert word in last


def test_a_session_timeout_above_the_broker_limit(
    strict_broker: str, prefix: str, tmp_path: Path
) -> None:
    with RouterProcess(
        tmp_path, strict_broker, prefix, session_timeout_seconds=10, transaction_timeout_seconds=20
    ) as router:
        assert_ends(
            router,
            ConfigurationError,
            "ROLLCALL_SESSION_TIMEOUT_SECONDS=10",
            "group.max.session.timeout.ms",
        )


def test_a_transaction_timeout_above_the_broker_limit(
    strict_broker: str, prefix: str, tmp_path: Path
) -> None:
    with RouterProcess(tmp_path, strict_broker, prefix).expecting(
        "InvalidTransactionTimeout"
    ) as router:
        assert_ends(
            router,
            ConfigurationError,
            "ROLLCALL_TRANSACTION_TIMEOUT_SECONDS=60",
            "transaction.max.timeout.ms",
        )


def test_a_full_group(strict_broker: str, prefix: str, tmp_path: Path) -> None:
    with RouterProcess(tmp_path, strict_broker, prefix, transaction_timeout_seconds=20) as first:
        first.wait_ready(DEADLINE)
        with RouterProcess(
            tmp_path, strict_broker, prefix, transaction_timeout_seconds=20
        ) as second:
            assert_ends(second, RollcallError, f"group {prefix}-router", "group.max.size")
        assert first.end() == 0


def test_of_two_processes_with_one_name_the_first_ends(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    with RouterProcess(tmp_path, bootstrap, prefix, group_instance_id="one") as first:
        first.wait_ready(DEADLINE)
        with RouterProcess(tmp_path, bootstrap, prefix, group_instance_id="one") as second:
            assert_ends(
                first,
                ConfigurationError,
                "ROLLCALL_GROUP_INSTANCE_ID=one",
                f"group {prefix}-router",
            )
            second.wait_ready(DEADLINE)
            assert second.end() == 0


def test_the_successor_of_a_killed_process_may_use_its_name(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """The group still has the old member."""
    with RouterProcess(tmp_path, bootstrap, prefix, group_instance_id="one") as first:
        first.wait_ready(DEADLINE)
        first.process.kill()
    with RouterProcess(tmp_path, bootstrap, prefix, group_instance_id="one") as second:
        second.wait_ready(DEADLINE)
        assert second.end() == 0
