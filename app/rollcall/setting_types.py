"""Types of settings, each with a message for invalid values. Pure: callers check whether files
exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

FOR_EVER_DAYS = -1

MAX_INSTANCE_ID = 249

_REQUIRED_METADATA = ("event_name", "event_time", "root_account_id")
"""Metadata fields that cannot be dropped: type, order and key depend on them."""

_HOST = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"{_HOST}(?:\.{_HOST})*\.?")
_SERVER = re.compile(r"(?:\[(?P<address>[^\[\]]+)\]|(?P<name>[^\[\]:]+)):(?P<port>[0-9]{1,5})")


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return 1 <= int(text) <= 65_535


def _is_server(text: str) -> bool:
    match = _SERVER.fullmatch(text)
    if match is None or not _is_port(match["port"]):
        return False
    return (
        _is_ipv6(match["address"])
        if match["name"] is None
        else _HOST_NAME.fullmatch(match["name"]) is not None
    )


def _servers(value: str) -> str:
    servers = [part.strip() for part in value.split(",") if part.strip()]
    if wrong := next(
        (server for server in servers if not _is_server(server)), None if servers else value
    ):
        hint = (
            "; leave out what stands before ://, which ROLLCALL_SECURITY_PROTOCOL tells"
            if "://" in wrong
            else ""
        )
        raise ValueError(
            f"{wrong!a} is not host:port; must be such, separated by commas, with an IPv6 address "
            f"in brackets{hint}"
        )
    return ",".join(servers)


def _bind_address(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        if _HOST_NAME.fullmatch(value) is None or len(value) > 253:
            raise ValueError(
                "must be an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::, or its "
                "name; the port is ROLLCALL_PORT"
            ) from None
    return value


def _topic_word(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", value):
        raise ValueError(
            "must be 1 to 100 of the characters that Kafka allows in topic names: letters, "
            "digits, '.', '_', '-'"
        )
    return value


def _instance_id(value: str) -> str:
    if not re.fullmatch(rf"[A-Za-z0-9._-]{{1,{MAX_INSTANCE_ID}}}", value) or value in (".", ".."):
        raise ValueError(
            f"must be 1 to {MAX_INSTANCE_ID} of the characters that Kafka allows: letters, "
            "digits, '.', '_', '-'; and not '.' or '..'"
        )
    return value


def _text(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be a line of text")
    return value


def _path(value: Path) -> Path:
    if not str(value).strip() or not str(value).isprintable():
        raise ValueError("must be a path")
    return value


def _days_or_for_ever(value: int) -> int:
    if value != FOR_EVER_DAYS and not 1 <= value <= 36_500:
        raise ValueError(f"must be 1 to 36500 days, or {FOR_EVER_DAYS} for ever")
    return value


def _parts(value: Any) -> Any:
    """The parts of a text, which commas separate. Other values are not changed."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _parameter_names(value: Any) -> Any:
    names = _parts(value)
    if not all(re.fullmatch(r"\??[A-Za-z0-9_.-]+", name) for name in names):
        raise ValueError(
            "must be parameter names of letters, digits, '_', '.', '-', each with ? before it "
            "to count only in URLs, separated by commas"
        )
    return names


def _event_words(value: Any) -> Any:
    words = _parts(value)
    is_word = re.compile(r"-?[A-Za-z*?][A-Za-z0-9_.*?-]*").fullmatch
    if not words or not all(map(is_word, words)):
        raise ValueError(
            "must be event_names, families, globs with * and ?, or all, each with - before it "
            "to exclude, separated by commas"
        )
    return words


def _issuers(value: Any) -> Any:
    issuers = _parts(value)
    return () if issuers == ("any",) else issuers


def _dropped_fields(value: Any) -> Any:
    names = tuple(dict.fromkeys(_parts(value)))
    if not all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in names):
        raise ValueError("must be names of fields, of letters, digits and '_', separated by commas")
    if required := [name for name in names if name in _REQUIRED_METADATA]:
        raise ValueError(
            f"Rollcall cannot do without {', '.join(required)}; take "
            f"{'it' if len(required) == 1 else 'them'} out"
        )
    return names


def _metrics_urls(value: Any) -> Any:
    return tuple(map(_metrics_url, _parts(value)))


def _has_host(parts: SplitResult) -> bool:
    return parts.port != 0 and _is_host(parts.hostname or "")


def _is_url(
    value: str, form: str, is_right: Callable[[SplitResult], bool] = lambda _parts: True
) -> bool:
    """Whether a text has a form, its URL a host and a port that can be, and is right."""
    try:
        parts = urlsplit(value)
        return bool(re.fullmatch(form, value)) and _has_host(parts) and is_right(parts)
    except ValueError:  # port out of range, or brackets without an address
        return False


def _metrics_url(value: str) -> str:
    if not _is_url(value, r"https?://[^\s/?#@]+(/\S*)?"):
        raise ValueError(
            "must be addresses such as http://127.0.0.1:9101/metrics, separated by commas"
        )
    return value


def _queue_url(value: str) -> str:
    if not _is_url(value, r"https?://[^\s?#@]+"):
        raise ValueError(
            "must be a URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/canvas-live-"
            "events"
        )
    return value


def _webhook_path(value: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]{1,200}", value):
        raise ValueError(
            "must be a path such as /events: a slash, and up to 200 letters, digits, '.', '_', "
            "'~', '-', '/'"
        )
    return value


def _key_set_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        right = (
            parts.netloc == "" and parts.path.startswith("/")
            if parts.scheme == "file"
            else parts.scheme == "https" and parts.username is None and _has_host(parts)
        )
    except ValueError:  # port out of range, or brackets without an address
        right = False
    if not right or not value.isprintable() or " " in value:
        raise ValueError("must be an address such as https://host/jwks or file:///path/keys.json")
    return value


def _canvas_url(value: str) -> str:
    def is_safe(parts: SplitResult) -> bool:
        return parts.scheme == "https" or _is_loopback(parts.hostname or "")

    if not _is_url(value, r"https?://[^\s/?#@]+/?", is_safe):
        raise ValueError(
            "must be https://HOST, such as https://canvas.example.edu; http only for an address of "
            "this machine, such as http://127.0.0.1:3000"
        )
    return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_host(text: str) -> bool:
    return _is_ipv6(text) or _HOST_NAME.fullmatch(text) is not None


Servers = Annotated[str, AfterValidator(_servers)]
BindAddress = Annotated[str, AfterValidator(_bind_address)]
TopicWord = Annotated[str, AfterValidator(_topic_word)]
InstanceId = Annotated[str, AfterValidator(_instance_id)]
CanvasUrl = Annotated[str, AfterValidator(_canvas_url)]
QueueUrl = Annotated[str, AfterValidator(_queue_url)]
Text = Annotated[str, AfterValidator(_text)]
FilePath = Annotated[Path, AfterValidator(_path)]
WebhookPath = Annotated[str, AfterValidator(_webhook_path)]
KeySetUrl = Annotated[str, AfterValidator(_key_set_url)]
Retention = Annotated[int, AfterValidator(_days_or_for_ever)]
ParameterNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parameter_names)]
EventWords = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_event_words)]
Issuers = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_issuers)]
DroppedFields = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_dropped_fields)]
MetricsUrls = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_metrics_urls)]
