"""What is wrong with a connection is told in one line, which names the setting to look at and no
secret.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rollcall.cli.roster_reading import read_roster
from rollcall.cli.topics import _apply, _inspect
from rollcall.errors import BrokerUnavailableError, ConfigurationError, RollcallError
from rollcall.process.running import Process
from rollcall.rosters.application import new_rosters
from rollcall.rosters.context import parse_context
from rollcall.router.application import new_router
from rollcall.serve.process import ServeProcess
from rollcall.settings import Settings, load_settings
from tests.processes import RollcallProcess, wait_until
from tests.security.cluster import PASSWORD, SecuredCluster
from tests.waiting import run

WRONG = "hunter2"
"""A password, a token and a passphrase."""


class Fault(NamedTuple):
    """Settings that are not right, and what there is to be read."""

    kafka: str
    settings: dict[str, Any]
    exit_code: int
    says: tuple[str, ...]


def _fault(
    cluster: SecuredCluster,
    listener: str,
    mechanism: str | None,
    wrong: dict[str, Any],
    says: tuple[str, ...],
    exit_code: int = 2,
) -> Fault:
    access = cluster.access(listener, mechanism)
    return Fault(access.bootstrap, access.settings | wrong, exit_code, says)


FAULTS: dict[str, Callable[[SecuredCluster], Fault]] = {
    "authority": lambda c: _fault(
        c,
        "TLS",
        None,
        {"ssl_ca_file": c.stranger.certificate},
        ("certificate of the broker", "ROLLCALL_SSL_CA_FILE"),
    ),
    "system's authorities": lambda c: _fault(
        c, "TLS", None, {"ssl_ca_file": ""}, ("the system's authorities", "ROLLCALL_SSL_CA_FILE")
    ),
    "expired": lambda c: _fault(
        c,
        "EXPIRED",
        None,
        {},
        ("certificate of the broker", "certificate has expired", "renew it on the broker"),
    ),
    "host": lambda c: _fault(
        c, "TLS", None, {}, ("Hostname mismatch", "'localhost'", "ROLLCALL_KAFKA")
    )._replace(kafka=c.bootstrap("TLS", "localhost")),
    "no certificate": lambda c: _fault(
        c,
        "MUTUAL",
        None,
        {"ssl_cert_file": "", "ssl_key_file": ""},
        ("want a client certificate", "ROLLCALL_SSL_CERT_FILE"),
    ),
    "stranger": lambda c: _fault(
        c,
        "MUTUAL",
        None,
        _identity(c, stranger=True),
        ("not trust the client certificate", "ROLLCALL_SSL_CERT_FILE"),
    ),
    "client expired": lambda c: _fault(
        c,
        "MUTUAL",
        None,
        _identity(c, expired=True),
        ("whether it has expired", "ROLLCALL_SSL_CERT_FILE"),
    ),
    "no passphrase": lambda c: _fault(
        c,
        "MUTUAL",
        None,
        _identity(c, passphrase=PASSWORD),
        ("TLS files", "ROLLCALL_SSL_KEY_PASSWORD"),
    ),
    "passphrase": lambda c: _fault(
        c,
        "MUTUAL",
        None,
        {**_identity(c, passphrase=PASSWORD), "ssl_key_password": WRONG},
        ("TLS files", "ROLLCALL_SSL_KEY_PASSWORD"),
    ),
    "no file": lambda c: _fault(
        c,
        "TLS",
        None,
        {"ssl_ca_file": c.folder / "nothing"},
        ("No such file", "ROLLCALL_SSL_CA_FILE"),
    ),
    "plain password": lambda c: _fault(
        c,
        "SASLTLS",
        "PLAIN",
        {"sasl_password": WRONG},
        ("ROLLCALL_SASL_USERNAME (rollcall)", "ROLLCALL_SASL_PASSWORD"),
    ),
    "password": lambda c: _fault(
        c,
        "SASLTLS",
        "SCRAM-SHA-512",
        {"sasl_password": WRONG},
        ("ROLLCALL_SASL_USERNAME (rollcall)", "ROLLCALL_SASL_PASSWORD"),
    ),
    "user": lambda c: _fault(
        c,
        "SASLTLS",
        "SCRAM-SHA-512",
        {"sasl_username": "nobody"},
        ("ROLLCALL_SASL_USERNAME (nobody)", "ROLLCALL_SASL_PASSWORD"),
    ),
    "token": lambda c: _fault(
        c,
        "SASLTLS",
        "OAUTHBEARER",
        {"sasl_token_file": c.token_file("junk", WRONG)},
        ("token", "ROLLCALL_SASL_TOKEN_FILE"),
    ),
    "token expired": lambda c: _fault(
        c,
        "SASLTLS",
        "OAUTHBEARER",
        {"sasl_token_file": c.token_file("old", c.issuer.token("rollcall", seconds=-500))},
        ("token", "ROLLCALL_SASL_TOKEN_FILE"),
    ),
    "no token": lambda c: _fault(
        c,
        "SASLTLS",
        "OAUTHBEARER",
        {"sasl_token_file": c.token_file("empty", "")},
        ("holds no token", "ROLLCALL_SASL_TOKEN_FILE"),
    ),
    "mechanism": lambda c: _fault(
        c,
        "PLAINONLY",
        "SCRAM-SHA-512",
        {},
        ("does not offer SCRAM-SHA-512", "ROLLCALL_SASL_MECHANISM"),
    ),
    "plaintext to TLS": lambda c: _fault(
        c,
        "TLS",
        None,
        {"security_protocol": "PLAINTEXT"},
        ("speaks TLS", "ROLLCALL_SECURITY_PROTOCOL=PLAINTEXT"),
    ),
    "plaintext to SASL": lambda c: _fault(
        c,
        "SASL",
        None,
        {"security_protocol": "PLAINTEXT"},
        ("authenticate", "ROLLCALL_SECURITY_PROTOCOL=PLAINTEXT"),
    ),
    "TLS to SASL_SSL": lambda c: _fault(
        c,
        "SASLTLS",
        None,
        {"security_protocol": "SSL"},
        ("authenticate", "ROLLCALL_SECURITY_PROTOCOL=SSL"),
    ),
    "SASL_SSL to TLS": lambda c: _fault(
        c,
        "SASLTLS",
        "SCRAM-SHA-512",
        {},
        ("does not authenticate by SASL", "ROLLCALL_SECURITY_PROTOCOL=SASL_SSL"),
    )._replace(kafka=c.bootstrap("TLS")),
    "SASL to plaintext": lambda c: _fault(
        c,
        "SASL",
        "SCRAM-SHA-512",
        {},
        ("does not authenticate by SASL", "ROLLCALL_SECURITY_PROTOCOL=SASL_PLAINTEXT"),
    )._replace(kafka=c.admin),
    "TLS to plaintext": lambda c: _fault(
        c, "TLS", None, {}, ("before TLS began", "ROLLCALL_SECURITY_PROTOCOL=SSL"), 3
    )._replace(kafka=c.admin),
    "nobody": lambda c: _fault(
        c, "TLS", None, {}, ("nobody listens there", "ROLLCALL_KAFKA"), 3
    )._replace(kafka="127.0.0.1:1"),
    "no host": lambda c: _fault(c, "TLS", None, {}, ("no such host", "ROLLCALL_KAFKA"), 3)._replace(
        kafka="kafka.invalid:9092"
    ),
}


def _identity(
    cluster: SecuredCluster,
    *,
    stranger: bool = False,
    expired: bool = False,
    passphrase: str | None = None,
) -> dict[str, Any]:
    authority = cluster.stranger if stranger else cluster.authority
    identity = authority.issue("client", expired=expired, passphrase=passphrase)
    return {"ssl_cert_file": identity.certificate, "ssl_key_file": identity.key}


PROCESSES: dict[str, Callable[[Settings, str], Process]] = {
    "router": new_router,
    "rosters": new_rosters,
    "serve": ServeProcess,
}

ENTRIES: dict[str, Callable[[Settings, str], Coroutine[Any, Any, object]]] = {
    **{
        name: lambda settings, kafka, new=new: new(settings, kafka).run(asyncio.Event())  # type: ignore[misc]
        for name, new in PROCESSES.items()
    },
    "topics check": _inspect,
    "topics apply": _apply,
    "roster": lambda settings, kafka: read_roster(settings, kafka, parse_context("1", None)[0]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_process_and_command_says_what_is_wrong(
    secured: SecuredCluster, name: str, prefix: str, tmp_path: Path
) -> None:
    fault = FAULTS[name](secured)
    settings = load_settings(
        topic_prefix=prefix,
        group_prefix=prefix,
        data=tmp_path,
        port=0,
        **{key: value or None for key, value in fault.settings.items()},
    )
    for entry, start in ENTRIES.items():
        if entry in PROCESSES and fault.exit_code == BrokerUnavailableError.exit_code:
            continue  # it waits: see below
        with pytest.raises(RollcallError) as caught:
            asyncio.run(start(settings, fault.kafka))
        line = str(caught.value)
        assert all(part in line for part in fault.says), f"{entry}: {line}"
        assert caught.value.exit_code == fault.exit_code
        assert "\n" not in line
        assert WRONG not in line
        assert PASSWORD not in line


@pytest.mark.parametrize("command", ["router", "rosters", "serve", "topics apply", "roster 1"])
def test_the_line_is_all_that_a_command_prints(
    secured: SecuredCluster, command: str, prefix: str, tmp_path: Path
) -> None:
    """Processes log their settings before it."""
    for name in ("password", "authority", "stranger") if command == "roster 1" else ("password",):
        fault = FAULTS[name](secured)
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("ROLLCALL_")
        }
        told = {
            "kafka": fault.kafka,
            "topic_prefix": prefix,
            "group_prefix": prefix,
            "data": tmp_path,
            "port": 0,
            **fault.settings,
        }
        environment |= {f"ROLLCALL_{key.upper()}": str(value) for key, value in told.items()}
        done = run([sys.executable, "-m", "rollcall", *command.split()], env=environment)
        assert (done.returncode, done.stdout) == (fault.exit_code, "")
        lines = done.stderr.splitlines()
        assert lines[-1].startswith("rollcall: ")
        assert all(part in lines[-1] for part in fault.says)
        logged = [json.loads(line)["message"] for line in lines[:-1]]
        assert logged == (
            ["settings", f"{command} started"][: 1 if command == "serve" else 2]
            if command in PROCESSES
            else []
        )
        assert WRONG not in done.stderr
        assert PASSWORD not in done.stderr


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_waits_for_a_broker_and_says_why(
    secured: SecuredCluster, prefix: str, tmp_path: Path, name: str
) -> None:
    fault = FAULTS["TLS to plaintext"](secured)
    with RollcallProcess(
        name, tmp_path, fault.kafka, prefix, data=tmp_path, **fault.settings
    ) as process:
        wait_until(
            lambda: all(part in process.get("/readyz")[1] for part in fault.says), what="the reason"
        )
        assert process.end() == 0
    assert "Traceback" not in process.log_file.read_text()


def test_of_several_brokers_one_that_answers_is_enough(
    secured: SecuredCluster, prefix: str
) -> None:
    access = secured.access("SASLTLS", "SCRAM-SHA-512")
    settings = load_settings(topic_prefix=prefix, group_prefix=prefix, **access.settings)
    assert asyncio.run(_inspect(settings, f"127.0.0.1:1,{access.bootstrap}"))
    wrong = load_settings(
        topic_prefix=prefix, group_prefix=prefix, **{**access.settings, "sasl_password": WRONG}
    )
    with pytest.raises(ConfigurationError, match="ROLLCALL_SASL_PASSWORD"):
        asyncio.run(_inspect(wrong, f"127.0.0.1:1,{access.bootstrap}"))
