"""Responses of the page. Their headers forbid a browser everything that the page does not need."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from rollcall.http.errors import RETRY_SECONDS

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # The browser stops a script that writes to innerHTML.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, browsers send "Origin: null" with the login form, and its origin could not
    # be checked. Other sites get no referrer either way.
    "Referrer-Policy": "same-origin",
}

_NO_STORE = {"Cache-Control": "no-store"}
_NO_CACHE = {"Cache-Control": "no-cache"}

_FOLDER = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_JSON = "application/json"


class PageError(Exception):
    """A request that gets an error message as its response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def json_response(content: Any, status: int = 200) -> Response:
    """A response with JSON.

    Args:
        content: bytes are JSON already.
    """
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Response(body, status, SECURITY_HEADERS | _NO_STORE, _JSON)


def error_response(status: int, message: str) -> Response:
    """An error in the form of Canvas's API."""
    response = json_response({"errors": [{"message": message}]}, status)
    if status == 503:
        response.headers["Retry-After"] = RETRY_SECONDS
    return response


def stream_headers() -> dict[str, str]:
    """Headers of a stream of server-sent events. The last one turns off nginx's buffering."""
    return (
        SECURITY_HEADERS
        | _NO_STORE
        | {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
    )


def document(html: str, status: int = 200) -> Response:
    """A response with an HTML document."""
    return Response(html, status, SECURITY_HEADERS | _NO_STORE, "text/html")


def redirect(location: str) -> Response:
    """A redirect that the browser follows with GET."""
    return Response(b"", 303, SECURITY_HEADERS | _NO_STORE | {"Location": location})


def read_document(name: str) -> str:
    """An HTML file of static/."""
    return (_FOLDER / f"{name}.html").read_text(encoding="utf-8")


class StaticFiles:
    """Script, style and icon. They are read once and found by name, so no path leads elsewhere."""

    def __init__(self) -> None:
        paths = [path for path in _FOLDER.iterdir() if path.suffix in _MEDIA_TYPES]
        self._files = {path.name: (path.read_bytes(), _MEDIA_TYPES[path.suffix]) for path in paths}

    def response(self, request: Request, name: str) -> Response:
        """The file of this name.

        Raises:
            PageError: 404.
        """
        if name not in self._files:
            raise PageError(404, "there is no such file")
        content, media_type = self._files[name]
        headers = (
            SECURITY_HEADERS | _NO_CACHE | {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
        )
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(b"", 304, headers)
        return Response(content, 200, headers, media_type)
