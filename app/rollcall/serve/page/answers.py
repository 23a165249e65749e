"""What all answers of the page have in common: headers that leave a browser nothing to do but what
the page means.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from rollcall.serve.api.errors import RETRY_SECONDS

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
        # Whoever would ever write to innerHTML is stopped by the browser.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, browsers send "Origin: null" with the login form, and where it comes from
    # could not be checked. Other sites learn nothing either way.
    "Referrer-Policy": "same-origin",
}

_STORED_NOWHERE = {"Cache-Control": "no-store"}
_ASKED_ANEW = {"Cache-Control": "no-cache"}

_FOLDER = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_JSON = "application/json"


class PageError(Exception):
    """A request that is answered with a plain sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def data(content: Any, status: int = 200) -> Response:
    """JSON. Bytes are taken to be JSON already."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Response(body, status, SECURITY_HEADERS | _STORED_NOWHERE, _JSON)


def error(status: int, message: str) -> Response:
    """An error in the form in which Canvas's API has them."""
    answer = data({"errors": [{"message": message}]}, status)
    if status == 503:
        answer.headers["Retry-After"] = RETRY_SECONDS
    return answer


def stream_headers() -> dict[str, str]:
    """Of a stream of server-sent events. The last one keeps nginx from gathering them."""
    return (
        SECURITY_HEADERS
        | _STORED_NOWHERE
        | {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
    )


def document(html: str, status: int = 200) -> Response:
    """A page."""
    return Response(html, status, SECURITY_HEADERS | _STORED_NOWHERE, "text/html")


def redirect(location: str) -> Response:
    """Go there, with GET."""
    return Response(b"", 303, SECURITY_HEADERS | _STORED_NOWHERE | {"Location": location})


def read_document(name: str) -> str:
    """An HTML file of static/."""
    return (_FOLDER / f"{name}.html").read_text(encoding="utf-8")


class StaticFiles:
    """Script, style and icon: read once, and known by name, so that no path leads elsewhere."""

    def __init__(self) -> None:
        paths = [path for path in _FOLDER.iterdir() if path.suffix in _MEDIA_TYPES]
        self._files = {path.name: (path.read_bytes(), _MEDIA_TYPES[path.suffix]) for path in paths}

    def answer(self, request: Request, name: str) -> Response:
        """The file of this name.

        Raises:
            PageError: there is none.
        """
        if name not in self._files:
            raise PageError(404, "there is no such file")
        content, media_type = self._files[name]
        headers = (
            SECURITY_HEADERS
            | _ASKED_ANEW
            | {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
        )
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(b"", 304, headers)
        return Response(content, 200, headers, media_type)
