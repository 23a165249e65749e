"""Settings that look right, and name what cannot be used: the command that needs it ends with code
2, and says which setting it is.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_up import environment
from tests.forks import Forks

NOBODY = {"kafka": "127.0.0.1:1"}
TLS = {**NOBODY, "security_protocol": "SSL"}
NEEDED: list[tuple[str, dict[str, str], str]] = [
    ("router", {"kafka": "broker"}, "KAFKA"),
    ("broker status", {"data": "FILE/x"}, "DATA"),
    ("broker start", {"data": "FILE"}, "DATA"),
    ("up", {"data": "FILE/x"}, "DATA"),
    ("demo", {**NOBODY, "data": "FILE/x"}, "DATA"),
    ("topics check", {"data": "FILE/x"}, "DATA"),
    ("serve", {**NOBODY, "data": "FILE/x"}, "REPLICA"),
    ("serve", {**NOBODY, "replica": "FOLDER"}, "REPLICA"),
    ("serve", {**NOBODY, "replica": "FILE"}, "REPLICA"),
    ("serve", {**NOBODY, "tokens_file": "FOLDER"}, "TOKENS_FILE"),
    ("token list", {"tokens_file": "FOLDER/x"}, "TOKENS_FILE"),
    ("token new me", {"tokens_file": "FILE/x"}, "TOKENS_FILE"),
    ("topics check", {**TLS, "ssl_ca_file": "FOLDER/x"}, "SSL_CA_FILE"),
    ("topics check", {**TLS, "ssl_cert_file": "FILE"}, "SSL_CERT_FILE"),
    ("topics check", {**TLS, "ssl_cert_file": "FILE", "ssl_key_file": "FOLDER"}, "SSL_KEY_FILE"),
    (
        "topics check",
        {
            **NOBODY,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_token_file": "FOLDER/x",
        },
        "SASL_TOKEN_FILE",
    ),
    ("router", {**NOBODY, "bind": "203.0.113.1"}, "BIND"),
    ("serve", {**NOBODY, "bind": "name.invalid", "tokens_file": "TOKENS"}, "BIND"),
    ("up", {**NOBODY, "port": "65535"}, "PORT"),
    ("router", {**NOBODY, "events": "course_create"}, "EVENTS"),
    ("router", {**NOBODY, "events": "all,-*"}, "EVENTS"),
    ("rosters", {**NOBODY, "events": "all,-group_updated"}, "EVENTS"),
    ("topics plan", {"events": "-asset_accessed"}, "EVENTS"),
    ("topics describe", {"events": ","}, "EVENTS"),
    ("topics acls router", {"events": "group_*,-group*"}, "EVENTS"),
    ("dead-letters replay", {**NOBODY, "events": "course_create"}, "EVENTS"),
    ("router", {**NOBODY, "schemas": "FOLDER"}, "SCHEMAS"),
    ("schemas list", {"schemas": "FOLDER/x"}, "SCHEMAS"),
    ("schemas show common", {"schemas": "FOLDER"}, "SCHEMAS"),
    ("topics plan", {"schemas": "CLASH"}, "SCHEMAS"),
]


@pytest.mark.parametrize(
    ("command", "settings", "named"),
    NEEDED,
    ids=[f"{command} {named}" for command, _settings, named in NEEDED],
)
def test_it_is_named(
    command: str, settings: dict[str, str], named: str, forks: Forks, tmp_path: Path
) -> None:
    (tmp_path / "FILE").write_text("no such thing")
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "CLASH").mkdir()
    (tmp_path / "CLASH" / "course_created.json").write_text("{}")
    (tmp_path / "TOKENS").write_text(f"me {'0' * 64}\n")
    words = ("FILE", "FOLDER", "TOKENS", "CLASH")
    settings = {
        name: str(tmp_path / value) if value.startswith(words) else value
        for name, value in {"data": "FOLDER/data", **settings}.items()
    }
    done = forks.run(*command.split(), environment=environment(**settings), folder=tmp_path)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("rollcall: ")
    assert f"ROLLCALL_{named}" in last
    assert "Traceback" not in done.stderr
