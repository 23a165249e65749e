"""All settings of Rollcall, in one typed class. Each is an environment variable with the prefix
``ROLLCALL_``; docs/settings.env explains them.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rollcall.errors import ConfigurationError
from rollcall.setting_types import (
    BindAddress,
    CanvasUrl,
    DroppedFields,
    EventWords,
    FilePath,
    InstanceId,
    Issuers,
    KeySetUrl,
    MetricsUrls,
    ParameterNames,
    QueueUrl,
    Retention,
    Servers,
    Text,
    TopicWord,
    WebhookPath,
)

ENV_PREFIX = "ROLLCALL_"

MASK = "**********"
"""Stands for a secret, as pydantic writes it."""

MAX_SHARD = 922_337
"""Highest shard whose ids fit a signed 64-bit integer (an id is shard * 10^13 + local id)."""


def _secret_in(file: str | Path, variable: str) -> str:
    """Content of a file without the final newline that editors and ``echo`` add."""
    try:
        secret = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{variable}: cannot read {str(file)!a}: "
            f"{error.strerror if isinstance(error, OSError) else 'it is no text'}"
        ) from None
    if not secret:
        raise ValueError(f"{variable}: {str(file)!a} is empty")
    return secret


class Settings(BaseSettings):
    """Settings of a process. Immutable; :func:`load_settings` reports invalid values with the
    variable's name.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        allow_inf_nan=False,
    )

    # --- Kafka
    kafka: Servers | None = Field(
        None,
        description="Bootstrap servers, host:port[,host:port]; name three. Unset: the embedded "
        "broker.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Protocol of the brokers."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "SCRAM-SHA-512", description="Used with a SASL_ protocol."
    )
    sasl_username: Text | None = Field(
        None, description="Used with a SASL_ protocol, but not with OAUTHBEARER."
    )
    sasl_password: SecretStr | None = Field(
        None, description="Used with a SASL_ protocol, but not with OAUTHBEARER."
    )
    sasl_password_file: FilePath | None = Field(
        None, description="File with the password, instead of ROLLCALL_SASL_PASSWORD."
    )
    sasl_token_file: FilePath | None = Field(
        None,
        description="File with the OAUTHBEARER token. Read again for each connection.",
    )
    ssl_ca_file: FilePath | None = Field(
        None,
        description="Certificates (PEM) of the trusted authorities, with an SSL protocol. "
        "Unset: the system's.",
    )
    ssl_cert_file: FilePath | None = Field(
        None, description="Client certificate (PEM), for mutual TLS."
    )
    ssl_key_file: FilePath | None = Field(
        None,
        description="Private key (PEM) of the client certificate. Unset: it is in the "
        "certificate's file.",
    )
    ssl_key_password: SecretStr | None = Field(
        None, description="Passphrase of the private key, if it has one."
    )
    ssl_key_password_file: FilePath | None = Field(
        None, description="File with the passphrase, instead of ROLLCALL_SSL_KEY_PASSWORD."
    )

    # --- Names
    group_prefix: TopicWord = Field(
        "rollcall",
        description="Prefix of consumer groups and transactional ids. Each installation on a "
        "cluster needs its own.",
    )

    # --- Topics
    topic_prefix: TopicWord = Field("canvas", description="Prefix of all topic names.")
    partitions: int = Field(
        4,
        ge=1,
        le=1000,
        description="Number of partitions of Rollcall's topics, and of raw if Rollcall creates it.",
    )
    replication_factor: int = Field(
        1, ge=1, le=10, description="Replicas of the topics that Rollcall creates."
    )
    create_topics: bool = Field(
        True, description="Create missing topics at start. Off: a missing topic is an error."
    )

    retention_raw_days: Retention = Field(
        7,
        description="Retention of the raw topic, if Rollcall creates it. -1: for ever.",
    )
    retention_typed_days: Retention = Field(
        7,
        description="Retention of the typed topics that Rollcall creates. -1: for ever.",
    )
    retention_unknown_days: Retention = Field(
        7,
        description="Retention of the topic of unknown events, if Rollcall creates it. -1: for "
        "ever.",
    )
    retention_dead_letter_days: Retention = Field(
        30,
        description="Retention of the dead-letter topic, if Rollcall creates it. -1: for ever.",
    )

    # --- Events and personal data
    shard: int | None = Field(
        None,
        ge=1,
        le=MAX_SHARD,
        description="Canvas shard of local ids in events that do not name their root account.",
    )
    redact: bool = Field(
        True,
        description="Replace the values of credential parameters anywhere in a record.",
    )
    redact_parameters: ParameterNames = Field(
        (
            "access_token",
            "refresh_token",
            "client_secret",
            "?token",
            "?session_token",
            "?verifier",
            "?sf_verifier",
            "?ticket",
            "?invitation",
            "?jwt",
            "?hmac",
            "?Signature",
            "?X-Amz-Signature",
        ),
        description="Names of the credential parameters, separated by commas; with ? before it, a "
        "name counts only as a parameter of a URL.",
    )
    drop_metadata: DroppedFields = Field(
        (),
        description="Metadata fields that the router removes from every event, separated by "
        "commas.",
    )

    events: EventWords = Field(
        ("all",),
        description="Event types with a typed topic: event_names, families, globs or all, and "
        "exclusions, separated by commas.",
    )
    schemas: FilePath | None = Field(
        None,
        description="Folder with schema files of your own event types. Unset: only Rollcall's.",
    )

    # --- The consumer group and its chunks
    group_instance_id: InstanceId | None = Field(
        None,
        description="Static membership: a name of this process that stays the same over restarts.",
    )
    session_timeout_seconds: float = Field(
        10.0,
        ge=6,
        le=300,
        description="A process without a heartbeat for this long loses its partitions.",
    )
    chunk_records: int = Field(
        6_000, ge=1, le=100_000, description="Maximum records in one transaction."
    )
    chunk_bytes: int = Field(
        16 * 1024**2,
        ge=1024,
        le=256 * 1024**2,
        description="Maximum bytes of input in one transaction (a larger record is a chunk by "
        "itself).",
    )
    gather_seconds: float | None = Field(
        None,
        ge=0,
        le=5,
        description="How long a chunk that is not full waits for more records. Unset: 0.03 for "
        "the router, 0.1 for the rosters.",
    )
    drain_seconds: float = Field(
        5.0,
        ge=1,
        le=60,
        description="Time limit for a transaction in flight when the process stops or loses the "
        "partition.",
    )
    transaction_timeout_seconds: float = Field(
        60.0, ge=10, le=900, description="The broker aborts a transaction that stays open longer."
    )

    # --- Safety
    breaker_ratio: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of dead letters among the last breaker_events of a partition above "
        "which it is no longer consumed. 0: off.",
    )
    breaker_events: int = Field(
        1_000,
        ge=1,
        le=1_000_000,
        description="Number of events for breaker_ratio.",
    )
    watchdog_seconds: float = Field(
        300.0,
        ge=0,
        le=86_400,
        description="With lag and without progress for this long, the process ends with a code "
        "other than 0. 0: off.",
    )

    # --- Ingest
    sqs_queue_url: QueueUrl | None = Field(
        None,
        description="URL of the SQS queue to which Canvas sends events. Set: 'rollcall up' runs "
        "'rollcall ingest sqs', too.",
    )
    sqs_endpoint: QueueUrl | None = Field(
        None,
        description="URL of the SQS service, if it is not that of the queue's region.",
    )
    sqs_pollers: int = Field(
        2,
        ge=1,
        le=4,
        description="Maximum concurrent calls that receive from the queue. Without a backlog, "
        "there is one.",
    )
    sqs_visibility_seconds: int = Field(
        120,
        ge=30,
        le=3_600,
        description="A message that this process has received is invisible to others for this "
        "long. It is extended as long as needed.",
    )
    sqs_wait_seconds: int = Field(
        10,
        ge=1,
        le=20,
        description="How long a call waits for messages in an empty queue.",
    )

    # --- Reconcile
    canvas_url: CanvasUrl | None = Field(
        None,
        description="Address of Canvas for 'rollcall reconcile', https://HOST.",
    )
    canvas_token_file: FilePath | None = Field(
        None,
        description="File with an access token of an administrator of Canvas's root account, for "
        "'rollcall reconcile'.",
    )
    reconcile_margin_seconds: float = Field(
        300.0,
        ge=10,
        le=86_400,
        description="What Canvas shows counts as of this time before the request: more than "
        "Canvas's replicas lag and its clocks differ.",
    )
    reconcile_confirm_seconds: float = Field(
        60.0,
        ge=1,
        le=3_600,
        description="Pause between the two requests that prove that Canvas does not have a row any "
        "more.",
    )
    reconcile_metrics_file: FilePath | None = Field(
        None,
        description="File for the metrics of each run of 'rollcall reconcile', for node_exporter's "
        "textfile collector, which reads names that end with .prom.",
    )

    # --- Serving
    replica: FilePath | None = Field(
        None,
        description="SQLite file of the replica. Unset: replica.sqlite in the data directory.",
    )
    stale_seconds: float = Field(
        60.0,
        ge=1,
        le=86_400,
        description="serve is not ready when the replica is behind for longer than this.",
    )
    tokens_file: FilePath | None = Field(
        None,
        description="Names and SHA-256 of the tokens that serve accepts; 'rollcall token new "
        "NAME' adds one. Unset: no token, loopback only.",
    )
    request_seconds: float = Field(
        10.0, ge=1, le=300, description="Time limit of a request to serve."
    )
    most_requests: int = Field(
        200,
        ge=1,
        le=10_000,
        description="Maximum concurrent requests to serve; others are refused.",
    )
    metrics_urls: MetricsUrls = Field(
        ("http://127.0.0.1:9101/metrics", "http://127.0.0.1:9102/metrics"),
        description="Metrics addresses of routers and rosters for serve's page, separated by "
        "commas.",
    )

    # --- Webhook
    webhook_bind: BindAddress = Field(
        "127.0.0.1", description="Address that the webhook listens on."
    )
    webhook_port: int = Field(
        8090, ge=0, le=65_535, description="Port that the webhook listens on. 0: any free one."
    )
    webhook_path: WebhookPath = Field("/events", description="Path of the webhook.")
    webhook_jwks_url: KeySetUrl = Field(
        "https://8axpcl50e4.execute-api.us-east-1.amazonaws.com/main/jwks",
        description="Address of the public keys for signatures (JSON Web Key Set): https, or "
        "file:///PATH. Default: Canvas's, for Production and Beta.",
    )
    webhook_issuers: Issuers = Field(
        ("https://canvas.instructure.com", "https://live-events.canvas.instructure.com"),
        description="Allowed issuers (iss) of signed events, separated by commas. any: all.",
    )
    webhook_unsigned: bool = Field(
        False,
        description="Accept events without a signature, too. On: ROLLCALL_WEBHOOK_PATH must "
        "have a secret of 22 letters and digits or more, or ROLLCALL_WEBHOOK_BIND be a loopback "
        "address.",
    )
    webhook_tls_cert_file: FilePath | None = Field(
        None,
        description="Certificate chain (PEM) of the webhook. Read again after a change. Unset: "
        "plain HTTP, for a proxy with TLS before it.",
    )
    webhook_tls_key_file: FilePath | None = Field(
        None,
        description="Private key (PEM) of the webhook's certificate. Unset: it is in the "
        "certificate's file.",
    )

    # --- Process
    bind: BindAddress = Field(
        "127.0.0.1", description="Address of the process's HTTP (health and metrics)."
    )
    port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Port of the process's HTTP. Unset: 9101 for the router, 9102 for the "
        "rosters, 9103 for ingest sqs, 9104 for ingest https, 8080 for serve. 0: any free one.",
    )
    data: FilePath = Field(
        Path(".rollcall"),
        description="Directory of local state: the embedded broker's files, and the replica.",
    )
    trace_ratio: float | None = Field(
        None,
        ge=0,
        le=1,
        description="OpenTelemetry: share of raw events for which a trace is started. 0: only "
        "traces of producers continue. Unset: off.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Minimum level of log lines."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto: text on a terminal, JSON elsewhere."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, values: dict[str, Any]) -> dict[str, Any]:
        files = {name: values.get(f"{name}_file") for name in ("sasl_password", "ssl_key_password")}
        return values | {
            name: _secret_in(file, f"{ENV_PREFIX}{name.upper()}_FILE")
            for name, file in files.items()
            if file
        }

    @model_validator(mode="after")
    def _key_has_its_certificate(self) -> Settings:
        if self.ssl_key_file is not None and self.ssl_cert_file is None:
            raise ValueError(
                f"{ENV_PREFIX}SSL_KEY_FILE: there is no certificate to this key; set "
                f"{ENV_PREFIX}SSL_CERT_FILE, too"
            )
        return self

    @model_validator(mode="after")
    def _webhook_key_has_its_certificate(self) -> Settings:
        if self.webhook_tls_key_file is not None and self.webhook_tls_cert_file is None:
            raise ValueError(
                f"{ENV_PREFIX}WEBHOOK_TLS_KEY_FILE: there is no certificate to this key; set "
                f"{ENV_PREFIX}WEBHOOK_TLS_CERT_FILE, too"
            )
        return self

    @model_validator(mode="after")
    def _sasl_is_complete(self) -> Settings:
        if not self.security_protocol.startswith("SASL_"):
            return self
        required = (
            ("sasl_token_file",)
            if self.sasl_mechanism == "OAUTHBEARER"
            else ("sasl_username", "sasl_password")
        )
        if any(getattr(self, name) is None for name in required):
            variables = " and ".join(ENV_PREFIX + name.upper() for name in required)
            mechanism = f" with {ENV_PREFIX}SASL_MECHANISM={self.sasl_mechanism}"
            raise ValueError(
                f"{ENV_PREFIX}SECURITY_PROTOCOL={self.security_protocol}{mechanism} needs "
                f"{variables}"
            )
        return self

    @property
    def replica_file(self) -> Path:
        """Path of the replica."""
        return self.data / "replica.sqlite" if self.replica is None else self.replica

    @property
    def has_webhook(self) -> bool:
        """Whether a setting of the webhook is set: all of them have defaults."""
        return any(name.startswith("webhook_") for name in self.model_fields_set)

    def group(self, application: str) -> str:
        """The consumer group of an application, such as ``router``."""
        return f"{self.group_prefix}-{application}"

    def masked(self) -> dict[str, Any]:
        """All settings as JSON values, secrets masked, for the log at start."""
        values = self.model_dump(mode="json")
        if self.webhook_unsigned:
            values["webhook_path"] = MASK  # it has a secret
        return values


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment; ``overrides`` (from the command line) take
    precedence.

    Raises:
        ConfigurationError: a value is invalid; the message names each variable and its valid
            values, never a secret's value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False, include_input=False):
            message = problem["msg"].removeprefix("Value error, ")
            problems.append(
                f"{ENV_PREFIX}{str(problem['loc'][0]).upper()}: {message}"
                if problem["loc"]
                else message
            )
        raise ConfigurationError("; ".join(problems)) from None


def misspelt_variables(environment: Iterable[str]) -> list[str]:
    """A message for each variable with the prefix of a setting that is none."""
    known = [ENV_PREFIX + name.upper() for name in Settings.model_fields]
    messages = []
    for name in environment:
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), known, n=1)
            messages.append(
                f"{name} is no setting and is ignored"
                + (f"; did you mean {near[0]}?" if near else "")
            )
    return messages
