"""Environment variables of other programs: of pipelines, service links or Rollcall's libraries."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from faust.types import _env
from faust.types.settings import Settings as FaustSettings

from rollcall.process.environment import KEPT, drop_foreign_variables
from tests.processes import PROGRAM, RollcallProcess, wait_until
from tests.waiting import run

FAUST = {param.env_name for param in FaustSettings.SETTINGS.values() if param.env_name} | {
    f"{prefix}{name}"
    for prefix in _env.PREFICES
    for name in (*_env.__all__, "BLOCKING_TIMEOUT", "FORCE_BLOCKING_TIMEOUT", "LOOP", "F_WEB_BIND")
}
"""All variables that Faust reads."""

OTHERS = {
    "AIOKAFKA_NO_EXTENSIONS",
    "DEVLOG",  # mode
    "DJANGO_SETTINGS_MODULE",
    "FASTAPI_ENV",
    "FASTAPI_OTEL_AUTO_CONFIGURE",
    "NO_CYTHON",
    "PROMETHEUS_DISABLE_CREATED_SERIES",
    "PROMETHEUS_MULTIPROC_DIR",
    "SSLKEYLOGFILE",
    "TYPEXPR_DEBUG",
    "WEB_CONCURRENCY",
}

EFFECTIVE = """
import json, os, sys
if "--as-a-process" in sys.argv:
    from rollcall.process.environment import drop_foreign_variables
    drop_foreign_variables()
from faust.types import _env
from faust.types.settings import Settings
from rollcall.router.application import new_router
from rollcall.settings import load_settings
from rollcall.streaming.application import StreamingApplication
from rollcall.process.stream import Work
from rollcall.streaming.barrier import BarrierTopic
from rollcall.streaming.chunks import ChunkAgent

agent = ChunkAgent("router", ("raw",), "rollcall-router", lambda partition, rows: None)
work = Work([agent], 1_000_000, BarrierTopic('b', 1), frozenset())
options = new_router(load_settings(), "127.0.0.1:1")._options(work)
stream = StreamingApplication(options, [agent], observer=None, on_survey=None)
app = stream._new_app("/nowhere")
values = {name: repr(getattr(app.conf, name)) for name in Settings.SETTINGS}
print(json.dumps(values | {name: repr(getattr(_env, name)) for name in _env.__all__}))
"""
"""Program that prints Faust's settings in the router."""


def effective(variables: Mapping[str, str], *arguments: str) -> dict[str, str]:
    """Faust's effective settings."""
    command = [sys.executable, "-c", EFFECTIVE, *arguments]
    done = run(command, env={**os.environ, **variables})
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return {
        name: re.sub(r"0x[0-9a-f]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", value)
        for name, value in found.items()
    }


@pytest.fixture(scope="module")
def untouched() -> dict[str, str]:
    """Faust's settings without variables."""
    return effective({})


@pytest.mark.parametrize("value", ["1", "tcp://10.0.0.7:80"])
def test_faust_has_the_settings_of_the_program(value: str, untouched: Mapping[str, str]) -> None:
    assert len(FAUST) > 70
    assert effective(dict.fromkeys(FAUST | OTHERS, value), "--as-a-process") == untouched


def test_in_an_unchanged_environment_variables_change_faust(untouched: Mapping[str, str]) -> None:
    """Negative control: with an unchanged environment, variables change Faust's defaults, but not
    the application's own options.
    """
    # with the excluded ones, it would not start
    found = effective({name: "1" for name in FAUST if not name.endswith(("_LOOP", "_STRICT"))})
    changed = {name for name in found if found[name] != untouched[name]}
    assert changed
    assert changed <= {*_env.__all__, "web_transport", "web_bind", "web_port", "canonical_url"}, (
        "defaults that are read when Faust is loaded"
    )


def test_a_process_is_the_same_with_these_variables(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """The process starts, opens no other port, and writes no files."""
    variables = {
        **dict.fromkeys(FAUST | OTHERS, "1"),
        "APP_WEB_ENABLED": "true",
        "APP_VERSION": "1.4.2",
        "WEB_PORT": "tcp://10.0.0.7:80",
    }
    variables["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path / "metrics")
    (tmp_path / "metrics").mkdir()
    with RollcallProcess(
        "router", tmp_path, bootstrap, prefix, program=PROGRAM, variables=variables
    ) as router:
        router.wait_ready(60)
        assert listening(router.process.pid) == {int(router.url.rpartition(":")[2])}
        wait_until(
            lambda: router.metric("rollcall_ready") == 1, 60, what="readiness in the metrics"
        )
        assert list((tmp_path / "metrics").iterdir()) == []
        assert router.end() == 0


def listening(pid: int) -> set[int]:
    """Ports at which a process listens."""
    sockets = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            sockets.add(os.readlink(link))
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    ]
    return {
        int(fields[1].rpartition(":")[2], 16)
        for fields in lines
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets
    }


def test_variables_for_the_process_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = (
        "ROLLCALL_KAFKA",
        "rollcall_port",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "https_proxy",
        "NO_PROXY",
        "FORWARDED_ALLOW_IPS",
        "TZ",
        "TMPDIR",
        "SSL_CERT_FILE",
    )
    with monkeypatch.context() as patch:
        patch.setattr(
            os, "environ", {**dict.fromkeys(kept, "x"), **dict.fromkeys(FAUST | OTHERS, "x")}
        )
        drop_foreign_variables()
        assert set(os.environ) == set(kept)
    assert not {name for name in FAUST | OTHERS if KEPT.fullmatch(name)}
