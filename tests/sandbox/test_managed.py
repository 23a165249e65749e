"""Processes that are kept by another one are told exactly what they should be."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from rollcall.sandbox.managed import (
    ManagedProcess,
    ObservedProcess,
    ProcessEndedError,
    process_environment,
)
from rollcall.sandbox.processes import LaunchError, launch
from rollcall.settings import Settings, load_settings
from tests.waiting import DEADLINE_SECONDS


def test_settings_go_through_the_environment_whatever_else_is_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    given = Settings(
        **defaults
        | {
            "kafka": "127.0.0.1:1",
            "security_protocol": "SASL_SSL",
            "sasl_username": "somebody",
            "sasl_password": SecretStr("secret"),
            "ssl_ca_file": Path("ca.pem").absolute(),
            "create_topics": False,
            "redact_parameters": ("one", "other"),
            "drop_metadata": ("client_ip", "url"),
            "gather_seconds": 0.5,
            "port": 0,
            "data": Path("here").absolute(),
        }
    )
    monkeypatch.setenv("ROLLCALL_PARTITIONS", "0")
    monkeypatch.setenv("rollcall_group_instance_id", "another")
    environment = process_environment(given)
    assert "rollcall_group_instance_id" not in environment
    monkeypatch.delenv("rollcall_group_instance_id")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings() == given


def test_a_process_that_cannot_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    async def start() -> None:
        async with ManagedProcess(
            "rosters",
            load_settings(port=0, bind="203.0.113.1", log_format="json"),
            "127.0.0.1:1",
            tmp_path,
        ) as process:
            await process.started()

    with pytest.raises(
        ProcessEndedError,
        match=r"the rosters ended; its log .*rosters\.log ends:\n(.*\n)*.*cannot listen on "
        r"203\.0\.113\.1:0",
    ):
        asyncio.run(start())


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"^the router could not be started: .*/nowhere/python"):
        launch(
            "router",
            ["/nowhere/python"],
            pid_file=tmp_path / "router.pid",
            log_file=tmp_path / "router.log",
            owned=True,
        )


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("print('done')", 0),
        ("print('done'); raise SystemExit(3)", 3),
        ("import os; print('done', flush=True); os.kill(os.getpid(), 9)", 128 + 9),
    ],
)
def test_a_command_has_an_exit_code_and_output(tmp_path: Path, program: str, code: int) -> None:
    async def run() -> tuple[int, list[str]]:
        process = ObservedProcess(
            "command", [sys.executable, "-c", program], folder=tmp_path, environment=os.environ
        )
        async with process:
            return await process.ended(DEADLINE_SECONDS), process.output()

    assert asyncio.run(run()) == (code, ["done"])


def test_a_command_that_does_not_end_is_reported(tmp_path: Path) -> None:
    async def run() -> None:
        program = "import time; time.sleep(600)"
        async with ObservedProcess(
            "command", [sys.executable, "-c", program], folder=tmp_path, environment=os.environ
        ) as process:
            await process.ended(0.1)

    with pytest.raises(ProcessEndedError, match=r"^the command did not end within 0 s; its log "):
        asyncio.run(run())


@pytest.mark.parametrize("seconds", [DEADLINE_SECONDS, 0.0])
def test_a_process_is_waited_for_until_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    async def run() -> int:
        statuses = iter([503, 503, 200])

        async def answer(_request: web.Request) -> web.Response:
            status = next(statuses)
            return web.Response(status=status, text=f"answer {status}")

        site = web.Application()
        site.router.add_get("/readyz", answer)
        program = "import time; time.sleep(600)"
        async with (
            TestServer(site) as server,
            ObservedProcess(
                "router", [sys.executable, "-c", program], folder=tmp_path, environment=os.environ
            ) as process,
        ):
            process.url = str(server.make_url("/")).rstrip("/")
            await process.ready()
            return len(list(statuses))

    monkeypatch.setattr("rollcall.sandbox.managed.READY_SECONDS", seconds)
    if seconds:
        assert asyncio.run(run()) == 0
    else:
        with pytest.raises(
            ProcessEndedError, match=r"^the router was not ready after 0 s: answer 503; "
        ):
            asyncio.run(run())
