"""Access to raw ASGI headers, without decoding those that are not needed."""

from __future__ import annotations

from starlette.types import Message, Scope


def header_of(scope: Scope, name: bytes, default: bytes = b"") -> bytes:
    """Value of a request header; the last one of several.

    Args:
        name: in lower case, as ASGI servers write it.
    """
    found = default
    for key, value in scope["headers"]:
        if key == name:
            found = value
    return found


def text_header_of(scope: Scope, name: bytes) -> str:
    """Value of a request header as text; empty if the request has none."""
    return header_of(scope, name).decode("latin-1")


def starts_stream(message: Message) -> bool:
    """Whether an ASGI message starts a stream of server-sent events, which lasts for hours."""
    return message["type"] == "http.response.start" and any(
        name == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message["headers"]
    )
