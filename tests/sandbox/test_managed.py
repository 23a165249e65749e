"""Processes that are kept by another one are told exactly what they should be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from rollcall.sandbox.managed import ManagedProcess, ProcessEndedError, process_environment
from rollcall.sandbox.processes import LaunchError, launch
from rollcall.settings import Settings, load_settings


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
