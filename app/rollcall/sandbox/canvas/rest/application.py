"""The ASGI application: routes, tokens, throttle, faults and headers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from urllib.parse import parse_qs

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from rollcall.events.ids import parse_id
from rollcall.sandbox.canvas.rest import accounts, courses, groups
from rollcall.sandbox.canvas.rest.access import Access
from rollcall.sandbox.canvas.rest.call import Call
from rollcall.sandbox.canvas.rest.cut import TRANSPORT, CutResponse
from rollcall.sandbox.canvas.rest.errors import RefusedError, invalid_token, no_token, not_found
from rollcall.sandbox.canvas.rest.faults import Faults
from rollcall.sandbox.canvas.rest.objects import Object, shown_id
from rollcall.sandbox.canvas.rest.paging import Page
from rollcall.sandbox.canvas.rest.recording import RecordedRequest
from rollcall.sandbox.canvas.rest.replica import Replica
from rollcall.sandbox.canvas.rest.throttle import Throttle
from rollcall.sandbox.canvas.simulation.world import World

PREFIX = "/api/v1"

Handler = Callable[[Call], Object | Page]
Endpoint = Callable[[Request], Awaitable[Response]]


def _unknown(_call: Call) -> Object:
    raise not_found()


HANDLERS: tuple[tuple[str, Handler], ...] = (
    ("/accounts/{account}", accounts.account),
    ("/accounts/{account}/permissions", accounts.permissions),
    ("/accounts/{account}/terms", accounts.terms),
    ("/accounts/{account}/courses", accounts.courses),
    ("/accounts/{account}/users", accounts.users),
    ("/accounts/{account}/groups", groups.of_account),
    ("/accounts/{account}/enrollments/{enrollment}", accounts.enrollment),
    ("/courses/{course}", courses.course),
    ("/courses/{course}/sections", courses.sections),
    ("/courses/{course}/enrollments", courses.enrollments),
    ("/courses/{course}/groups", groups.of_course),
    ("/sections/{section}", courses.section),
    ("/groups/{group}", groups.group),
    ("/groups/{group}/memberships", groups.memberships),
    ("/users/{user}", groups.user),
    ("/{rest:path}", _unknown),
)
"""Paths below :data:`PREFIX`."""

_THROTTLED = {
    403: "403 Forbidden (Rate Limit Exceeded)\n",
    429: "429 Too Many Requests (Rate Limit Exceeded)\n",
}


@dataclass
class RestApplication:
    """Answers requests. Its parts may be changed at any time."""

    world: Callable[[], World]
    clock: Callable[[], int]
    replica: Replica
    tokens: dict[str, Access]
    faults: Faults = field(default_factory=Faults)
    throttle: Throttle = field(default_factory=Throttle)
    requests: list[RecordedRequest] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set in the server's event loop: slow answers no longer wait."""

    def __post_init__(self) -> None:
        """Make the routes."""
        self._router = Router(
            [
                Route(f"{PREFIX}{path}", self._endpoint(handler), methods=["GET"])
                for path, handler in HANDLERS
            ],
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn/protocols/http/httptools_impl.py: send is a method of the RequestResponseCycle
        scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)
        await self._router(scope, receive, send)

    def _endpoint(self, handler: Handler) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return await self._respond(request, handler)

        return endpoint

    async def _respond(self, request: Request, handler: Handler) -> Response:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        token = text if scheme.lower() == "bearer" and text else None
        record = RecordedRequest(self._path(request), parse_qs(request.url.query), token)
        self.requests.append(record)
        faults, throttle = self.faults, self.throttle
        if faults.on_request is not None:
            faults.on_request(record)
        response: Response
        if faults.throttled.take(record.path) or throttle.remaining(token) <= 0:
            response = self._throttled()
        else:
            with throttle.running(token):
                if faults.slow.take(record.path):
                    await self._wait()
                response = self._response(request, record, handler)
        record.status = response.status_code
        response.headers["X-Rate-Limit-Remaining"] = f"{throttle.remaining(token):.3f}"
        response.headers["Date"] = formatdate(
            self.clock() / 1000 + faults.clock_offset, usegmt=True
        )
        return response

    def _path(self, request: Request) -> str:
        """The path below :data:`PREFIX`, with ids as answers show them."""
        world = self.world()
        parts = request.url.path.removeprefix(PREFIX).split("/")
        ids = [parse_id(part, world.shard) for part in parts]
        return "/".join(
            part if gid is None else str(shown_id(gid, world))
            for part, gid in zip(parts, ids, strict=True)
        )

    def _throttled(self) -> Response:
        status = self.faults.throttled_status
        return Response(_THROTTLED[status], status, media_type="text/plain")

    async def _wait(self) -> None:
        """The time of a slow answer."""
        try:
            async with asyncio.timeout(self.faults.slow_seconds):
                await self.stopping.wait()
        except TimeoutError:
            pass

    def _response(self, request: Request, record: RecordedRequest, handler: Handler) -> Response:
        faults = self.faults
        if faults.failing.take(record.path):
            return Response(
                "<html><body>Something broke</body></html>",
                faults.failure_status,
                media_type="text/html",
            )
        headers, rows, status = {}, 0, 200
        content: object
        try:
            result = self._result(request, record, handler)
        except RefusedError as error:
            content, status, headers = error.body, error.status, dict(error.headers)
        else:
            content = result.content if isinstance(result, Page) else result
            if isinstance(result, Page):
                rows = len(result.rows)
                url = str(request.url.replace(query=""))
                headers["Link"] = result.link(url, record.query)
        headers["X-Request-Cost"] = f"{self.throttle.charge(record.token, rows):.3f}"
        made = CutResponse if faults.cut.take(record.path) else Response
        return made(
            orjson.dumps(content), status, headers, media_type="application/json; charset=utf-8"
        )

    def _result(self, request: Request, record: RecordedRequest, handler: Handler) -> Object | Page:
        access = None if record.token is None else self.tokens.get(record.token)
        if record.token is None:
            raise no_token()
        if access is None or access.revoked:
            raise invalid_token()
        if record.path in self.faults.hidden:
            raise not_found()
        result = handler(
            Call(self.world(), self.replica, access, self.faults, request.path_params, record.query)
        )
        if record.path in self.faults.empty and isinstance(result, Page):
            return replace(result, rows=[], pages={"current": "1", "first": "1"})
        return result
