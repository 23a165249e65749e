"""Settings: read from the environment, rejected if invalid, all listed in docs/settings.env."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.conn import collect_hosts

from rollcall.errors import ConfigurationError
from rollcall.resources import resource_path
from rollcall.settings import ENV_PREFIX, Settings, load_settings

REFERENCE = resource_path("schemas").parent / "docs" / "settings.env"
_LINE = re.compile(rf"#({ENV_PREFIX}[A-Z_]+)=(.*)")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(ENV_PREFIX + name.upper(), raising=False)


def reference() -> Iterator[tuple[str, str, str]]:
    """Variable, value and comment of each line of the reference configuration."""
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
    assert [name for name, _value, _words in reference()] == [
        ENV_PREFIX + name.upper() for name in Settings.model_fields
    ]


def test_the_reference_has_the_true_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings()
    for name, value, _words in reference():
        field = name.removeprefix(ENV_PREFIX).lower()
        assert (value == "") == (getattr(defaults, field) in (None, ())), (
            f"{name} says whether it has a default"
        )
        monkeypatch.setenv(name, value)
    assert load_settings() == defaults


@pytest.mark.parametrize(
    ("name", "_value", "words"),
    list(reference()),
    ids=[name for name, _value, _words in reference()],
)
def test_the_reference_says_what_the_class_says(name: str, _value: str, words: str) -> None:
    description = Settings.model_fields[name.removeprefix(ENV_PREFIX).lower()].description
    assert description
    assert words.startswith(description)


BLANK = (" ", "\t")
NO_NUMBER = (*BLANK, "many", "nan", "inf", "-inf", "1e999", "16MB", "-0.5")
NO_WHOLE_NUMBER = (*NO_NUMBER, "1.5")
NO_PATH = (*BLANK, "a\nb")
NO_SERVERS = (
    *(
        ",",
        " , ",
        "broker",
        "broker:",
        ":9092",
        "broker:0",
        "broker:65536",
        "broker:kafka",
        "broker:9092:9092",
        "broker:-1",
        "bro ker:9092",
        "broker:9092/",
    ),
    *(
        "kafka://broker:9092",
        "PLAINTEXT://broker:9092",
        "broker:9092;other:9092",
        "broker:9092 other:9092",
        "broker:9092,other",
        "a..b:9092",
        "-a:9092",
    ),
    *(
        "::1:9092",
        "[::1]",
        "[::1:9092",
        "::1]:9092",
        "[broker]:9092",
        "user@broker:9092",
        '"broker:9092"',
    ),
)

NO_URL = (
    *BLANK,
    "canvas-live-events",
    "sqs://host/1/q",
    "https:///1/q",
    "https://host:0/1/q",
    "https://host:99999/1/q",
    "https://user:secret@host/1/q",
    "https://host/1/q?x=1",
    "https://host/1/a q",
)
WRONG: dict[str, tuple[str, ...]] = {
    "kafka": (*BLANK, *NO_SERVERS),
    "security_protocol": (*BLANK, "TLS", "ssl"),
    "sasl_mechanism": (*BLANK, "GSSAPI"),
    "sasl_username": (*BLANK, "a\nb"),
    "sasl_password": (),
    "sasl_password_file": (*NO_PATH, "/dev/null/x", "/"),
    "sasl_token_file": NO_PATH,
    "ssl_ca_file": NO_PATH,
    "ssl_cert_file": NO_PATH,
    "ssl_key_file": (*NO_PATH, "key.pem"),
    "ssl_key_password": (),
    "ssl_key_password_file": (*NO_PATH, "/dev/null/x", "/"),
    "group_prefix": (*BLANK, "a b", "a/b", "ü", "g" * 101),
    "topic_prefix": (*BLANK, "canvas/raw", "c" * 101),
    "partitions": (*NO_WHOLE_NUMBER, "0", "1001"),
    "replication_factor": (*NO_WHOLE_NUMBER, "0", "11"),
    "create_topics": (*BLANK, "perhaps", "2"),
    "retention_raw_days": (*NO_WHOLE_NUMBER, "0", "-2", "36501"),
    "retention_typed_days": (*NO_WHOLE_NUMBER, "0", "-2", "36501"),
    "retention_unknown_days": (*NO_WHOLE_NUMBER, "0", "-2", "36501"),
    "retention_dead_letter_days": (*NO_WHOLE_NUMBER, "0", "-2", "36501"),
    "shard": (*NO_WHOLE_NUMBER, "0", "922338"),
    "redact": (*BLANK, "perhaps", "2"),
    "redact_parameters": ("access_token;secret", "a b", "ü", "?", "??x", "x?"),
    "drop_metadata": ("client-ip", "client_ip,event_time", "a b"),
    "events": (",", "a b", "course[ab]", "all,-", "all,-x/y"),
    "schemas": NO_PATH,
    "group_instance_id": (*BLANK, "a b", "a/b", "router:1", "ü", ".", "..", "i" * 250),
    "session_timeout_seconds": (*NO_NUMBER, "5.9", "300.1"),
    "chunk_records": (*NO_WHOLE_NUMBER, "0", "100001"),
    "chunk_bytes": (*NO_WHOLE_NUMBER, "1023", "268435457"),
    "gather_seconds": (*NO_NUMBER, "5.1"),
    "drain_seconds": (*NO_NUMBER, "0.9", "60.1"),
    "transaction_timeout_seconds": (*NO_NUMBER, "9", "901"),
    "breaker_ratio": (*NO_NUMBER, "1.01"),
    "breaker_events": (*NO_WHOLE_NUMBER, "0", "1000001"),
    "watchdog_seconds": (*NO_NUMBER, "86401"),
    "sqs_queue_url": NO_URL,
    "sqs_endpoint": NO_URL,
    "sqs_pollers": (*NO_WHOLE_NUMBER, "0", "5"),
    "sqs_visibility_seconds": (*NO_WHOLE_NUMBER, "29", "43201"),
    "sqs_wait_seconds": (*NO_WHOLE_NUMBER, "0", "21"),
    "canvas_url": (
        *BLANK,
        "canvas.example.edu",
        "http://canvas.example.edu",
        "https://canvas.example.edu/courses",
        "https://user@canvas.example.edu",
        "https://canvas.example.edu:0",
    ),
    "canvas_token_file": NO_PATH,
    "reconcile_margin_seconds": (*NO_NUMBER, "9", "86401"),
    "reconcile_confirm_seconds": (*NO_NUMBER, "0", "3601"),
    "reconcile_metrics_file": NO_PATH,
    "replica": NO_PATH,
    "stale_seconds": (*NO_NUMBER, "0.9", "86401"),
    "tokens_file": NO_PATH,
    "request_seconds": (*NO_NUMBER, "0.9", "301"),
    "most_requests": (*NO_WHOLE_NUMBER, "0", "10001"),
    "metrics_urls": (
        *(
            "127.0.0.1:9101",
            "ftp://a/metrics",
            "http://",
            "http:///metrics",
            "http://a b/",
            "http://a:0/",
            "http://a:65536/",
            "http://a:b/",
            "http://::1:9101/",
        ),
        *(
            "http://[a]/",
            "http://[::1/",
            "http://user:secret@a/",
            "http://a/metrics,b",
            "http://a..b/",
        ),
    ),
    "webhook_bind": (*BLANK, "a b", "127.0.0.1:8090", "*"),
    "webhook_port": (*NO_WHOLE_NUMBER, "-1", "65536"),
    "webhook_path": (*BLANK, "events", "/", "/a b", "/a?b", "/a%20b", "/é", "/" + "a" * 201),
    "webhook_jwks_url": (
        *BLANK,
        "keys.json",
        "http://keys.example.org/jwks",
        "https://",
        "https://user:secret@keys.example.org/",
        "https://keys.example.org:0/",
        "https://keys.example.org:65536/",
        "https://keys example.org/",
        "file://keys.json",
        "file:keys.json",
        "ftp://keys.example.org/",
    ),
    "webhook_issuers": (),
    "webhook_unsigned": (*BLANK, "perhaps", "2"),
    "webhook_tls_cert_file": NO_PATH,
    "webhook_tls_key_file": (*NO_PATH, "key.pem"),
    "bind": (
        *BLANK,
        "a b",
        "a..b",
        "127.0.0.1:9101",
        "http://127.0.0.1",
        "[::1]",
        "a" * 64,
        "a/b",
        "-",
        "*",
        "0.0.0.0/0",
    ),
    "port": (*NO_WHOLE_NUMBER, "-1", "65536"),
    "data": NO_PATH,
    "trace_ratio": (*NO_NUMBER, "1.01"),
    "log_level": (*BLANK, "loud"),
    "log_format": (*BLANK, "xml"),
}
"""Invalid values of each setting. A password has none. A path has few: the user of the file reports
other problems.
"""


def test_every_setting_has_a_row() -> None:
    assert list(WRONG) == list(Settings.model_fields)


def refusal(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> str:
    """The message of the error; empty if the value is accepted."""
    monkeypatch.setenv(variable, value)
    try:
        load_settings()
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    variable = ENV_PREFIX + name.upper()
    refusals = {value: refusal(monkeypatch, variable, value) for value in WRONG[name]}
    assert {
        value: message
        for value, message in refusals.items()
        if not message.startswith(f"{variable}: ") or "secret" in message
    } == {}


@pytest.mark.parametrize(
    ("value", "servers"),
    [
        ("127.0.0.1:9092", "127.0.0.1:9092"),
        (" one:9092, two.example.org:9093 ,", "one:9092,two.example.org:9093"),
        ("[::1]:9092,[2001:db8::7]:65535", "[::1]:9092,[2001:db8::7]:65535"),
        ("kafka_1:9092,b-1.x_y.example.org.:1", "kafka_1:9092,b-1.x_y.example.org.:1"),
    ],
)
def test_bootstrap_servers(monkeypatch: pytest.MonkeyPatch, value: str, servers: str) -> None:
    monkeypatch.setenv("ROLLCALL_KAFKA", value)
    assert load_settings().kafka == servers
    assert [
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for host, port, _family in collect_hosts(servers, randomize=False)
    ] == servers.split(",")


def test_a_protocol_before_a_server_is_told_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROLLCALL_KAFKA", "one:9092,SSL://two:9092")
    with pytest.raises(
        ConfigurationError,
        match=r"^ROLLCALL_KAFKA: 'SSL://two:9092' is not host:port; .*ROLLCALL_SECURITY_PROTOCOL",
    ):
        load_settings()


@pytest.mark.parametrize(
    "value",
    ["127.0.0.1", "0.0.0.0", "::", "::1", "fe80::1%eth0", "localhost", "router-1.example.org"],  # noqa: S104
)
def test_addresses_to_listen_on(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ROLLCALL_BIND", value)
    assert load_settings().bind == value


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_PARTITIONS", "0")
    monkeypatch.setenv("ROLLCALL_PORT", "-1")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "ROLLCALL_PARTITIONS: " in str(caught.value)
    assert "ROLLCALL_PORT: " in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize(
    "given", [{}, {"ROLLCALL_SASL_USERNAME": "me"}, {"ROLLCALL_SASL_PASSWORD": "hunter2"}]
)
def test_sasl_needs_a_name_and_a_password(
    monkeypatch: pytest.MonkeyPatch, protocol: str, given: dict[str, str]
) -> None:
    for name, value in {"ROLLCALL_SECURITY_PROTOCOL": protocol, **given}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ConfigurationError, match="ROLLCALL_SASL_USERNAME and ROLLCALL_SASL_PASSWORD"
    ) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_oauthbearer_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("ROLLCALL_SASL_MECHANISM", "OAUTHBEARER")
    with pytest.raises(
        ConfigurationError,
        match="with ROLLCALL_SASL_MECHANISM=OAUTHBEARER needs ROLLCALL_SASL_TOKEN_FILE",
    ):
        load_settings()
    monkeypatch.setenv("ROLLCALL_SASL_TOKEN_FILE", "token")
    assert load_settings().sasl_token_file == Path("token")


SECRETS = [
    name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
]


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_come_from_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_bytes(" hünter2 \r\n".encode())
    monkeypatch.setenv(f"{ENV_PREFIX}{name.upper()}_FILE", str(tmp_path / "secret"))
    for other in (None, "another"):
        if other:
            monkeypatch.setenv(ENV_PREFIX + name.upper(), other)
        settings = load_settings()
        assert getattr(settings, name).get_secret_value() == " hünter2 "
        assert "hünter2" not in f"{settings} {settings!r} {settings.masked()}"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "cannot read"), (b"\n", "is empty"), (b"\xffhunter2", "it is no text")],
)
def test_a_file_without_a_secret_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: bytes | None, fault: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv(f"{ENV_PREFIX}{name.upper()}_FILE", str(tmp_path / "secret"))
    with pytest.raises(
        ConfigurationError, match=f"^{ENV_PREFIX}{name.upper()}_FILE: .*{fault}"
    ) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_USERNAME": "me",
        "SASL_PASSWORD": "hunter2",
    }.items():
        monkeypatch.setenv(ENV_PREFIX + name, value)
    settings = load_settings()
    assert settings.sasl_password is not None
    assert settings.sasl_password.get_secret_value() == "hunter2"
    assert settings.masked()["sasl_username"] == "me"
    assert "hunter2" not in f"{settings} {settings!r} {settings.masked()}"


def test_a_secret_is_not_quoted_when_something_else_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
        (" access_token , jwt.key,?x-y ,", ("access_token", "jwt.key", "?x-y")),
        (",", ()),
    ],
)
def test_redact_parameters(
    monkeypatch: pytest.MonkeyPatch, value: str, names: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ROLLCALL_REDACT_PARAMETERS", value)
    assert load_settings().redact_parameters == names


@pytest.mark.parametrize(
    ("value", "names"),
    [(" client_ip , user_agent ,client_ip,", ("client_ip", "user_agent")), (",", ())],
)
def test_dropped_fields(
    monkeypatch: pytest.MonkeyPatch, value: str, names: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ROLLCALL_DROP_METADATA", value)
    assert load_settings().drop_metadata == names


@pytest.mark.parametrize("name", ["event_name", "event_time", "root_account_id"])
def test_what_rollcall_needs_is_not_dropped(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ROLLCALL_DROP_METADATA", f"client_ip,{name}")
    with pytest.raises(
        ConfigurationError,
        match=f"^ROLLCALL_DROP_METADATA: Rollcall cannot do without {name}; take it out$",
    ):
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
