"""TLS, mutual TLS and SASL: a router comes in, reads and writes, as librdkafka does with the same
security.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from rollcall.resources import resource_path
from tests.kafka_client import Sent, create_topic, read_all, send
from tests.processes import RouterProcess
from tests.security.cluster import SecuredCluster

EVENT: bytes = orjson.dumps(
    orjson.loads(resource_path("schemas", "course_created.json").read_bytes())["examples"][0]
)

WAYS = [
    ("TLS", None),
    ("MUTUAL", None),
    ("SASLTLS", "PLAIN"),
    ("SASLTLS", "SCRAM-SHA-256"),
    ("SASLTLS", "OAUTHBEARER"),
    ("SASL", "SCRAM-SHA-512"),
]
"""SCRAM-SHA-512 over SASL_SSL: tests/security/test_rights.py, with all processes."""


@pytest.mark.parametrize(("listener", "mechanism"), WAYS)
def test_a_router_comes_in(
    secured: SecuredCluster, listener: str, mechanism: str | None, prefix: str, tmp_path: Path
) -> None:
    access = secured.access(listener, mechanism)
    create_topic(secured.admin, f"{prefix}.raw", 1)
    send(access.bootstrap, f"{prefix}.raw", [Sent(EVENT)], security=access.security)
    with RouterProcess(
        tmp_path, access.bootstrap, prefix, partitions=1, **access.settings
    ) as router:
        router.wait_ready()
        [message] = read_all(secured.admin, [f"{prefix}.events.course_created"], at_least=1)
        assert message.value() == EVENT
        assert router.end() == 0
