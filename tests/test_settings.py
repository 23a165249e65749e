"""The settings: read from the environment, refused when wrong, and all in docs/settings.env."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.resources import resource_path
from app.settings import ENV_PREFIX, Settings, load_settings

REFERENCE = resource_path("schemas").parent / "docs" / "settings.env"
_LINE = re.compile(rf"#({ENV_PREFIX}[A-Z_]+)=(.*)")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(ENV_PREFIX + name.upper(), raising=False)


def reference() -> Iterator[tuple[str, str, str]]:
    """Variable, value and the words above it, of each line of the reference configuration."""
    words: list[str] = []
    for line in REFERENCE.read_text(encoding="utf-8").splitlines():
        if match := _LINE.fullmatch(line):
            yield match[1], match[2], " ".join(words)
            words = []
        elif line.startswith("# "):
            words.append(line.removeprefix("# "))
        else:
            assert line in ("", "#"), f"neither a setting nor a comment: {line}"
            words = []


def test_the_reference_has_every_setting_once_in_the_order_of_the_class() -> None:
    assert [name for name, _value, _words in reference()] == [ENV_PREFIX + name.upper() for name in Settings.model_fields]


def test_the_reference_has_the_true_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings()
    for name, value, _words in reference():
        field = name.removeprefix(ENV_PREFIX).lower()
        assert (value == "") == (getattr(defaults, field) in (None, ())), f"{name} says whether it has a default"
        monkeypatch.setenv(name, value)
    assert load_settings() == defaults


@pytest.mark.parametrize(("name", "_value", "words"), list(reference()), ids=[name for name, _value, _words in reference()])
def test_the_reference_says_what_the_class_says(name: str, _value: str, words: str) -> None:
    description = Settings.model_fields[name.removeprefix(ENV_PREFIX).lower()].description
    assert description
    assert words.startswith(description)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECURITY_PROTOCOL", "TLS"),
        ("SASL_MECHANISM", "GSSAPI"),
        ("GROUP_PREFIX", "a b"),
        ("TOPIC_PREFIX", "canvas/raw"),
        ("TOPIC_PREFIX", "c" * 101),
        ("PARTITIONS", "0"),
        ("PARTITIONS", "many"),
        ("REPLICATION_FACTOR", "11"),
        ("CREATE_TOPICS", "perhaps"),
        ("SHARD", "0"),
        ("SHARD", "922338"),
        ("REDACT_PARAMETERS", "access_token;secret"),
        ("DROP_METADATA", "client-ip"),
        ("DROP_METADATA", "client_ip,event_time"),
        ("RETENTION_RAW_DAYS", "0"),
        ("RETENTION_TYPED_DAYS", "-2"),
        ("RETENTION_UNKNOWN_DAYS", "1.5"),
        ("RETENTION_DEAD_LETTER_DAYS", "36501"),
        ("SESSION_TIMEOUT_SECONDS", "5.9"),
        ("CHUNK_RECORDS", "1.5"),
        ("CHUNK_BYTES", "16MB"),
        ("GATHER_SECONDS", "-1"),
        ("DRAIN_SECONDS", "0"),
        ("TRANSACTION_TIMEOUT_SECONDS", "901"),
        ("BREAKER_RATIO", "1.01"),
        ("BREAKER_EVENTS", "0"),
        ("WATCHDOG_SECONDS", "-1"),
        ("PORT", "65536"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(ENV_PREFIX + name, value)
    with pytest.raises(ConfigurationError, match=f"^{ENV_PREFIX}{name}: "):
        load_settings()


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_PARTITIONS", "0")
    monkeypatch.setenv("ROLLCALL_PORT", "-1")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "ROLLCALL_PARTITIONS: " in str(caught.value)
    assert "ROLLCALL_PORT: " in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("given", [{}, {"ROLLCALL_SASL_USERNAME": "me"}, {"ROLLCALL_SASL_PASSWORD": "hunter2"}])
def test_sasl_needs_a_name_and_a_password(monkeypatch: pytest.MonkeyPatch, protocol: str, given: dict[str, str]) -> None:
    for name, value in {"ROLLCALL_SECURITY_PROTOCOL": protocol, **given}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="ROLLCALL_SASL_USERNAME and ROLLCALL_SASL_PASSWORD") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_oauthbearer_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("ROLLCALL_SASL_MECHANISM", "OAUTHBEARER")
    with pytest.raises(ConfigurationError, match="with ROLLCALL_SASL_MECHANISM=OAUTHBEARER needs ROLLCALL_SASL_TOKEN_FILE"):
        load_settings()
    monkeypatch.setenv("ROLLCALL_SASL_TOKEN_FILE", "token")
    assert load_settings().sasl_token_file == Path("token")


SECRETS = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(" hünter2 \r\n".encode())
    monkeypatch.setenv(f"{ENV_PREFIX}{name.upper()}_FILE", str(tmp_path / "secret"))
    for other in (None, "another"):
        if other:
            monkeypatch.setenv(ENV_PREFIX + name.upper(), other)
        settings = load_settings()
        assert getattr(settings, name).get_secret_value() == " hünter2 "
        assert "hünter2" not in f"{settings} {settings!r} {settings.masked()}"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(("content", "fault"), [(None, "cannot read"), (b"\n", "is empty"), (b"\xffhunter2", "it is no text")])
def test_a_file_without_a_secret_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: bytes | None, fault: str) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv(f"{ENV_PREFIX}{name.upper()}_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError, match=f"^{ENV_PREFIX}{name.upper()}_FILE: .*{fault}") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "me", "SASL_PASSWORD": "hunter2"}.items():
        monkeypatch.setenv(ENV_PREFIX + name, value)
    settings = load_settings()
    assert settings.sasl_password is not None
    assert settings.sasl_password.get_secret_value() == "hunter2"
    assert settings.masked()["sasl_username"] == "me"
    assert "hunter2" not in f"{settings} {settings!r} {settings.masked()}"


def test_a_secret_is_not_quoted_when_something_else_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SASL_PASSWORD": "hunter2", "PORT": "hunter3"}.items():
        monkeypatch.setenv(ENV_PREFIX + name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "hunter" not in str(caught.value)


def test_empty_values_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings()
    for name in Settings.model_fields:
        monkeypatch.setenv(ENV_PREFIX + name.upper(), "")
    assert load_settings() == defaults


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("access_token", ("access_token",)),
        (" access_token , jwt.key,x-y ,", ("access_token", "jwt.key", "x-y")),
        (",", ()),
    ],
)
def test_redact_parameters(monkeypatch: pytest.MonkeyPatch, value: str, names: tuple[str, ...]) -> None:
    monkeypatch.setenv("ROLLCALL_REDACT_PARAMETERS", value)
    assert load_settings().redact_parameters == names


@pytest.mark.parametrize(("value", "names"), [(" client_ip , user_agent ,client_ip,", ("client_ip", "user_agent")), (",", ())])
def test_dropped_fields(monkeypatch: pytest.MonkeyPatch, value: str, names: tuple[str, ...]) -> None:
    monkeypatch.setenv("ROLLCALL_DROP_METADATA", value)
    assert load_settings().drop_metadata == names


@pytest.mark.parametrize("name", ["event_name", "event_time", "root_account_id"])
def test_what_rollcall_needs_is_not_dropped(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ROLLCALL_DROP_METADATA", f"client_ip,{name}")
    with pytest.raises(ConfigurationError, match=f"^ROLLCALL_DROP_METADATA: Rollcall cannot do without {name}; take it out$"):
        load_settings()


def test_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_PARTITIONS", "8")
    monkeypatch.setenv("ROLLCALL_DATA", "somewhere")
    settings = load_settings(partitions=2)
    assert (settings.partitions, settings.data) == (2, Path("somewhere"))


def test_groups_begin_with_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().group("router") == "rollcall-router"
    monkeypatch.setenv("ROLLCALL_GROUP_PREFIX", "second")
    assert load_settings().group("router") == "second-router"
