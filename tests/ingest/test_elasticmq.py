"""A second opinion: the same source against ElasticMQ, an SQS server that shares no code with moto.
Skipped without Maven.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollcall.sandbox.broker.java import find_java
from rollcall.settings import load_settings
from tests.ingest.ingesting import KafkaWitness, ingesting, settings_for
from tests.ingest.queues import Queues
from tests.ingest.shim import Shim
from tests.ingest.test_source import assert_moved, events
from tests.tools import needs
from tests.waiting import run, wait_for_exit, wait_until

POM = Path(__file__).parent / "elasticmq" / "pom.xml"

pytestmark = [pytest.mark.slow, needs("mvn", package="maven")]


@pytest.fixture(scope="module")
def elasticmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server."""
    folder = load_settings().data.absolute() / "elasticmq-libs"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run(
            [
                "mvn",
                "--quiet",
                "--batch-mode",
                "--file",
                POM,
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                f"-DoutputDirectory={folder}",
            ],
            600,
            check=True,
        )
        (folder / "complete").touch()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    directory = tmp_path_factory.mktemp("elasticmq")
    configuration = directory / "elasticmq.conf"
    configuration.write_text(
        f"""
        include classpath("application.conf")
        node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
        rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = "127.0.0.1",
                    sqs-limits = strict }}
        rest-stats {{ enabled = false }}
        """
    )
    with (directory / "elasticmq.log").open("wb") as log:
        server = subprocess.Popen(
            [
                str(find_java()),
                "-Xmx256m",
                f"-Dconfig.file={configuration}",
                "-cp",
                f"{folder}/*",
                "org.elasticmq.server.Main",
            ],
            stdout=log,
            stderr=log,
            cwd=directory,
        )

    def answers() -> bool:
        assert server.poll() is None, (directory / "elasticmq.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers, what="ElasticMQ")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.kill(server.pid, signal.SIGTERM)
        wait_for_exit(server, what="the end of ElasticMQ")


async def test_all_is_moved_and_nothing_deleted_too_early(
    bootstrap: str, prefix: str, elasticmq: str
) -> None:
    queue = Queues(elasticmq, f"canvas-live-events-{prefix}")
    witness = KafkaWitness(bootstrap, prefix, 2)
    bodies = [*events(200), "{", "ü ✓ \U0001f600"]
    sent = dict(zip(queue.send(bodies), bodies, strict=True))
    with Shim(elasticmq, duplicates=0.1, refused=0.1, before_delete=witness) as shim:
        settings = settings_for(queue, shim, prefix, sqs_pollers=3, sqs_visibility_seconds=6)
        async with ingesting(settings, bootstrap) as running:
            await assert_moved(running, bootstrap, prefix, queue, sent)
        assert witness.too_early == []
    witness.close()
